"""The figures of a report: a cell for each condition and method, and their means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imc_bench.conditions import Condition
from imc_bench.metrics.bootstrap import ClusterBootstrap, Estimate, average
from imc_bench.metrics.statistics import (
    answer_flips,
    calibration_error,
    flips,
    flips_removed,
    share,
    worst_case,
)
from imc_bench.report.baseline import Baseline, corruption_errors
from imc_bench.report.results import BASE, CLEAN, RunResults, Side, full_grid, kind_of


@dataclass(frozen=True)
class Cell:
    """One condition under one method, over the items that it shares with what it is compared with.

    Compared are `none` on clean inputs and `none` under the same condition. Shares are 0 to 1.
    """

    condition: Condition
    method: str
    accuracy: Estimate
    """By the report's rule."""
    drop: Estimate
    """Clean accuracy of `none` less this accuracy."""
    gain: Estimate
    """This accuracy less that of `none` under the same condition."""
    recovered: Estimate | None
    """Recovered share of the drop of `none`; None for `none`, and where that is under 3 %."""
    destructive: float
    """Right with `none` under the same condition (for `none`: when clean), wrong here."""
    corrective: float
    """Wrong there, right here."""
    flips: float
    """Answers that differ from the model's own clean answer, whatever the truth."""
    flips_removed: float | None
    """Share of those of `none` that are gone; None for `none`, and where there were none."""
    lost: int
    """Right answers fewer with `none` under this condition than when clean: what `recovered` is a
    share of."""
    flipped: int
    """Answers of `none` that noise changed: what `flips_removed` is a share of."""
    calibration_error: float
    touched: float
    """Items whose image or features the method changed."""
    edited: float
    """Items whose question the method changed."""
    restored: float
    """Items that were asked the clean question."""
    cer_before: float
    cer_after: float
    violations: int
    """Changes of protected words, over all items."""
    calls: float
    """Passes through the model, a question."""
    ms: float
    """Milliseconds, a question."""


def make_cells(results: RunResults) -> list[Cell]:
    """Every cell of the run that shares items with what it is compared with."""
    return [
        cell
        for condition in results.conditions
        for method in results.methods
        if (cell := make_cell(results, condition, method)) is not None
    ]


def make_cell(results: RunResults, condition: Condition, method: str) -> Cell | None:
    """One cell; None where nothing can be paired."""
    items = results.common([(CLEAN, BASE), (condition, BASE), (condition, method)])
    if not items:
        return None
    draws = ClusterBootstrap(results.groups(items))
    clean, noisy, repaired = (
        results.accuracy(draws, one, name, items)
        for one, name in ((CLEAN, BASE), (condition, BASE), (condition, method))
    )
    own = results.answers(CLEAN, BASE, items)
    flipped = answer_flips(own, results.answers(condition, BASE, items))
    left = answer_flips(own, results.answers(condition, method, items))
    is_base = method == BASE
    changed = flips(
        results.right(CLEAN if is_base else condition, BASE, items),
        results.right(condition, method, items),
    )

    def mean(field: str) -> float:
        return float(results.numbers(field, condition, method, items).mean())

    return Cell(
        condition,
        method,
        accuracy=draws.estimate(repaired),
        drop=draws.estimate(clean - repaired),
        gain=draws.estimate(repaired - noisy),
        recovered=None if is_base else draws.recovered_share(clean, noisy, repaired),
        destructive=changed.destructive,
        corrective=changed.corrective,
        flips=float(left.mean()),
        flips_removed=None if is_base else flips_removed(flipped, left),
        lost=round(len(items) * (clean.value - noisy.value)),
        flipped=int(flipped.sum()),
        calibration_error=calibration_error(
            results.numbers("confidence", condition, method, items),
            results.numbers("value", condition, method, items),
        ),
        touched=mean("touched"),
        edited=mean("question_edited"),
        restored=mean("question_restored"),
        cer_before=mean("cer_before"),
        cer_after=mean("cer_after"),
        violations=int(
            results.numbers("protected_violations", condition, method, items).sum(),
        ),
        calls=mean("calls"),
        ms=mean("ms"),
    )


@dataclass(frozen=True)
class SideSummary:
    """One method over all noises of a side: means over kinds, then severities."""

    method: str
    side: Side
    accuracy: Estimate
    drop: Estimate
    gain: Estimate
    recovered: Estimate | None
    flips: float
    flips_removed: float | None
    lost: int
    """As of a cell, over all conditions of the side."""
    flipped: int
    conditions: int
    worst_noise: str
    worst_accuracy: float
    corruption_error: float
    """Error relative to the baseline's, mean over kinds; NaN where that was not measured (BE)."""
    relative_corruption_error: float
    """Error that noise adds relative to what it adds for the baseline, mean over kinds (rBE)."""
    violations: int
    calls: float
    ms: float


