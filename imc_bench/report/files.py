"""A report as files: page, tables, pictures and the JSON document."""

from __future__ import annotations

import json
from pathlib import Path

from imc_bench.report.document import Report, to_document
from imc_bench.report.frame import ReportRefused
from imc_bench.report.page import make_page
from imc_bench.report.tables import make_tables


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `report.html`, `report.json`, each table as CSV, `tables.md`, `tables.tex`, the PNGs.

    Raises ReportRefused: matplotlib is not installed, or the folder cannot be written.
    """
    try:
        from imc_bench.report.plots import make_plots
    except ModuleNotFoundError as error:
        raise ReportRefused(
            f"pictures need {error.name}, which is not installed; pip install 'imc-agents[bench]'"
        ) from error

    tables, plots = make_tables(report), make_plots(report)
    document = json.dumps(to_document(report), indent=1, allow_nan=False) + "\n"
    made: dict[str, str | bytes] = {
        "report.html": make_page(report, tables, plots),
        "report.json": document,
        "tables.md": "\n".join(table.markdown() for table in tables),
        "tables.tex": "\n".join(table.latex() for table in tables),
        **{f"{table.name}.csv": table.csv() for table in tables},
        **{f"{name}.png": png for name, png in plots.items()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in made.items():
            data = content.encode("utf-8") if isinstance(content, str) else content
            (folder / name).write_bytes(data)
    except OSError as error:
        raise ReportRefused(
            f"{folder}: {error.strerror or error}; give a folder that can be written with --out"
        ) from error
    return [folder / name for name in made]
