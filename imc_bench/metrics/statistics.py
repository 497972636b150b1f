"""The figures of a robustness table: pure functions over arrays, one element an item.

`right` arrays hold 1 or 0 (or a share between) for each item; every array of one call is in the
same order of items. Intervals and recovered fractions come from `imc_bench.metrics.bootstrap`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imc_agents.language.word_distance import edit_distance
from imc_bench.errors import StatisticRefused
from imc_bench.metrics.bootstrap import ClusterBootstrap, Estimate, Floats, share

__all__ = [
    "ClusterBootstrap",
    "Estimate",
    "Flips",
    "answer_flips",
    "calibration_error",
    "character_errors",
    "confusion",
    "corruption_error",
    "false_alarms",
    "flips",
    "flips_removed",
    "relative_corruption_error",
    "share",
    "state_matrix",
    "worst_case",
]

LEAST_BASELINE = 0.01
"""Floor of a baseline's mean error or mean drop: below it, a ratio is mostly chance."""

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Flips:
    """What a method did to answers, as shares of all items: destroyed or corrected."""

    destructive: float
    """Right before, wrong after."""
    corrective: float
    """Wrong before, right after."""
    items: int

    @property
    def net(self) -> float:
        """Corrective less destructive: the change of accuracy."""
        return self.corrective - self.destructive


def flips(before: ArrayLike, after: ArrayLike) -> Flips:
    """Destructive and corrective flips between two arrays of right (true) and wrong (false).

    On clean inputs, `before` without and `after` with a method, they are the clean harm.

    Raises:
        StatisticRefused: no items, or another number in each.
    """
    first = np.asarray(before, dtype=bool)
    second = np.asarray(after, dtype=bool)
    _same_items(first, second)
    return Flips(float((first & ~second).mean()), float((~first & second).mean()), int(first.size))


def answer_flips(own_clean: Sequence[str], answers: Sequence[str]) -> NDArray[np.bool_]:
    """For each item, whether the answer differs from the model's own answer to the clean input.

    Needs no truth, and is far more sensitive than accuracy. Compared after lower-casing and single
    blanks; (items,).

    Raises:
        StatisticRefused: no items, or another number in each.
    """
    first, second = (
        np.array([" ".join(answer.lower().split()) for answer in side], dtype=object)
        for side in (own_clean, answers)
    )
    _same_items(first, second)
    return np.asarray(first != second, dtype=bool)


def flips_removed(noisy: ArrayLike, repaired: ArrayLike) -> float | None:
    """Share of the noise's answer flips that are gone after repair; below 0 where it adds some.

    None where noise flips nothing. Takes the arrays of `answer_flips`.
    """
    first, second = np.asarray(noisy, dtype=bool), np.asarray(repaired, dtype=bool)
    _same_items(first, second)
    return float(1 - second.mean() / first.mean()) if first.any() else None


def character_errors(clean: Sequence[str], given: Sequence[str]) -> Floats:
    """For each question, how far `given` is from the clean one, in edits per clean character.

    An edit inserts, deletes or replaces a character or swaps two neighbours. 0 is an exact restore;
    above 1 where much was added; (items,).

    Raises:
        StatisticRefused: another number in each, or a clean question without characters.
    """
    if len(clean) != len(given) or not all(clean):
        raise StatisticRefused("clean and given questions must be paired, and none clean is empty")
    return np.array(
        [
            edit_distance(first, second, most=max(len(first), len(second))) / len(first)
            for first, second in zip(clean, given, strict=True)
        ],
        dtype=np.float64,
    )


def corruption_error(
    errors: ArrayLike, baseline: ArrayLike, *, floor: float = LEAST_BASELINE
) -> float:
    """Errors over severities relative to a named baseline's, as MedMNIST-C's BE; 1 is as bad.

    sum(errors) / sum(baseline), both (severities,) of 1 - accuracy. A baseline under `floor` per
    severity counts as `floor`, and then so do errors under it: where neither errs the ratio is 1.
    MedMNIST-C: Di Salvo et al. 2024, arXiv 2406.17536, after Hendrycks and
    Dietterich 2019.

    Raises:
        StatisticRefused: no severities, or another number in each.
    """
    ours, theirs = (np.asarray(side, dtype=np.float64) for side in (errors, baseline))
    _same_items(ours, theirs)
    mine, other = float(ours.mean()), float(theirs.mean())
    return max(mine, floor) / floor if other < floor else mine / other


