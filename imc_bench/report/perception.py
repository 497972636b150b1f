"""What the image side said of each image, and the 3 x 3 matrix of image and text states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imc_bench.bootstrap import Estimate, Floats
from imc_bench.report.frame import BASE, CLEAN, Frame, side_of
from imc_bench.statistics import confusion, false_alarms, state_matrix

SEEING = (BASE, "pdc", "sms", "imc")
"""Methods whose perception is of the noisy image itself; a denoiser's is of its own output."""


@dataclass(frozen=True)
class Perception:
    """How well noise was named; counts are of images."""

    truth: tuple[str, ...]
    said: tuple[str, ...]
    kinds: NDArray[np.int64]
    """(truth, said): images of each kind (row) and what they were taken for."""
    severities: tuple[str, ...]
    by_severity: NDArray[np.int64]
    """(severities, severities), of noisy images whose kind was named rightly."""
    false_alarms: Estimate
    """Clean images that were taken for noisy."""
    identified: float
    """Share of noisy images whose kind was named, mean over kinds."""


def perception(frame: Frame) -> Perception | None:
    """Perception under image noise with clean questions; None for a model without a bank.

    An image weighs no more for being asked about more often.
    """
    method = next((name for name in SEEING if (CLEAN, name) in frame.told), None)
    if method is None:
        return None
    truth, said, true_severity, said_severity = [], [], [], []
    for condition in (CLEAN, *frame.on("image")):
        rows = frame.told.get((condition, method), {})
        seen = {row.image: row for row in rows.values() if row.perceived_kind}
        for row in seen.values():
            truth.append(condition.image_noise or "clean")
            said.append(row.perceived_kind)
            true_severity.append(f"{condition.image_severity:g}")
            said_severity.append(f"{row.perceived_severity:g}")
    if "clean" not in truth:
        return None
    true_kinds = ["clean", *sorted(set(truth) - {"clean"})]
    said_kinds = [*true_kinds, *sorted(set(said) - set(true_kinds) - {"unknown"}), "unknown"]
    counts = confusion(truth, said, said_kinds)[: len(true_kinds)]
    named = [
        place
        for place, (true, told) in enumerate(zip(truth, said, strict=True))
        if true == told != "clean"
    ]
    levels = sorted({v for p in named for v in (true_severity[p], said_severity[p])}, key=float)
    noisy = counts[1:]
    with np.errstate(invalid="ignore"):
        rate = np.diagonal(noisy, offset=1) / noisy.sum(axis=1)
    return Perception(
        tuple(true_kinds),
        tuple(said_kinds),
        counts,
        tuple(levels),
        confusion([true_severity[p] for p in named], [said_severity[p] for p in named], levels),
        false_alarms([told for true, told in zip(truth, said, strict=True) if true == "clean"]),
        float(rate.mean()) if rate.size else float("nan"),
    )


def matrix(frame: Frame) -> tuple[Floats, NDArray[np.int64]]:
    """Accuracy, and conditions it is the mean of, of image {clean, noisy, calibrated} (rows) x
    text {clean, noisy, refined}; NaN where nothing was measured.

    With conditions that join two noises, the one-sided cells are means over just those noises, so
    that all nine speak of the same; each condition weighs the same, however many rows it has.
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
    joined = frame.on("both")
    image_of = {(one.image_noise, one.image_severity) for one in joined}
    text_of = {(one.text_noise, one.text_severity) for one in joined}
    image, text, right = [], [], []
    for (condition, method), rows in frame.told.items():
        side = side_of(condition)
        if joined and (
            (side == "image" and (condition.image_noise, condition.image_severity) not in image_of)
            or (side == "text" and (condition.text_noise, condition.text_severity) not in text_of)
        ):
            continue
        for image_state, text_state in states.get((side, method), []):
            image.append(image_state)
            text.append(text_state)
            right.append(float(np.mean([row.correct_strict for row in rows.values()])))
    return state_matrix(image, text, right)
