"""Shares as a report shows them: a word in place of a share of too few answers."""

from __future__ import annotations

from imc_bench.report.cells import Cell, SideSummary
from imc_bench.report.results import BASE, CLEAN
from imc_bench.report.table import NOT_SHOWN, percent, recovered

LEAST_COUNT = 10
"""A share of fewer answers moves by over 10 points with a single one: no number is shown."""
NO_LOSS = "no loss"
"""Instead of a recovered share: noise costs under `imc_bench.metrics.bootstrap.LEAST_DROP`."""
NO_FLIPS = "no flips"
"""Instead of a share of flips removed: noise flips no answer."""
NOTHING_ADDED = "none added"
"""Instead of a relative corruption error at or under 0: under noise no more errors than clean."""


def shown_recovered(of: Cell | SideSummary) -> str:
    """The recovered share in percent with its interval, `no loss`, or `few (7)`: answers lost."""
    if _nothing_to_correct(of):
        return NOT_SHOWN
    if of.recovered is None:
        return NO_LOSS
    return _few(of.lost) or recovered(of.recovered)


def shown_flips_removed(of: Cell | SideSummary) -> str:
    """The share of flips removed in percent, `no flips`, or `few (7)`: answers flipped."""
    if _nothing_to_correct(of):
        return NOT_SHOWN
    if of.flips_removed is None:
        return NO_FLIPS
    return _few(of.flipped) or percent(of.flips_removed)


def is_number(shown: str) -> bool:
    """Whether a figure is shown, not a word in its place."""
    return shown[:1].isdigit() or (shown[:1] == "-" and shown != NOT_SHOWN)


def _nothing_to_correct(of: Cell | SideSummary) -> bool:
    return of.method == BASE or (isinstance(of, Cell) and of.condition == CLEAN)


def _few(answers: int) -> str:
    return f"few ({answers})" if answers < LEAST_COUNT else ""
