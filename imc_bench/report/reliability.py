"""Whether probabilities are calibrated: confidence of answers and kinds, p-values of the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from imc_bench.errors import StatisticRefused
from imc_bench.metrics.bootstrap import Estimate, share
from imc_bench.metrics.statistics import calibration_error
from imc_bench.report.results import BASE, CLEAN, SIDES, RunResults

BINS = 10
LEVELS = (0.005, 0.01, 0.015, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Levels that a gate is evaluated at: densely where one is set."""


@dataclass(frozen=True)
class Bin:
    """Cases whose probability lies in one interval."""

    low: float
    high: float
    confidence: float
    """Mean probability that was given to them."""
    right: Estimate
    """Share that was right, with Wilson's interval."""


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram (DeGroot and Fienberg 1983): confidence against accuracy."""

    bins: tuple[Bin, ...]
    """Those that hold anything, rising."""
    error: float
    """Expected calibration error over the same bins."""

    @property
    def cases(self) -> int:
        """How many all bins hold."""
        return sum(one.right.items for one in self.bins)

    @property
    def confidence(self) -> float:
        """Mean confidence of all cases."""
        return sum(one.confidence * one.right.items for one in self.bins) / self.cases

    @property
    def accuracy(self) -> float:
        """Share of all cases that was right."""
        return sum(one.right.value * one.right.items for one in self.bins) / self.cases


def reliability(confidence: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> Reliability:
    """By equal-width bins of confidence (cases,), with whether each case was right (cases,).

    A confidence on an edge belongs to the bin below, 0 to the first.

    Raises:
        StatisticRefused: no cases, another number in each, or a probability outside 0 to 1.
    """
    error = calibration_error(confidence, right, bins=bins)
    predicted, hits = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.float64)
    place = np.clip(np.ceil(predicted * bins).astype(int) - 1, 0, bins - 1)
    found = []
    for number in np.unique(place).tolist():
        chosen = place == number
        found.append(
            Bin(
                number / bins,
                (number + 1) / bins,
                float(predicted[chosen].mean()),
                share(round(float(hits[chosen].sum())), int(chosen.sum())),
            )
        )
    return Reliability(tuple(found), error)


@dataclass(frozen=True)
class Gate:
    """At each level, the images that a gate there would call noisy: p-values no higher than it."""

    levels: tuple[float, ...]
    clean: tuple[Estimate, ...]
    """Of clean images: no more than the level, if the p-values are valid for them."""
    noisy: tuple[Estimate, ...]
    """Of noisy images; empty where there are none."""


def answer_reliability(results: RunResults) -> dict[str, Reliability]:
    """Confidence of the model's answers against their being right, by what was asked and how.

    Clean inputs and noisy ones of every condition with the model as it is, and noisy ones with the
    method that acts on most: `imc`, or the last of the run. Empty where no answer has a confidence.
    """
    noisy = [one for side in SIDES for one in results.on(side)]
    methods = results.methods
    most = "imc" if "imc" in methods else methods[-1]
    wanted = {
        f"clean inputs, {BASE}": ([CLEAN], BASE),
        f"noisy inputs, {BASE}": (noisy, BASE),
        f"noisy inputs, {most}": (noisy, most),
    }
    found = {}
    for name, (conditions, method) in wanted.items():
        rows = [
            row
            for condition in conditions
            for row in results.responses.get((condition, method), {}).values()
        ]
        if any(row.confidence for row in rows):
            found[name] = reliability(
                [row.confidence for row in rows], [float(row.correct) for row in rows]
            )
    return found


def gate(clean: Sequence[float], noisy: Sequence[float]) -> Gate:
    """From the p-values of "this image is clean", one an image.

    Raises:
        StatisticRefused: no clean images, or a p-value outside 0 to 1.
    """
    sides = [np.asarray(side, dtype=np.float64) for side in (clean, noisy)]
    if not all(((side >= 0) & (side <= 1)).all() for side in sides):
        raise StatisticRefused("a p-value is outside 0 to 1")
    under = [
        tuple(share(int((side <= level).sum()), side.size) for level in LEVELS) if side.size else ()
        for side in sides
    ]
    if not under[0]:
        raise StatisticRefused("a gate is judged by clean images, and there are none")
    return Gate(LEVELS, under[0], under[1])
