"""The tables of a report: which there are, and which figures stand in them."""

from __future__ import annotations

from collections.abc import Mapping

from imc_bench.report.document import Report
from imc_bench.report.perception_tables import kind_table, severity_table
from imc_bench.report.reliability_tables import gate_table
from imc_bench.report.results import side_of
from imc_bench.report.table import Table, percent, points, ratio, recovered, shown_estimate
from imc_bench.scoring import Rule
from imc_bench.statistics import IMAGE_STATES, TEXT_STATES

RULE_WORDS: Mapping[Rule, str] = {
    "strict": "strict scores",
    "lmms_eval": "scores by lmms-eval's SLAKE rule",
    "llavamed_compat": "scores by LLaVA-Med's rule, closed answers by the share right of those it "
    "counts, open ones by token recall",
}
"""How the accuracies of a report were come by."""


def make_tables(report: Report) -> list[Table]:
    """Every table that the run has rows for, the main one first."""
    tables = [_main(report), _clean(report), _cells(report), _matrix(report)]
    if any(side_of(cell.condition) == "control" for cell in report.cells):
        tables.append(_controls(report))
    tables += [_text(report), _scores(report)]
    if report.perception is not None:
        tables += [kind_table(report.perception), severity_table(report.perception)]
        if report.perception.gate is not None:
            tables.append(gate_table(report.perception.gate))
    return [table for table in tables if table.rows]


def _main(report: Report) -> Table:
    rows = [
        (
            one.side,
            one.method,
            shown_estimate(one.accuracy),
            points(one.drop),
            points(one.gain),
            recovered(one.recovered),
            percent(one.flips),
            percent(one.flips_removed),
            f"{one.worst_noise} {percent(one.worst_accuracy)}",
            ratio(one.corruption_error),
            ratio(one.relative_corruption_error),
        )
        for side in report.sides.values()
        for one in side
    ]
    return Table(
        "summary",
        "Noisy inputs: what was lost and what was won back",
        (
            "noise on",
            "method",
            "accuracy %",
            "drop (points)",
            "gain over none (points)",
            "recovered %",
            "flips %",
            "flips removed %",
            "worst noise %",
            "BE",
            "rBE",
        ),
        tuple(rows),
        _about(report) + " Means over kinds, then severities. Recovered is not shown where noise "
        "costs under 3 points; inf: the data do not bound it. Flips are answers unlike the model's "
        "own clean answer. BE is the error over all severities of a kind relative to that of the "
        "baseline, rBE the same of the error that noise adds, both means over kinds; the baseline "
        f"is {report.baseline}. As in MedMNIST-C, whose errors are balanced over classes, which "
        "answers do not have; errors under 1 % a severity count as 1 % where the baseline's are.",
    )


def _clean(report: Report) -> Table:
    return Table(
        "clean",
        "Clean inputs: the harm of each method",
        (
            "method",
            "accuracy %",
            "change (points)",
            "destroyed %",
            "corrected %",
            "flips %",
            "images touched %",
            "false edits %",
            "protected violations",
            "calls",
            "ms",
        ),
        tuple(
            (
                one.method,
                shown_estimate(one.accuracy),
                points(one.accuracy_change),
                percent(one.destructive),
                percent(one.corrective),
                percent(one.flips),
                shown_estimate(one.touched),
                shown_estimate(one.false_edits),
                str(one.violations),
                f"{one.calls:.2f}",
                f"{one.ms:.1f}",
            )
            for one in report.clean
        ),
        _about(report) + " Compared with method none on the same clean items.",
    )


def _cells(report: Report) -> Table:
    return Table(
        "cells",
        "Every noise, severity and method",
        (
            "condition",
            "method",
            "accuracy %",
            "drop (points)",
            "gain over none (points)",
            "recovered %",
            "destroyed %",
            "corrected %",
            "flips %",
            "flips removed %",
            "ECE %",
            "items",
        ),
        tuple(
            (
                str(cell.condition),
                cell.method,
                shown_estimate(cell.accuracy),
                points(cell.drop),
                points(cell.gain),
                recovered(cell.recovered),
                percent(cell.destructive),
                percent(cell.corrective),
                percent(cell.flips),
                percent(cell.flips_removed),
                percent(cell.calibration_error),
                str(cell.accuracy.items),
            )
            for cell in report.cells
            if side_of(cell.condition) != "control"
        ),
        _about(report)
        + " Destroyed and corrected are against none under the same condition, for none itself "
        "against its clean answers.",
    )


def _controls(report: Report) -> Table:
    return Table(
        "controls",
        "Without the image: does the model look?",
        ("image", "method", "accuracy %", "drop (points)", "flips %"),
        tuple(
            (
                str(cell.condition),
                cell.method,
                shown_estimate(cell.accuracy),
                points(cell.drop),
                percent(cell.flips),
            )
            for cell in report.cells
            if side_of(cell.condition) in {"clean", "control"}
        ),
        "blank: black pixels; swapped: the image of another group. A model that looks falls far.",
    )


def _text(report: Report) -> Table:
    return Table(
        "text",
        "Questions: what each method made of them",
        (
            "condition",
            "method",
            "edited %",
            "restored %",
            "CER before %",
            "CER after %",
            "protected violations",
            "calls",
            "ms",
        ),
        tuple(
            (
                str(cell.condition),
                cell.method,
                percent(cell.edited),
                percent(cell.restored),
                percent(cell.cer_before),
                percent(cell.cer_after),
                str(cell.violations),
                f"{cell.calls:.2f}",
                f"{cell.ms:.1f}",
            )
            for cell in report.cells
            if side_of(cell.condition) in {"clean", "text"}
        ),
        "Edited on clean questions is the false-edit rate. Restored: the clean question, letter by "
        "letter. CER: character errors against it.",
    )


def _scores(report: Report) -> Table:
    return Table(
        "scores",
        "The same answers by three scoring rules",
        (
            "on",
            "method",
            "strict closed %",
            "strict open %",
            "open recall %",
            "open F1 %",
            "lmms-eval %",
            "LLaVA-Med closed %",
            "LLaVA-Med open %",
        ),
        tuple(
            (
                one.on,
                one.method,
                percent(one.strict_closed),
                percent(one.strict_open),
                percent(one.strict_open_recall),
                percent(one.strict_open_f1),
                percent(one.lmms_eval),
                percent(one.llavamed_closed),
                percent(one.llavamed_open),
            )
            for one in report.scores
        ),
        "LLaVA-Med's rule, reproduced with its quirks, leaves wrong yes/no answers out; lmms-eval "
        "is its SLAKE rule over all questions.",
    )


def _matrix(report: Report) -> Table:
    return Table(
        "matrix",
        "Image state by text state: accuracy %",
        ("image", *(f"text {state}" for state in TEXT_STATES)),
        tuple(
            (f"image {state}", *(percent(float(value)) for value in row))
            for state, row in zip(IMAGE_STATES, report.matrix, strict=True)
        ),
        "The four with noise on both sides need joined noises (--noises low_dose+typo).",
    )


def _about(report: Report) -> str:
    results = report.results
    return (
        f"{results.dataset} {results.split}, {len(results.items)} questions on "
        f"{len(results.images)} images; image noise at {results.noise_at} resolution; "
        f"{RULE_WORDS[results.rule]}; 95 % intervals by paired bootstrap clustered by image."
    )
