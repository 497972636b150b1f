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
from imc_bench.report.frame import SIDES, Frame, Side, read_frame
from imc_bench.report.perception import Perception, matrix, perception
from imc_bench.report.reliability import Gate
from imc_bench.report.scores import RuleScores, rule_scores
from imc_bench.report.severity import SAID
from imc_bench.scoring import Rule
from imc_bench.statistics import IMAGE_STATES, TEXT_STATES


@dataclass(frozen=True)
class Report:
    """Everything that tables, plots and the page are made from."""

    frame: Frame
    cells: tuple[Cell, ...]
    sides: Mapping[Side, tuple[SideSummary, ...]]
    """By side, those that were measured; in the order of `frame.methods`."""
    clean: tuple[CleanSummary, ...]
    matrix: Floats
    """(image states, text states), NaN where not measured."""
    matrix_conditions: NDArray[np.int64]
    perception: Perception | None
    scores: tuple[RuleScores, ...]
    baseline: str
    """What corruption errors are relative to."""


def make_report(store: Path, *, rule: Rule = "strict", baseline: str | None = None) -> Report:
    """Read a store and work out every figure.

    Args:
        store: of a run.
        rule: how answers are scored.
        baseline: a method of the run or another run's store, for corruption errors; None: `none`.

    Raises StoreRefused or ReportRefused.
    """
    frame = read_frame(store, rule)
    base = read_baseline(baseline, frame)
    sides = {
        side: tuple(
            found
            for method in frame.methods
            if (found := summarise_side(frame, side, method, base)) is not None
        )
        for side in SIDES
    }
    clean = [summarise_clean(frame, method) for method in frame.methods]
    accuracy, conditions = matrix(frame)
    return Report(
        frame,
        tuple(make_cells(frame)),
        {side: found for side, found in sides.items() if found},
        tuple(one for one in clean if one is not None),
        accuracy,
        conditions,
        perception(frame),
        tuple(rule_scores(frame)),
        base.name,
    )


def to_document(report: Report) -> dict[str, Any]:
    """The report as JSON values: shares 0 to 1, an interval beside each estimate, null for none."""
    frame, arguments = report.frame, report.frame.facts["arguments"]
    by_side = {side: {one.method: one for one in all_} for side, all_ in report.sides.items()}
    clean = {one.method: one for one in report.clean}
    seen = report.perception
    return {
        "run": {
            "run_key": frame.facts["run_key"],
            "data_set": frame.dataset,
            "split": frame.split,
            "noise_at": frame.noise_at,
            "rule": frame.rule,
            "baseline": report.baseline,
            "seed": arguments.get("seed"),
            "items": len(frame.items),
            "images": len(frame.images),
            "groups": len({item.group for item in frame.items.values()}),
            "model": frame.facts["model"],
            "versions": frame.facts["versions"],
            "created": frame.facts["created"],
            "machine": frame.facts["machine"],
            "command": frame.facts["command"],
            "complete": frame.standing.complete,
            "rows": frame.standing.rows,
            "expected": frame.standing.expected,
            "skipped": frame.standing.skipped,
            "bad_rows": len(frame.facts["bad_rows"]),
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
            for method in frame.methods
        },
        "matrix": {
            "image": list(IMAGE_STATES),
            "text": list(TEXT_STATES),
            "accuracy": [[number(value) for value in row] for row in report.matrix],
        },
        "perception": None
        if seen is None
        else {
            "truth": list(seen.truth),
            "said": list(seen.said),
            "kinds": seen.kinds.tolist(),
            "severities": [
                {
                    "kind": one.kind,
                    "true": list(one.true),
                    "said": list(SAID),
                    "images": list(one.images),
                    "counts": one.counts.tolist(),
                    **_share("exact", one.exact),
                    **_share("within_one", one.within_one),
                }
                for one in seen.severities
            ],
            "identified": number(seen.identified),
            **_share("false_alarms", seen.false_alarms),
            "absent": list(seen.absent),
            **_share("absent_unknown", seen.absent_unknown),
            "gate": None if seen.gate is None else _gate(seen.gate),
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
