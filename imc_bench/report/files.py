"""Reports as files: page, tables, pictures and the JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from imc_bench.report.document import to_document
from imc_bench.report.glossary import glossary_markdown
from imc_bench.report.page import Section, make_page
from imc_bench.report.report import Report
from imc_bench.report.results import ReportRefused
from imc_bench.report.runs import overview_table, run_names
from imc_bench.report.table import Table
from imc_bench.report.tables import make_tables
from imc_core.files import replace_file


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write `report.html`, `report.json`, the PNGs, and `tables/`: each as CSV, all as .md, .tex.

    Raises ReportRefused: matplotlib is not installed, or the folder cannot be written.
    """
    _make(folder)
    section = _section(report)
    return _write(
        folder,
        {
            "report.html": make_page([section]),
            "report.json": _json(to_document(report)),
            **_run_files(section),
        },
    )


def write_reports(reports: Sequence[Report], folder: Path) -> list[Path]:
    """Write several runs: one page, one JSON list, the table over all, a folder for each run.

    Raises ReportRefused: matplotlib is not installed, or the folder cannot be written.
    """
    _make(folder)
    sections, overview = [_section(report) for report in reports], overview_table(reports)
    made: dict[str, str | bytes] = {
        "report.html": make_page(sections, overview),
        "report.json": _json([to_document(report) for report in reports]),
        **_table_files([overview]),
    }
    for name, section in zip(run_names(reports), sections, strict=True):
        made |= {f"{name}/{file}": content for file, content in _run_files(section).items()}
    return _write(folder, made)


def _section(report: Report) -> Section:
    try:
        from imc_bench.report.plots import make_plots
    except ModuleNotFoundError as error:
        raise ReportRefused(
            f"pictures need {error.name}, which is not installed; pip install 'imc-agents[bench]'"
        ) from error

    return Section(report, make_tables(report), make_plots(report))


def _run_files(section: Section) -> dict[str, str | bytes]:
    pictures = {f"{name}.png": picture.png for name, picture in section.plots.items()}
    return {**_table_files(section.tables), **pictures}


def _table_files(tables: Sequence[Table]) -> dict[str, str | bytes]:
    words = glossary_markdown(term for table in tables for term in table.terms)
    return {
        "tables/tables.md": "\n".join(
            [*(table.markdown() for table in tables), f"### Words\n\n{words}"]
        ),
        "tables/tables.tex": "\n".join(table.latex() for table in tables),
        **{f"tables/{table.name}.csv": table.csv() for table in tables},
    }


def _json(document: object) -> str:
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _make(folder: Path) -> None:
    """Refused before the pictures are drawn, not after."""
    with _written(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _write(folder: Path, files: Mapping[str, str | bytes]) -> list[Path]:
    with _written(folder):
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            data = content.encode("utf-8") if isinstance(content, str) else content
            replace_file(folder / name, data)
    return [folder / name for name in files]


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportRefused(
            f"{folder}: {error.strerror or error}; give a folder that can be written with --out"
        ) from error
