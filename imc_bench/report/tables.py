"""The tables of a report: which there are, and which figures they hold."""

from __future__ import annotations

from imc_bench.metrics.statistics import IMAGE_STATES, TEXT_STATES
from imc_bench.report.answer_tables import control_table, question_table, score_table
from imc_bench.report.perception_tables import kind_table, severity_table
from imc_bench.report.reliability_tables import bin_table, gate_table
from imc_bench.report.report import Report
from imc_bench.report.results import side_of
from imc_bench.report.shares import NOTHING_ADDED, shown_flips_removed, shown_recovered
from imc_bench.report.table import Table, percent, points, ratio, shown_estimate
from imc_bench.report.wording import SIDE_WORDS, about


def make_tables(report: Report) -> list[Table]:
    """Every table that the run has rows for, the main one first."""
    tables = [_main(report), _clean(report), _cells(report), _matrix(report)]
    if any(side_of(cell.condition) == "control" for cell in report.cells):
        tables.append(control_table(report))
    tables += [question_table(report), score_table(report)]
    if report.reliability:
        tables.append(
            bin_table(
                "reliability",
                "Confidence of answers, and the share that is right",
                report.reliability,
                "answers",
            )
        )
    if report.perception is not None:
        tables += [kind_table(report.perception), severity_table(report.perception)]
        if report.perception.gate is not None:
            tables.append(gate_table(report.perception.gate))
    return [table for table in tables if table.rows]


def _main(report: Report) -> Table:
    rows = [
        (
            SIDE_WORDS[one.side],
            one.method,
            shown_estimate(one.accuracy),
            points(one.drop),
            points(one.gain),
            shown_recovered(one),
            percent(one.flips),
            shown_flips_removed(one),
            f"{one.worst_noise} {percent(one.worst_accuracy)}",
            ratio(one.corruption_error),
            _added(one.relative_corruption_error),
            f"{one.accuracy.items} x {one.conditions}",
        )
        for side in report.sides.values()
        for one in side
    ]
    return Table(
        "summary",
        "Noisy inputs: what noise costs, and what each method recovers",
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
            "n",
        ),
        tuple(rows),
        about(report.results)
        + " Means over kinds, then severities; n: questions x conditions. The "
        f"baseline of BE and rBE is {report.baseline}.",
        terms=(
            *("none, pdc, sms, imc", "interval", "drop", "gain", "recovered", "flips"),
            *("flips removed", "worst noise", "BE", "rBE"),
        ),
        labels=2,
    )


def _added(value: float) -> str:
    """A relative corruption error; at or under 0 noise adds no error."""
    return NOTHING_ADDED if value <= 0 else ratio(value)


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
            "n",
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
                str(one.accuracy.items),
            )
            for one in report.clean
        ),
        about(report.results)
        + " Compared with method none on the same clean questions; n: questions.",
        terms=(
            *("destroyed, corrected", "touched", "false edits", "protected violations"),
            "calls, ms",
        ),
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
            "n",
        ),
        tuple(
            (
                str(cell.condition),
                cell.method,
                shown_estimate(cell.accuracy),
                points(cell.drop),
                points(cell.gain),
                shown_recovered(cell),
                percent(cell.destructive),
                percent(cell.corrective),
                percent(cell.flips),
                shown_flips_removed(cell),
                percent(cell.calibration_error),
                str(cell.accuracy.items),
            )
            for cell in report.cells
            if side_of(cell.condition) != "control"
        ),
        about(report.results)
        + " Destroyed and corrected are against none under the same condition, for none itself "
        "against its clean answers; n: questions.",
        terms=("recovered", "flips removed", "ECE"),
        labels=2,
    )


def _matrix(report: Report) -> Table:
    return Table(
        "matrix",
        "Image state by question state: accuracy %",
        ("image", *(f"question {state}" for state in TEXT_STATES)),
        tuple(
            (f"image {state}", *(percent(float(value)) for value in row))
            for state, row in zip(IMAGE_STATES, report.matrix, strict=True)
        ),
        "The four with noise on both sides need joined noises (--noises low_dose+typo).",
    )
