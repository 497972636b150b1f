"""A report as one JSON document for a program."""

from __future__ import annotations

import math
from dataclasses import asdict, fields
from typing import Any

from imc_bench.metrics.bootstrap import Estimate
from imc_bench.metrics.statistics import IMAGE_STATES, TEXT_STATES
from imc_bench.report.cells import Cell, CleanSummary, SideSummary
from imc_bench.report.reliability import Gate
from imc_bench.report.report import Report
from imc_bench.report.results import SIDES
from imc_bench.report.severity import PREDICTED_SEVERITIES
from imc_bench.report.verdict import details, headline


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
            "complete": results.progress.complete,
            "rows": results.progress.rows,
            "expected": results.progress.expected,
            "skipped": results.progress.skipped,
            "bad_rows": len(results.facts["bad_rows"]),
        },
        "verdict": {"headline": headline(report), "details": details(report)},
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
