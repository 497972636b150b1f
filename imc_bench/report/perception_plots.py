"""How the noise of an image was perceived: its kind, and its severity. Needs matplotlib."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imc_bench.report.heat_map import heat_map
from imc_bench.report.perception import Perception
from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.report import Report
from imc_bench.report.severity import PREDICTED_SEVERITIES, SeverityConfusion
from imc_bench.report.shares import LEAST_COUNT
from imc_bench.report.table import percent
from imc_bench.report.wording import setting
from vision.report import CLEAN

PANELS_A_ROW = 4
MISSED = "clean"
"""The column of noisy images that the gate let through."""
OTHER = "other\nkind"


def confusion_plot(report: Report) -> Picture | None:
    """Kinds of image noise (rows) and perceived kinds, in percent of the row's images.

    Of fewer than `LEAST_COUNT` images, here and in `severity_plot`: their number, in grey.
    """
    found = report.perception
    if found is None:
        return None
    names = zip(found.truth, found.kinds.sum(axis=1), strict=True)
    drawing = Drawing(
        0.6 * len(found.predicted) + 2.4,
        0.34 * len(found.truth) + 1.4,
        Caption(
            "Noise on the image (rows) and the perceived kind, % of the row's images",
            setting(report.results) + _grey(found.kinds.sum(axis=1).tolist()),
            _kind_verdict(found),
        ),
    )
    shown, words = _shares(found.kinds)
    heat_map(
        drawing.body.subplots(),
        shown,
        [f"{name} (n = {number})" for name, number in names],
        list(found.predicted),
        "Blues",
        0,
        100,
        words=words,
        slanted=True,
    )
    return drawing.picture()


def _shares(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], list[list[str]]]:
    """Percent of each row; of fewer than `LEAST_COUNT` images NaN, and the counts as words."""
    images = counts.sum(axis=1, keepdims=True)
    shown = np.where(images < LEAST_COUNT, np.nan, 100 * counts / np.maximum(images, 1))
    words = [[f"{count}/{sum(row)}" if count else "" for count in row] for row in counts.tolist()]
    return shown, words


def _grey(images: Sequence[int]) -> str:
    """What grey rows are, where there are any."""
    return f" · grey: counts of under {LEAST_COUNT} images" if min(images) < LEAST_COUNT else ""


def _kind_verdict(found: Perception) -> str:
    """What was named, what was missed, and how often clean images were called noisy."""
    alarms = found.false_alarms
    said = f"{round(alarms.value * alarms.items)} of {alarms.items} clean images were called noisy"
    noisy = found.kinds[1:]
    if noisy.sum():
        missed = noisy[:, found.predicted.index(CLEAN)].sum() / noisy.sum()
        said += f"; {percent(missed)} % of noisy images were called clean (first column)"
    if np.isfinite(found.identified):
        said += (
            f"; the kind was named correctly for {percent(found.identified)} % of them (mean over "
            "kinds)"
        )
    return f"{said}."


def severity_plot(report: Report) -> Picture | None:
    """A panel for each kind: severity put on, and the perceived one, in percent of all its images.

    What was called clean, or another kind, has a column of its own.
    """
    found = report.perception
    if found is None or not found.severities:
        return None
    across = min(PANELS_A_ROW, len(found.severities))
    down = math.ceil(len(found.severities) / across)
    one_height = 0.28 * max(len(one.true) for one in found.severities) + 0.95
    drawing = Drawing(
        2.9 * across + 0.3,
        one_height * down + 0.3,
        Caption(
            "Severity put on an image (rows) and the severity perceived, % of the row's images",
            setting(report.results)
            + _grey([number for one in found.severities for number in one.images]),
            _severity_verdict(found.severities[-1]),
        ),
    )
    panels = drawing.body.subplots(down, across, squeeze=False)
    for panel, one in zip(panels.flat, found.severities, strict=False):
        shown, words = _shares(np.column_stack([one.missed, one.counts, one.other]))
        heat_map(
            panel,
            shown,
            [f"{true:g} (n = {number})" for true, number in zip(one.true, one.images, strict=True)],
            [MISSED, *map(str, PREDICTED_SEVERITIES), OTHER],
            "Blues",
            0,
            100,
            words=words,
        )
        panel.axvline(0.5, color="#555555", linewidth=1)
        panel.axvline(len(PREDICTED_SEVERITIES) + 0.5, color="#555555", linewidth=1)
        panel.set_title(one.kind, fontsize=9)
    for panel in panels.flat[len(found.severities) :]:
        panel.set_visible(False)
    drawing.body.supylabel("severity put on", fontsize=9)
    drawing.body.supxlabel("perceived severity; clean: the noise was missed", fontsize=9)
    return drawing.picture()


def _severity_verdict(overall: SeverityConfusion) -> str:
    images = sum(overall.images)
    said = (
        f"Of {images:,} noisy images {percent(sum(overall.missed) / images)} % were called clean "
        f"and {percent(sum(overall.other) / images)} % another kind"
    )
    if overall.exact is not None and overall.within_one is not None:
        said += (
            f"; of those whose kind was named correctly the severity is exact for "
            f"{percent(overall.exact.value)} % and off by one at most for "
            f"{percent(overall.within_one.value)} %"
        )
    return f"{said}."
