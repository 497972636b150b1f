"""Tables of a report, each written alike as CSV, Markdown and LaTeX (booktabs)."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

from imc_bench.bootstrap import Estimate
from imc_bench.report.document import Report
from imc_bench.report.frame import side_of
from imc_bench.statistics import IMAGE_STATES, TEXT_STATES

NOT_SHOWN = "-"
"""For a figure that was not measured, or is suppressed."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclass(frozen=True)
class Table:
    """A table of finished words: the three formats hold the same cells."""

    name: str
    """Its file name, without an ending."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def csv(self) -> str:
        """With a line of column names; RFC 4180, line ends of one character."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue()

    def markdown(self) -> str:
        """A GitHub table under its title."""
        lines = [
            _bars(self.columns),
            "|" + "|".join([" --- ", *(" ---: " for _ in self.columns[1:])]) + "|",
            *(_bars(row) for row in self.rows),
        ]
        note = f"\n{self.note}\n" if self.note else ""
        return f"### {self.title}\n\n" + "\n".join(lines) + "\n" + note

    def latex(self) -> str:
        """A `table` float for a paper that uses booktabs."""
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_tex(self.title)}. {_tex(self.note)}}}",
            rf"\label{{tab:imc-{self.name.replace('_', '-')}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
            r"\toprule",
            " & ".join(map(_tex, self.columns)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_tex, row)) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def make_tables(report: Report) -> list[Table]:
    """Every table that the run has rows for, the main one first."""
    tables = [_main(report), _clean(report), _cells(report), _matrix(report)]
    if any(side_of(cell.condition) == "control" for cell in report.cells):
        tables.append(_controls(report))
    tables += [_text(report), _scores(report)]
    if report.perception is not None:
        tables.append(_perception(report))
    return [table for table in tables if table.rows]


def _main(report: Report) -> Table:
    rows = [
        (
            one.side,
            one.method,
            shown_estimate(one.accuracy),
            points(one.drop),
            points(one.gain),
            _recovered(one.recovered),
            percent(one.flips),
            percent(one.flips_removed),
            f"{one.worst_noise} {percent(one.worst_accuracy)}",
            f"{one.corruption_error:.3f}",
            f"{one.relative_corruption_error:.3f}",
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
        "costs under 3 points. Flips are answers unlike the model's own clean answer. BE and rBE "
        "are errors, and errors added by noise, relative to method none.",
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
                _recovered(cell.recovered),
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


def _perception(report: Report) -> Table:
    seen = report.perception
    if seen is None:
        return Table("perception", "", (), ())
    return Table(
        "perception",
        "Noise of images, and what it was taken for (images)",
        ("true kind", *seen.said),
        tuple(
            (kind, *(str(count) for count in row))
            for kind, row in zip(seen.truth, seen.kinds.tolist(), strict=True)
        ),
        f"Kind named rightly: {percent(seen.identified)} %, mean over kinds. False alarms on clean "
        f"images: {shown_estimate(seen.false_alarms)} %.",
    )


def percent(share: float | None) -> str:
    """A share of 0..1 in percent, one decimal."""
    if share is None or not math.isfinite(share):
        return NOT_SHOWN
    return f"{100 * share + 0.0:.1f}"


def points(estimate: Estimate) -> str:
    """A difference in points of percent, signed."""
    return shown_estimate(estimate, signed=True)


def _recovered(estimate: Estimate | None) -> str:
    return NOT_SHOWN if estimate is None else shown_estimate(estimate)


def shown_estimate(estimate: Estimate, *, signed: bool = False) -> str:
    """`41.7 [30.2, 54.3]`, in percent; an end that the data do not bound is infinite."""
    shown = []
    for value in (estimate.value, estimate.low, estimate.high):
        if math.isinf(value):
            shown.append("-inf" if value < 0 else "inf")
        else:
            rounded = round(100 * value, 1) + 0.0  # no "-0.0"
            shown.append(f"{rounded:+.1f}" if signed and rounded else f"{rounded:.1f}")
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _about(report: Report) -> str:
    frame = report.frame
    groups = len({item.group for item in frame.items.values()})
    return (
        f"{frame.dataset} {frame.split}, {len(frame.items)} questions on {groups} images; image "
        f"noise at {frame.noise_at} resolution; strict scores; 95 % intervals by paired bootstrap "
        "clustered by image."
    )


def _bars(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
