"""The same answers by all three scoring rules, so that they can be set beside the literature."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from imc_bench.conditions import Condition
from imc_bench.metrics.scoring import llavamed_compat, lmms_eval, strict
from imc_bench.report.results import CLEAN, SIDES, Response, RunResults, Side, full_grid


@dataclass(frozen=True)
class RuleScores:
    """One method on clean inputs or over a side; shares 0 to 1, NaN where there are no such items.

    Over a side: means over its conditions, which are as many for each kind and severity.
    """

    on: str
    method: str
    strict_closed: float
    strict_open: float
    """Exact match."""
    strict_open_recall: float
    strict_open_f1: float
    lmms_eval: float
    llavamed_closed: float
    """Of those that the rule counts."""
    llavamed_open: float
    """Token recall, as it is published."""


def rule_scores(results: RunResults) -> list[RuleScores]:
    """Clean, then each side, for every method that was measured there."""
    found = []
    for on, conditions in (("clean", [CLEAN]), *((side, _flat(results, side)) for side in SIDES)):
        for method in results.methods:
            held = [one for one in conditions if results.responses.get((one, method))]
            if not held or len(held) < len(conditions):
                continue
            each = [_scores(results, results.responses[one, method].items()) for one in held]
            found.append(RuleScores(on, method, *map(_mean, zip(*each, strict=True))))
    return found


def _flat(results: RunResults, side: Side) -> list[Condition]:
    return [condition for row in full_grid(results.on(side)) for condition in row]


def _scores(results: RunResults, rows: Iterable[tuple[str, Response]]) -> tuple[float, ...]:
    """One condition's seven figures, in the order of `RuleScores`."""
    answered = [(row.prediction, results.items[item]) for item, row in rows]
    closed = [(response, one.answer) for response, one in answered if one.closed]
    open_ = [(response, one.answer) for response, one in answered if not one.closed]
    ours = [strict(response, true, False) for response, true in open_]
    theirs = [llavamed_compat(response, true, True) for response, true in closed]
    return (
        _mean([strict(response, true, True).correct for response, true in closed]),
        _mean([one.correct for one in ours]),
        _mean([one.recall for one in ours]),
        _mean([one.f1 for one in ours]),
        _mean([lmms_eval(response, one.answer, one.closed).value for response, one in answered]),
        _mean([one.value for one in theirs if one.counted]),
        _mean([llavamed_compat(response, true, False).value for response, true in open_]),
    )


def _mean(values: Sequence[float]) -> float:
    kept = [value for value in values if not math.isnan(value)]
    return float(np.mean(kept)) if kept else math.nan
