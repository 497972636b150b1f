"""The noise that was perceived in each image, and the 3 x 3 matrix of image and text states."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imc_bench.metrics.bootstrap import Estimate, Floats, share
from imc_bench.metrics.statistics import confusion, false_alarms, state_matrix
from imc_bench.report.reliability import Gate, gate
from imc_bench.report.results import BASE, CLEAN, Response, RunResults, side_of
from imc_bench.report.severity import SeverityCase, SeverityConfusion, severity_confusions
from vision.report import CLEAN as CLEAN_KIND
from vision.report import UNKNOWN

PERCEIVING_METHODS = (BASE, "pdc", "sms", "imc")
"""Methods whose perception is of the noisy image itself; a denoiser's is of its own output."""


@dataclass(frozen=True)
class Perception:
    """How well noise was named; counts are of images."""

    truth: tuple[str, ...]
    predicted: tuple[str, ...]
    kinds: NDArray[np.int64]
    """(truth, predicted): images by true kind (row) and perceived kind (column).

    Several noises joined by `+` are a row; no such kind can be named.
    """
    severities: tuple[SeverityConfusion, ...]
    """Of single noises, kind by kind."""
    false_alarms: Estimate
    """Clean images that were called noisy."""
    identified: float
    """Share of noisy images whose kind was named, mean over kinds that PDC knows."""
    absent: tuple[str, ...]
    """Kinds that PDC does not know, and so cannot name."""
    absent_unknown: Estimate | None
    """Share of their images that were called unknown; None where there are none."""
    gate: Gate | None
    """Images called noisy at each level of the gate; None where no p-value was stored."""


def perception(results: RunResults) -> Perception | None:
    """Perception under image noise with clean questions; None where no method perceived.

    An image counts once, however many questions are about it.
    """
    method = next(
        (
            name
            for name in PERCEIVING_METHODS
            if any(row.perceived_kind for row in results.responses.get((CLEAN, name), {}).values())
        ),
        None,
    )
    if method is None:
        return None
    cases = [
        SeverityCase(
            condition.image_noise or CLEAN_KIND,
            float(condition.image_severity),
            row.perceived_kind,
            row.perceived_severity,
        )
        for condition in (CLEAN, *results.on("image"), *results.on("stacked"))
        for row in _by_image(results.responses.get((condition, method), {}).values())
    ]
    alarms = [one.predicted_kind for one in cases if one.kind == CLEAN_KIND]
    if not alarms:
        return None
    kinds = {one.kind for one in cases}
    single = [CLEAN_KIND, *sorted(kind for kind in kinds - {CLEAN_KIND} if "+" not in kind)]
    stacked = sorted(kind for kind in kinds if "+" in kind)
    others = {one.predicted_kind for one in cases} - {*single, UNKNOWN}
    predicted = [*single, *sorted(others), UNKNOWN]
    counts = confusion(
        [one.kind for one in cases], [one.predicted_kind for one in cases], [*predicted, *stacked]
    )
    kept = [*range(len(single)), *range(len(predicted), len(predicted) + len(stacked))]
    held = results.facts["model"].get("kinds") or single
    absent = tuple(kind for kind in single[1:] if kind not in held)
    strange = [one.predicted_kind == UNKNOWN for one in cases if one.kind in absent]
    rates = [
        counts[place, place] / counts[place].sum()
        for place, kind in enumerate(single)
        if place > 0 and kind not in absent
    ]
    return Perception(
        (*single, *stacked),
        tuple(predicted),
        counts[kept, : len(predicted)],
        severity_confusions(
            [one for one in cases if one.kind in single[1:] and one.kind not in absent]
        ),
        false_alarms(alarms),
        float(np.mean(rates)) if rates else float("nan"),
        absent,
        share(sum(strange), len(strange)) if strange else None,
        _gate(results, method),
    )


def _gate(results: RunResults, method: str) -> Gate | None:
    clean, noisy = (
        [
            row.clean_p_value
            for condition in conditions
            for row in _by_image(results.responses.get((condition, method), {}).values())
            if row.clean_p_value is not None
        ]
        for conditions in ((CLEAN,), (*results.on("image"), *results.on("stacked")))
    )
    return gate(clean, noisy) if clean else None


def _by_image(rows: Iterable[Response]) -> Iterable[Response]:
    """One row for each image that was perceived."""
    return {row.image: row for row in rows if row.perceived_kind}.values()


def matrix(results: RunResults) -> tuple[Floats, NDArray[np.int64]]:
    """Accuracy, and conditions it is the mean of, of image {clean, noisy, calibrated} (rows) x
    text {clean, noisy, refined}; NaN where nothing was measured.

    With conditions that join two noises, the one-sided cells are means over those noises alone, so
    that all nine are comparable; each condition has the same weight, however many rows it has.
    """
    states = {
        ("clean", BASE): [("clean", "clean")],
        ("image", BASE): [("noisy", "clean")],
        ("image", "pdc"): [("calibrated", "clean")],
        ("text", BASE): [("clean", "noisy")],
        ("text", "sms"): [("clean", "refined")],
        ("both", BASE): [("noisy", "noisy")],
        ("both", "pdc"): [("calibrated", "noisy")],
        ("both", "sms"): [("noisy", "refined")],
        ("both", "imc"): [("calibrated", "refined")],
    }
    joined = results.on("both")
    image_of = {(one.image_noise, one.image_severity) for one in joined}
    text_of = {(one.text_noise, one.text_severity) for one in joined}
    image, text, right = [], [], []
    for (condition, method), rows in results.responses.items():
        side = side_of(condition)
        if side == "stacked" and joined:
            side = "image"
        if joined and (
            (side == "image" and (condition.image_noise, condition.image_severity) not in image_of)
            or (side == "text" and (condition.text_noise, condition.text_severity) not in text_of)
        ):
            continue
        for image_state, text_state in states.get((side, method), []):
            image.append(image_state)
            text.append(text_state)
            counted = [row.value for row in rows.values() if row.counted]
            right.append(float(np.mean(counted)) if counted else float("nan"))
    return state_matrix(image, text, right)
