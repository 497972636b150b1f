"""The tables of answers beside the main ones: controls, questions, other scoring rules."""

from __future__ import annotations

from imc_bench.report.report import Report
from imc_bench.report.results import side_of
from imc_bench.report.table import Table, percent, points, shown_estimate
from imc_bench.report.wording import SIDE_WORDS


def control_table(report: Report) -> Table:
    """Accuracy without the image, or with another one."""
    return Table(
        "controls",
        "Controls: does the answer depend on the image?",
        ("image", "method", "accuracy %", "drop (points)", "flips %", "n"),
        tuple(
            (
                str(cell.condition),
                cell.method,
                shown_estimate(cell.accuracy),
                points(cell.drop),
                percent(cell.flips),
                str(cell.accuracy.items),
            )
            for cell in report.cells
            if side_of(cell.condition) in {"clean", "control"}
        ),
        "blank: black pixels; swapped: the image of another group. Accuracy falls far where the "
        "model uses the image.",
        labels=2,
    )


def question_table(report: Report) -> Table:
    """What each method changed in clean and in noisy questions."""
    return Table(
        "text",
        "Questions: what each method changed",
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
            "n",
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
                str(cell.accuracy.items),
            )
            for cell in report.cells
            if side_of(cell.condition) in {"clean", "text"}
        ),
        "Edited on clean questions is the rate of false edits. Restored: the clean question, "
        "letter by letter.",
        terms=("CER",),
        labels=2,
    )


def score_table(report: Report) -> Table:
    """The same answers by each scoring rule."""
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
                SIDE_WORDS.get(one.on, one.on),
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
        "LLaVA-Med's rule, reproduced as published, leaves wrong yes/no answers out; lmms-eval "
        "is its SLAKE rule over all questions.",
        labels=2,
    )
