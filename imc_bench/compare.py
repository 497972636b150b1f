"""Two runs side by side: paired differences over the items, conditions and methods they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imc_bench.conditions import Condition
from imc_bench.metrics.bootstrap import ClusterBootstrap, Estimate, Resampled, average
from imc_bench.metrics.scoring import Rule
from imc_bench.metrics.statistics import Flips, flips
from imc_bench.report.document import interval, number
from imc_bench.report.results import (
    CLEAN,
    SIDES,
    ReportRefused,
    RunResults,
    full_grid,
    read_results,
    side_of,
)
from imc_bench.report.table import Table, points, shown_estimate
from imc_bench.report.wording import SIDE_WORDS


@dataclass(frozen=True)
class Difference:
    """The second run against the first, over the same items."""

    on: str
    """`clean`, a condition, or the mean over a side: `image`, `text`, `both`."""
    method: str
    first: Estimate
    second: Estimate
    difference: Estimate
    """Accuracy of the second less that of the first, paired."""
    flips: Flips | None
    """Answers made wrong and made right in the second; None for a mean over conditions."""


@dataclass(frozen=True)
class Comparison:
    """Everything that two runs share."""

    first: RunResults
    second: RunResults
    differ: Mapping[str, tuple[Any, Any]]
    """What the two were made with that is not the same: name, and both values."""
    sides: tuple[Difference, ...]
    """Clean, then each side's mean over kinds and severities."""
    cells: tuple[Difference, ...]


def compare_runs(first: Path, second: Path, *, rule: Rule = "strict") -> Comparison:
    """Compare two stores, their answers scored by `rule`.

    Raises:
        StoreRefused: one is no store.
        ReportRefused: one is empty, or they are of different data, or share no items.
    """
    one, other = read_results(first, rule), read_results(second, rule)
    for what in ("dataset", "split", "noise_at"):
        if getattr(one, what) != getattr(other, what):
            raise ReportRefused(
                f"the runs differ in {what.replace('_', ' ')} ({getattr(one, what)} and "
                f"{getattr(other, what)}); only answers to the same items can be paired"
            )
    shared = one.items.keys() & other.items.keys()
    for item in sorted(shared):
        if one.items[item] != other.items[item]:
            raise ReportRefused(
                f"item {item!r} has another answer or image group in the second run; "
                "the data set was changed between them, measure one of them again"
            )
    methods = [name for name in one.methods if name in other.methods]
    conditions = [condition for condition in one.conditions if condition in other.conditions]
    cells = [
        found
        for condition in conditions
        for method in methods
        if (found := _cell(one, other, condition, method)) is not None
    ]
    if not cells:
        raise ReportRefused("the runs share no item under the same condition and method")
    sides = [cell for cell in cells if cell.on == str(CLEAN)]
    for side in SIDES:
        grid = full_grid([condition for condition in conditions if side_of(condition) == side])
        sides += [
            found
            for method in methods
            if (found := _side(one, other, side, grid, method)) is not None
        ]
    return Comparison(one, other, _differ(one, other), tuple(sides), tuple(cells))


def comparison_table(comparison: Comparison, *, every: bool = False) -> Table:
    """Means by side, or `every` condition, as a table."""
    rows = comparison.cells if every else comparison.sides
    return Table(
        "compare",
        "The second run against the first",
        ("on", "method", "first %", "second %", "difference (points)", "claimed", "n"),
        tuple(
            (
                SIDE_WORDS.get(one.on, one.on),
                one.method,
                shown_estimate(one.first),
                shown_estimate(one.second),
                points(one.difference),
                "yes" if one.difference.claimed else "no",
                str(one.difference.items),
            )
            for one in rows
        ),
        f"Rule: {comparison.first.rule}. Paired over the items both hold; "
        "95 % intervals by bootstrap clustered by image. Claimed: the interval leaves out 0; "
        "n: questions.",
        terms=("claimed",),
        labels=2,
    )


def comparison_verdict(comparison: Comparison) -> str:
    """One sentence: where the second run is better or worse beyond the 95 % interval."""
    claimed = [
        f"{one.method} on {SIDE_WORDS.get(one.on, one.on)} {points(one.difference)} points"
        for one in comparison.sides
        if one.difference.claimed
    ]
    if not claimed:
        return "No difference between the two runs is beyond its 95 % interval."
    return f"Second run less the first, beyond the 95 % interval: {'; '.join(claimed)}."


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values."""
    return {
        "first": comparison.first.facts["run_key"],
        "second": comparison.second.facts["run_key"],
        "rule": comparison.first.rule,
        "differ": {name: list(pair) for name, pair in comparison.differ.items()},
        "summary": [_plain(one) for one in comparison.sides],
        "cells": [_plain(one) for one in comparison.cells],
    }


def _plain(one: Difference) -> dict[str, Any]:
    return {
        "on": one.on,
        "method": one.method,
        "first": number(one.first.value),
        "second": number(one.second.value),
        "difference": number(one.difference.value),
        "difference_interval": interval(one.difference),
        "claimed": one.difference.claimed,
        "destructive": None if one.flips is None else number(one.flips.destructive),
        "corrective": None if one.flips is None else number(one.flips.corrective),
        "items": one.difference.items,
        "images": one.difference.clusters,
    }


def _cell(
    one: RunResults, other: RunResults, condition: Condition, method: str
) -> Difference | None:
    cell = [(condition, method)]
    items = sorted(set(one.common(cell)) & set(other.common(cell)))
    if not items:
        return None
    right = [results.right(condition, method, items) for results in (one, other)]
    return _difference(
        str(condition),
        method,
        (one, other),
        items,
        lambda results, draws: results.accuracy(draws, condition, method, items),
        flips(*right),
    )


def _side(
    one: RunResults, other: RunResults, side: str, grid: list[list[Condition]], method: str
) -> Difference | None:
    cells = [(condition, method) for row in grid for condition in row]
    items = sorted(set(one.common(cells)) & set(other.common(cells)))
    if not items:
        return None
    return _difference(
        side,
        method,
        (one, other),
        items,
        lambda results, draws: average(
            [results.accuracy(draws, condition, method, items) for condition, _ in cells]
        ),
        None,
    )


def _difference(
    on: str,
    method: str,
    runs: tuple[RunResults, RunResults],
    items: Sequence[str],
    figure: Callable[[RunResults, ClusterBootstrap], Resampled],
    flipped: Flips | None,
) -> Difference:
    draws = ClusterBootstrap(runs[0].groups(items))
    before, after = (figure(results, draws) for results in runs)
    return Difference(
        on,
        method,
        draws.estimate(before),
        draws.estimate(after),
        draws.estimate(after - before),
        flipped,
    )


def _differ(one: RunResults, other: RunResults) -> dict[str, tuple[Any, Any]]:
    """A seed that differs is among them: then the draws of noise are not the same."""
    found = {}
    for part in ("arguments", "versions", "model"):
        first, second = one.facts[part], other.facts[part]
        for name in sorted({*first, *second}):
            if first.get(name) != second.get(name):
                found[name] = (first.get(name), second.get(name))
    return found
