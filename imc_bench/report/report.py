"""All figures of one run together: what tables, pictures, page and JSON document show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imc_bench.metrics.bootstrap import Floats
from imc_bench.metrics.scoring import Rule
from imc_bench.report.baseline import read_baseline
from imc_bench.report.cells import (
    Cell,
    CleanSummary,
    SideSummary,
    make_cells,
    summarise_clean,
    summarise_side,
)
from imc_bench.report.perception import Perception, matrix, perception
from imc_bench.report.reliability import Reliability, answer_reliability
from imc_bench.report.results import SIDES, RunResults, Side, read_results
from imc_bench.report.scores import RuleScores, rule_scores


@dataclass(frozen=True)
class Report:
    """Everything that tables, pictures and the page show."""

    results: RunResults
    cells: tuple[Cell, ...]
    sides: Mapping[Side, tuple[SideSummary, ...]]
    """By side, those that were measured; in the order of `results.methods`."""
    clean: tuple[CleanSummary, ...]
    matrix: Floats
    """(image states, text states), NaN where not measured."""
    matrix_conditions: NDArray[np.int64]
    perception: Perception | None
    reliability: Mapping[str, Reliability]
    """Of the answers' confidence (`answer_reliability`)."""
    scores: tuple[RuleScores, ...]
    baseline: str
    """What corruption errors are relative to."""


def make_report(store: Path, *, rule: Rule = "strict", baseline: str | None = None) -> Report:
    """Read a store and compute every figure.

    Args:
        store: of a run.
        rule: how answers are scored.
        baseline: a method of the run or another run's store, for corruption errors; None: `none`.

    Raises StoreRefused or ReportRefused.
    """
    results = read_results(store, rule)
    base = read_baseline(baseline, results)
    sides = {
        side: tuple(
            found
            for method in results.methods
            if (found := summarise_side(results, side, method, base)) is not None
        )
        for side in SIDES
    }
    clean = [summarise_clean(results, method) for method in results.methods]
    accuracy, conditions = matrix(results)
    return Report(
        results,
        tuple(make_cells(results)),
        {side: found for side, found in sides.items() if found},
        tuple(one for one in clean if one is not None),
        accuracy,
        conditions,
        perception(results),
        answer_reliability(results),
        tuple(rule_scores(results)),
        base.name,
    )
