"""What corruption errors are relative to: a method of the same run, or another run's bare model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imc_bench.conditions import Condition
from imc_bench.metrics.statistics import corruption_error, relative_corruption_error
from imc_bench.report.results import BASE, CLEAN, ReportRefused, RunResults, read_results

_MARKS = ("value", "counted")


@dataclass(frozen=True)
class Baseline:
    """A named baseline."""

    name: str
    """For a reader: the method, or the other run with its model."""
    results: RunResults
    method: str


@dataclass(frozen=True)
class CorruptionErrors:
    """One method over a side, relative to a baseline; 1 is as bad, NaN not measured."""

    error: float
    """BE: error summed over severities over the baseline's, mean over kinds."""
    relative: float
    """rBE: the same of what noise adds to the clean error."""


def read_baseline(named: str | None, results: RunResults) -> Baseline:
    """The baseline called `named`: a method of this run, or the path of another run's store.

    None means the method `none`, the model as it is. Of another run it is its `none` that is
    taken, by the same rule.

    Raises:
        StoreRefused: the file is no store.
        ReportRefused: neither method nor file, or a run on other data or with noise put elsewhere.
    """
    method = named or BASE
    if method in results.methods:
        return Baseline(f"method {method}", results, method)
    path = Path(method)
    if not path.exists():
        raise ReportRefused(
            f"--baseline {method!r}: is no method of this run ({', '.join(results.methods)}) and "
            "no file; give one of these, or the store of another run"
        )
    other = read_results(path, results.rule)
    for what in ("dataset", "split", "noise_at"):
        if getattr(other, what) != getattr(results, what):
            raise ReportRefused(
                f"--baseline {path}: differs in {what.replace('_', ' ')} ({getattr(other, what)}, "
                f"the run has {getattr(results, what)}); give a run on the same data"
            )
    return Baseline(f"method {BASE} of {other.facts['model']['name']} ({path.name})", other, BASE)


def corruption_errors(
    results: RunResults,
    grid: Sequence[Sequence[Condition]],
    method: str,
    items: Sequence[str],
    baseline: Baseline | None = None,
) -> CorruptionErrors:
    """BE and rBE of a method over a side's conditions, on the items that the baseline has too.

    Args:
        results: the run of the method.
        grid: the side's conditions, (kinds, severities).
        method: one that has rows of all of them.
        items: those that all of its cells hold.
        baseline: None for method `none` of the same run.
    """
    base = baseline or Baseline(f"method {BASE}", results, BASE)
    flat = [condition for row in grid for condition in row]
    theirs = base.results.common([(CLEAN, base.method), *((one, base.method) for one in flat)])
    shared = sorted({*items} & {*theirs})
    if not shared:
        return CorruptionErrors(float("nan"), float("nan"))

    def error(of: RunResults, condition: Condition, name: str) -> float:
        value, counted = (of.numbers(what, condition, name, shared) for what in _MARKS)
        return 1 - float(np.average(value, weights=counted)) if counted.any() else float("nan")

    own_clean = error(results, CLEAN, method)
    base_clean = error(base.results, CLEAN, base.method)
    pairs = [
        (
            [error(results, one, method) for one in row],
            [error(base.results, one, base.method) for one in row],
        )
        for row in grid
    ]
    return CorruptionErrors(
        float(np.mean([corruption_error(own, other) for own, other in pairs])),
        float(
            np.mean(
                [
                    relative_corruption_error(own, own_clean, other, base_clean)
                    for own, other in pairs
                ]
            )
        ),
    )
