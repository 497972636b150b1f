"""How the noise of an image was perceived: its kind, and its severity. Needs matplotlib."""

from __future__ import annotations

import math

import numpy as np

from imc_bench.report.document import Report
from imc_bench.report.heat_map import heat_map
from imc_bench.report.perception import Perception
from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.severity import PREDICTED_SEVERITIES
from imc_bench.report.table import percent
from imc_bench.report.wording import setting
from vision.report import CLEAN

PANELS_A_ROW = 4
MISSED = "clean"
"""The column of noisy images that the gate let through."""
OTHER = "other\nkind"


def confusion_plot(report: Report) -> Picture | None:
    """Kinds of image noise (rows) and perceived kinds, each row in percent of its images."""
    found = report.perception
    if found is None:
        return None
    counts = found.kinds.astype(np.float64)
    images = counts.sum(axis=1)
    names = zip(found.truth, images, strict=True)
    drawing = Drawing(
        0.6 * len(found.predicted) + 2.4,
        0.34 * len(found.truth) + 1.4,
        Caption(
            "Noise on the image (rows) and the kind that was perceived, % of the row's images",
            setting(report.results),
            _kind_verdict(found),
        ),
    )
    heat_map(
        drawing.body.subplots(),
        100 * counts / np.maximum(images[:, None], 1),
        [f"{name} (n = {number:.0f})" for name, number in names],
        list(found.predicted),
        "Blues",
        0,
        100,
        slanted=True,
    )
    return drawing.picture()


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
            setting(report.results),
            _severity_verdict(report),
        ),
    )
    panels = drawing.body.subplots(down, across, squeeze=False)
    for panel, one in zip(panels.flat, found.severities, strict=False):
        counts = np.column_stack([one.missed, one.counts, one.other]).astype(np.float64)
        images = np.array(one.images, dtype=np.float64)
        heat_map(
            panel,
            100 * counts / np.maximum(images[:, None], 1),
            [f"{true:g} (n = {number})" for true, number in zip(one.true, one.images, strict=True)],
            [MISSED, *map(str, PREDICTED_SEVERITIES), OTHER],
            "Blues",
            0,
            100,
        )
        panel.axvline(0.5, color="#555555", linewidth=1)
        panel.axvline(len(PREDICTED_SEVERITIES) + 0.5, color="#555555", linewidth=1)
        panel.set_title(one.kind, fontsize=9)
    for panel in panels.flat[len(found.severities) :]:
        panel.set_visible(False)
    drawing.body.supylabel("severity put on", fontsize=9)
    drawing.body.supxlabel("perceived severity; clean: the noise was missed", fontsize=9)
    return drawing.picture()


def _severity_verdict(report: Report) -> str:
    assert report.perception is not None
    overall = report.perception.severities[-1]
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