def relative_corruption_error(
    errors: ArrayLike,
    clean_error: float,
    baseline: ArrayLike,
    baseline_clean_error: float,
    *,
    floor: float = LEAST_BASELINE,
) -> float:
    """The same of what noise adds (MedMNIST-C's rBE): sum(errors - clean) over the baseline's.

    Floored alike: a baseline that barely drops, or gains, would make the ratio huge or turn its
    sign.
    """
    ours, theirs = (np.asarray(side, dtype=np.float64) for side in (errors, baseline))
    return corruption_error(ours - clean_error, theirs - baseline_clean_error, floor=floor)


def worst_case(accuracy: Mapping[str, float]) -> tuple[str, float]:
    """The noise with the lowest accuracy, first by name where two are equal.

    Raises:
        StatisticRefused: no noises, or one that was not measured (NaN).
    """
    if not accuracy or np.isnan(list(accuracy.values())).any():
        raise StatisticRefused("the worst case needs an accuracy for each noise, at least one")
    name = min(sorted(accuracy), key=lambda noise: accuracy[noise])
    return name, accuracy[name]


def calibration_error(
    confidence: ArrayLike, right: ArrayLike, *, bins: int = CALIBRATION_BINS
) -> float:
    """Expected calibration error: |accuracy - mean confidence| by equal-width bins of confidence.

    Weighted by how many items a bin holds; 0 to 1 (Guo et al. 2017, arXiv 1706.04599). A
    confidence on an edge belongs to the bin below, 0 to the first.

    Raises:
        StatisticRefused: no items, another number in each, or a confidence outside 0 to 1.
    """
    predicted = np.asarray(confidence, dtype=np.float64)
    hits = np.asarray(right, dtype=np.float64)
    _same_items(predicted, hits)
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise StatisticRefused("a confidence is outside 0 to 1")
    place = np.clip(np.ceil(predicted * bins).astype(int) - 1, 0, bins - 1)
    gap = np.bincount(place, weights=hits - predicted, minlength=bins)
    return float(np.abs(gap).sum() / predicted.size)


IMAGE_STATES = ("clean", "noisy", "calibrated")
TEXT_STATES = ("clean", "noisy", "refined")


def state_matrix(
    image_state: Sequence[str], text_state: Sequence[str], right: ArrayLike
) -> tuple[Floats, NDArray[np.int64]]:
    """The 3 x 3 matrix: accuracy, and number of rows, of each image state (row) and text state.

    Rows are `IMAGE_STATES`, columns `TEXT_STATES`; accuracy is NaN in a cell without rows.

    Raises:
        StatisticRefused: another number in each, or a state that is not known.
    """
    hits = np.asarray(right, dtype=np.float64)
    if not len(image_state) == len(text_state) == hits.size:
        raise StatisticRefused("image states, text states and answers differ in number")
    cell = 3 * _places(image_state, IMAGE_STATES) + _places(text_state, TEXT_STATES)
    count = np.bincount(cell, minlength=9)
    accuracy = np.full(9, np.nan)
    np.divide(np.bincount(cell, weights=hits, minlength=9), count, out=accuracy, where=count > 0)
    return accuracy.reshape(3, 3), count.reshape(3, 3)


def confusion(
    truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]
) -> NDArray[np.int64]:
    """How often each true label (row) was predicted as each label (column), (labels, labels).

    For kinds of noise, `labels` holds "clean" and "unknown" too; for severities, their numbers.

    Raises:
        StatisticRefused: another number in each, or a label that is not in `labels`.
    """
    if len(truth) != len(predicted):
        raise StatisticRefused("true and predicted labels differ in number")
    width = len(labels)
    cell = width * _places(truth, labels) + _places(predicted, labels)
    return np.asarray(np.bincount(cell, minlength=width * width)).reshape(width, width)


def false_alarms(predicted_on_clean: Sequence[str], clean: str = "clean") -> Estimate:
    """Share of clean images taken for noisy, with its interval; one element an image."""
    return share(sum(kind != clean for kind in predicted_on_clean), len(predicted_on_clean))


def _same_items(first: NDArray[np.generic], second: NDArray[np.generic]) -> None:
    if first.shape != second.shape or first.ndim != 1 or first.size == 0:
        raise StatisticRefused(
            f"two arrays of the same items are needed, got {first.shape} and {second.shape}"
        )


def _places(names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    place = {name: index for index, name in enumerate(known)}
    unknown = set(names) - place.keys()
    if unknown:
        raise StatisticRefused(f"unknown {sorted(unknown)[0]!r}; choose from {', '.join(known)}")
    return np.array([place[name] for name in names], dtype=np.int64)
