"""Several runs side by side: other data, noise put elsewhere, another model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imc_bench.report.cells import SideSummary
from imc_bench.report.report import Report
from imc_bench.report.results import full_grid, severity_of
from imc_bench.report.shares import shown_flips_removed, shown_recovered
from imc_bench.report.table import NOT_SHOWN, Table, percent, shown_estimate
from imc_bench.report.wording import SIDE_WORDS, data_name


def run_names(reports: Sequence[Report]) -> list[str]:
    """A name for each run that no other has: its store's, numbered where that comes again."""
    names: list[str] = []
    for report in reports:
        stem, name, again = report.results.path.stem, report.results.path.stem, 1
        while name in names:
            again += 1
            name = f"{stem}-{again}"
        names.append(name)
    return names


def overview_table(reports: Sequence[Report]) -> Table:
    """One row for each run, side and method."""
    levels = sorted({level for report in reports for level in _levels(report)})
    return Table(
        "runs",
        "The runs side by side",
        (
            "run",
            "data set",
            "noise at",
            "noise on",
            "method",
            "clean %",
            *(f"severity {level:g} %" for level in levels),
            "recovered %",
            "flips %",
            "flips removed %",
            "clean touched %",
            "clean edited %",
            "violations",
            "n",
        ),
        tuple(
            (
                name,
                data_name(report.results),
                report.results.noise_at,
                SIDE_WORDS[one.side],
                one.method,
                *_figures(report, one, levels),
            )
            for name, report in zip(run_names(reports), reports, strict=True)
            for side in report.sides.values()
            for one in side
        ),
        "Accuracies are means over kinds of noise; recovered, flips and flips removed over kinds, "
        "then severities, with 95 % intervals by paired bootstrap clustered by image. Touched and "
        "edited are clean images and clean questions that a method changed. Violations are changes "
        "of protected words, over all questions, clean and noisy. n: questions x conditions.",
        terms=(
            "none, pdc, sms, imc",
            "noise at",
            "interval",
            "recovered",
            "flips",
            "flips removed",
        ),
        labels=5,
    )


def _levels(report: Report) -> set[float]:
    return {severity_of(one) for side in report.sides for one in report.results.on(side)}


def _figures(report: Report, one: SideSummary, levels: Sequence[float]) -> tuple[str, ...]:
    by_cell = {(cell.condition, cell.method): cell.accuracy.value for cell in report.cells}
    at: dict[float, list[float]] = {}
    for row in full_grid(report.results.on(one.side)):
        for condition in row:
            at.setdefault(severity_of(condition), []).append(by_cell[condition, one.method])
    clean = next(each for each in report.clean if each.method == one.method)
    return (
        shown_estimate(clean.accuracy),
        *(percent(float(np.mean(at[level]))) if level in at else NOT_SHOWN for level in levels),
        shown_recovered(one),
        percent(one.flips),
        shown_flips_removed(one),
        shown_estimate(clean.touched),
        shown_estimate(clean.false_edits),
        str(one.violations + clean.violations),
        f"{one.accuracy.items} x {one.conditions}",
    )