@dataclass(frozen=True)
class CleanSummary:
    """What one method does to clean inputs: its harm."""

    method: str
    accuracy: Estimate
    accuracy_change: Estimate
    destructive: float
    corrective: float
    flips: float
    touched: Estimate
    """Images changed though clean, each counted once, by Wilson's interval."""
    false_edits: Estimate
    """Questions changed though clean."""
    violations: int
    calls: float
    ms: float


def summarise_side(
    results: RunResults, side: Side, method: str, baseline: Baseline | None = None
) -> SideSummary | None:
    """One method over one side; None where it was not measured, or nothing can be paired.

    Without a `baseline`, corruption errors are relative to `none` of the same run.
    """
    grid = full_grid(results.on(side))
    flat = [condition for kinds in grid for condition in kinds]
    pairs = [(condition, name) for condition in flat for name in dict.fromkeys((BASE, method))]
    items = results.common([(CLEAN, BASE), (CLEAN, method), *pairs]) if flat else []
    if not items:
        return None

    own = results.answers(CLEAN, BASE, items)

    def flipped(name: str) -> float:
        return float(
            np.mean([answer_flips(own, results.answers(one, name, items)).mean() for one in flat])
        )

    def mean(what: str) -> float:
        return float(np.mean([results.numbers(what, one, method, items).mean() for one in flat]))

    draws = ClusterBootstrap(results.groups(items))
    clean = results.accuracy(draws, CLEAN, BASE, items)
    # the grid is full: the mean over its cells is the mean over kinds, then severities
    by_cell = {one: results.accuracy(draws, one, method, items) for one in flat}
    noisy = average([results.accuracy(draws, one, BASE, items) for one in flat])
    repaired = average(list(by_cell.values()))
    is_base = method == BASE
    before, after = flipped(BASE), flipped(method)
    by_kind = {kind_of(row[0]): float(np.mean([by_cell[one].value for one in row])) for row in grid}
    against = corruption_errors(results, grid, method, items, baseline)
    worst_noise, worst_accuracy = worst_case(by_kind)
    return SideSummary(
        method,
        side,
        accuracy=draws.estimate(repaired),
        drop=draws.estimate(clean - repaired),
        gain=draws.estimate(repaired - noisy),
        recovered=None if is_base else draws.recovered_share(clean, noisy, repaired),
        flips=after,
        flips_removed=None if is_base or before == 0 else 1 - after / before,
        lost=round(len(items) * len(flat) * (clean.value - noisy.value)),
        flipped=round(len(items) * len(flat) * before),
        conditions=len(flat),
        worst_noise=worst_noise,
        worst_accuracy=worst_accuracy,
        corruption_error=against.error,
        relative_corruption_error=against.relative,
        violations=int(
            sum(results.numbers("protected_violations", one, method, items).sum() for one in flat)
        ),
        calls=mean("calls"),
        ms=mean("ms"),
    )


def summarise_clean(results: RunResults, method: str) -> CleanSummary | None:
    """What the method does to clean inputs; None where it has no clean rows."""
    items = results.common([(CLEAN, BASE), (CLEAN, method)])
    if not items:
        return None
    draws = ClusterBootstrap(results.groups(items))
    before, after = (results.accuracy(draws, CLEAN, name, items) for name in (BASE, method))
    changed = flips(results.right(CLEAN, BASE, items), results.right(CLEAN, method, items))
    own, given = results.answers(CLEAN, BASE, items), results.answers(CLEAN, method, items)

    def numbers(field: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return results.numbers(field, CLEAN, method, items)

    return CleanSummary(
        method,
        accuracy=draws.estimate(after),
        accuracy_change=draws.estimate(after - before),
        destructive=changed.destructive,
        corrective=changed.corrective,
        flips=float(answer_flips(own, given).mean()),
        touched=_images_touched(results, method, items),
        false_edits=share(int(numbers("question_edited").sum()), len(items)),
        violations=int(numbers("protected_violations").sum()),
        calls=float(numbers("calls").mean()),
        ms=float(numbers("ms").mean()),
    )


def _images_touched(results: RunResults, method: str, items: list[str]) -> Estimate:
    """Of images, not of questions: several questions share an image and are not independent."""
    rows = results.responses[CLEAN, method]
    images = {rows[item].image: rows[item].touched for item in items}
    return share(sum(images.values()), len(images))
