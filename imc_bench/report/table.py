"""A table of a report, written alike as CSV, Markdown and LaTeX (booktabs), and its figures."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass

from imc_bench.metrics.bootstrap import Estimate

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
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "“": "``",
    "”": "''",
}


@dataclass(frozen=True)
class Table:
    """A table of finished cells: the three formats hold the same."""

    name: str
    """Its file name, without an ending."""
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    terms: tuple[str, ...] = ()
    """Words of the columns that `imc_bench.report.glossary` explains."""
    labels: int = 1
    """Columns that hold words, the first ones: aligned left, the others right."""

    @property
    def lefts(self) -> tuple[bool, ...]:
        """Of each column, whether it is aligned left."""
        return tuple(place < self.labels for place in range(len(self.columns)))

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
            _bars(tuple(":---" if left else "---:" for left in self.lefts)),
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
            rf"\begin{{tabular}}{{{''.join('l' if left else 'r' for left in self.lefts)}}}",
            r"\toprule",
            " & ".join(map(_tex, self.columns)) + r" \\",
            r"\midrule",
            *(" & ".join(map(_tex, row)) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def percent(share: float | None) -> str:
    """A share of 0..1 in percent, one decimal."""
    if share is None or not math.isfinite(share):
        return NOT_SHOWN
    return f"{100 * share + 0.0:.1f}"


def ratio(value: float) -> str:
    """A ratio of two errors."""
    return f"{value:.3f}" if math.isfinite(value) else NOT_SHOWN


def points(estimate: Estimate) -> str:
    """A difference in points of percent, signed."""
    return shown_estimate(estimate, signed=True)


def recovered(estimate: Estimate | None) -> str:
    """A recovered fraction in percent; suppressed ones are not shown."""
    return NOT_SHOWN if estimate is None else shown_estimate(estimate)


def shown_estimate(estimate: Estimate, *, signed: bool = False) -> str:
    """`41.7 [30.2, 54.3]`, in percent; an end that the data do not bound is infinite."""
    if math.isnan(estimate.value):
        return NOT_SHOWN
    shown = []
    for value in (estimate.value, estimate.low, estimate.high):
        if math.isinf(value):
            shown.append("-inf" if value < 0 else "inf")
        else:
            rounded = round(100 * value, 1) + 0.0  # no "-0.0"
            shown.append(f"{rounded:+.1f}" if signed and rounded else f"{rounded:.1f}")
    return f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _bars(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _tex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
