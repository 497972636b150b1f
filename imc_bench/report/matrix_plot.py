"""The 3 x 3 matrix of image and question states. Needs matplotlib."""

from __future__ import annotations

import numpy as np

from imc_bench.metrics.statistics import IMAGE_STATES, TEXT_STATES
from imc_bench.report.heat_map import heat_map
from imc_bench.report.picture import Caption, Drawing, Picture
from imc_bench.report.report import Report
from imc_bench.report.results import kind_of
from imc_bench.report.wording import joined, setting


def matrix_plot(report: Report) -> Picture | None:
    """Accuracy by state of the image (rows) and of the question (columns)."""
    drawing = Drawing(
        6.0,
        2.6,
        Caption(
            "Accuracy % by state of the image and of the question",
            f"{setting(report.results)} · {_conditions(report)}",
            _verdict(report),
        ),
    )
    heat_map(
        drawing.body.subplots(),
        100 * report.matrix,
        [f"image {state}" for state in IMAGE_STATES],
        [f"question {state}" for state in TEXT_STATES],
        "viridis",
        0,
        100,
        words=[["not measured"] * len(TEXT_STATES)] * len(IMAGE_STATES),
    )
    return drawing.picture()


def _conditions(report: Report) -> str:
    """What the cells are means over."""
    joined_kinds = list(dict.fromkeys(kind_of(one) for one in report.results.on("both")))
    if joined_kinds:
        return f"means over the severities of {joined(joined_kinds)} and of their parts alone"
    return "means over all image noises, or all text noises; no noise was put on both at once"


def _verdict(report: Report) -> str:
    clean, noisy, repaired = (100 * report.matrix[place, place] for place in range(3))
    if np.isfinite([clean, noisy, repaired]).all():
        return (
            f"With noise on both, accuracy is {noisy:.1f} % ({clean:.1f} % on clean inputs); with "
            f"both corrected it is {repaired:.1f} %."
        )
    said = [
        f"{word} {100 * low:.1f} % with noise, {100 * high:.1f} % corrected"
        for word, low, high in (
            ("image:", report.matrix[1, 0], report.matrix[2, 0]),
            ("question:", report.matrix[0, 1], report.matrix[0, 2]),
        )
        if np.isfinite([low, high]).all()
    ]
    return f"On clean inputs {clean:.1f} %" + "".join(f"; {one}" for one in said) + "."
