"""`imc bench report` and `imc bench compare`: what a measurement says, and two against each other.

Registered by `imc_app.commands.bench`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from imc_app.options import AsJson
from imc_app.refusals import InputRefused

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A store of imc bench run.")]


def report(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Default: beside the store, RUN-report."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run: one HTML page, tables (CSV, Markdown, LaTeX) and plots (PNG).

    With --json the figures are printed; files are then written only where --out is given.
    """
    from imc_bench.report.document import make_report, to_document
    from imc_bench.report.files import write_report
    from imc_bench.report.tables import make_tables

    with _refused():
        made = make_report(run)
        folder = out or run.with_name(f"{run.stem}-report")
        if as_json and out is None:
            written = []
        else:
            written = write_report(made, folder)
    if as_json:
        typer.echo(json.dumps(to_document(made), ensure_ascii=False, allow_nan=False))
        return
    for table in make_tables(made)[:2]:
        typer.echo(table.markdown())
    standing = made.frame.standing
    if not standing.complete:
        typer.echo(
            f"imc: the run is not complete: {standing.rows} of {standing.expected} rows", err=True
        )
    typer.echo(f"{folder / 'report.html'} and {len(written) - 1} files beside it")


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A store of imc bench run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another, on the same data.")],
    every: Annotated[
        bool, typer.Option("--every", help="Every condition, not means by side alone.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Paired differences between two runs on the same items: the second less the first."""
    from imc_bench.compare import compare_runs, comparison_document, comparison_table

    with _refused():
        made = compare_runs(first, second)
    if as_json:
        typer.echo(json.dumps(comparison_document(made), ensure_ascii=False, allow_nan=False))
        return
    typer.echo(comparison_table(made, every=every).markdown())
    for name, (old, new) in made.differ.items():
        typer.echo(f"  {name}: {_brief(old)} → {_brief(new)}")


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"


@contextmanager
def _refused() -> Iterator[None]:
    """Turn what a report refuses into a refusal of the command."""
    from imc_bench.errors import StoreRefused
    from imc_bench.report.frame import ReportRefused

    try:
        yield
    except (ReportRefused, StoreRefused) as error:
        raise InputRefused(str(error)) from error
