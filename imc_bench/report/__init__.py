"""From a result store to cells with intervals, tables, plots and one page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from imc_bench.report.cells import Cell, make_cells
    from imc_bench.report.files import write_report
    from imc_bench.report.report import Report, make_report
    from imc_bench.report.results import RunResults, read_results
    from imc_bench.report.tables import make_tables

__all__ = [
    "Cell",
    "Report",
    "RunResults",
    "make_cells",
    "make_report",
    "make_tables",
    "read_results",
    "write_report",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "imc_bench.report.cells": ("Cell", "make_cells"),
        "imc_bench.report.report": ("Report", "make_report"),
        "imc_bench.report.files": ("write_report",),
        "imc_bench.report.results": ("RunResults", "read_results"),
        "imc_bench.report.tables": ("make_tables",),
    },
)
