"""All of a report's figures together, and as one JSON document for a program."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imc_bench.bootstrap import Estimate, Floats
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
from imc_bench.report.reliability import Gate, Reliability, answer_reliability
from imc_bench.report.results import SIDES, RunResults, Side, read_results
from imc_bench.report.scores import RuleScores, rule_scores
from imc_bench.report.severity import PREDICTED_SEVERITIES
from imc_bench.scoring import Rule
from imc_bench.statistics import IMAGE_STATES, TEXT_STATES


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


def to_document(report: Report) -> dict[str, Any]:
    """The report as JSON values: shares 0 to 1, an interval beside each estimate, null for none."""
    results, arguments = report.results, report.results.facts["arguments"]
    by_side = {side: {one.method: one for one in all_} for side, all_ in report.sides.items()}
    clean = {one.method: one for one in report.clean}
    found = report.perception
    return {
        "run": {
            "run_key": results.facts["run_key"],
            "data_set": results.dataset,
            "split": results.split,
            "noise_at": results.noise_at,
            "rule": results.rule,
            "baseline": report.baseline,
            "seed": arguments.get("seed"),
            "items": len(results.items),
            "images": len(results.images),
            "groups": len({item.group for item in results.items.values()}),
            "model": results.facts["model"],
            "versions": results.facts["versions"],
            "created": results.facts["created"],
            "machine": results.facts["machine"],
            "command": results.facts["command"],
            "complete": results.standing.complete,
            "rows": results.standing.rows,
            "expected": results.standing.expected,
            "skipped": results.standing.skipped,
            "bad_rows": len(results.facts["bad_rows"]),
        },
        "summary": {
            method: {
                **{
                    side: _plain(by_side[side][method])
                    for side in SIDES
                    if method in by_side.get(side, {})
                },
                **({"clean": _plain(clean[method])} if method in clean else {}),
            }
            for method in results.methods
        },
        "matrix": {
            "image": list(IMAGE_STATES),
            "text": list(TEXT_STATES),
            "accuracy": [[number(value) for value in row] for row in report.matrix],
        },
        "perception": None
        if found is None
        else {
            "truth": list(found.truth),
            "predicted": list(found.predicted),
            "kinds": found.kinds.tolist(),
            "severities": [
                {
                    "kind": one.kind,
                    "true": list(one.true),
                    "predicted": list(PREDICTED_SEVERITIES),
                    "images": list(one.images),
                    "counts": one.counts.tolist(),
                    "missed": list(one.missed),
                    "other": list(one.other),
                    **_share("exact", one.exact),
                    **_share("within_one", one.within_one),
                }
                for one in found.severities
            ],
            "identified": number(found.identified),
            **_share("false_alarms", found.false_alarms),
            "absent": list(found.absent),
            **_share("absent_unknown", found.absent_unknown),
            "gate": None if found.gate is None else _gate(found.gate),
        },
        "reliability": {
            name: {
                "cases": one.cases,
                "expected_calibration_error": number(one.error),
                "bins": [
                    {
                        "low": of.low,
                        "high": of.high,
                        "cases": of.right.items,
                        "confidence": number(of.confidence),
                        **_share("accuracy", of.right),
                    }
                    for of in one.bins
                ],
            }
            for name, one in report.reliability.items()
        },
        "scores": [
            {
                name: number(value) if isinstance(value, float) else value
                for name, value in asdict(one).items()
            }
            for one in report.scores
        ],
        "cells": [
            {
                "image_noise": cell.condition.image_noise,
                "image_severity": cell.condition.image_severity,
                "text_noise": cell.condition.text_noise,
                "text_severity": cell.condition.text_severity,
                **_plain(cell),
            }
            for cell in report.cells
        ],
    }


def _plain(figures: Cell | SideSummary | CleanSummary) -> dict[str, Any]:
    """Every figure by name; an estimate as its value and `<name>_interval`, and `items` once."""
    made: dict[str, Any] = {}
    for field in fields(figures):
        value = getattr(figures, field.name)
        if field.name in {"condition", "side"}:
            continue
        if isinstance(value, Estimate):
            made[field.name] = number(value.value)
            made[f"{field.name}_interval"] = interval(value)
        elif isinstance(value, float):
            made[field.name] = number(value)
        else:
            made[field.name] = value
            if value is None and field.name == "recovered":
                made["recovered_interval"] = None
    return {**made, "items": figures.accuracy.items, "images": figures.accuracy.clusters}


def _gate(found: Gate) -> dict[str, Any]:
    """Shares called noisy at each level, and the intervals beside them."""
    return {
        "level": list(found.levels),
        "clean": [number(one.value) for one in found.clean],
        "clean_interval": [interval(one) for one in found.clean],
        "noisy": [number(one.value) for one in found.noisy],
        "noisy_interval": [interval(one) for one in found.noisy],
    }


def _share(name: str, estimate: Estimate | None) -> dict[str, Any]:
    return {
        name: None if estimate is None else number(estimate.value),
        f"{name}_interval": None if estimate is None else interval(estimate),
    }


def interval(estimate: Estimate) -> list[float | None]:
    """95 %; a missing end is one that the data do not bound."""
    return [number(estimate.low), number(estimate.high)]


def number(value: float) -> float | None:
    """JSON has neither NaN nor infinity; ten digits leave no rounding dust."""
    return round(float(value), 10) + 0.0 if math.isfinite(value) else None
