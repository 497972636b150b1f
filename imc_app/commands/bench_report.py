"""`imc bench report` and `imc bench compare`: what a measurement says, and two against each other.

Registered by `imc_app.commands.bench`.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from imc_app.command import examples
from imc_app.notices import waiting
from imc_app.options import AsJson
from imc_app.outputs import check_output_folder

REPORT_EXAMPLES = examples(
    "imc bench report run.sqlite", "imc bench report slake.sqlite vqa-rad.sqlite -o report/"
)
COMPARE_EXAMPLES = examples("imc bench compare before.sqlite after.sqlite --every")


class ScoringRule(StrEnum):
    """How answers are scored."""

    STRICT = "strict"
    LLAVAMED_COMPAT = "llavamed_compat"
    LMMS_EVAL = "lmms_eval"


RuleOption = Annotated[
    ScoringRule,
    typer.Option("--rule", help="Score the stored answers by this rule in every figure."),
]


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="One or more stores of imc bench run.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="Default: beside the store, RUN-report; of several runs, runs-report.",
        ),
    ] = None,
    rule: RuleOption = ScoringRule.STRICT,
    baseline: Annotated[
        str | None,
        typer.Option(
            "--baseline",
            metavar="METHOD|RUN",
            help="Corruption errors are relative to this method of the run, or to another run's "
            "none. Default: none.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a run: one HTML page, tables (CSV, Markdown, LaTeX) and plots (PNG).

    Prints what the run found in sentences, then the main tables; the page explains every word.

    Several runs (other data, noise put elsewhere, another model) share one page, with a table over
    all of them. With --json the figures are printed, of several runs as a list; files are then
    written only where --out is given.
    """
    _check_stores(*runs)
    from imc_bench.report.document import to_document
    from imc_bench.report.files import write_report, write_reports
    from imc_bench.report.report import make_report
    from imc_bench.report.runs import overview_table
    from imc_bench.report.tables import make_tables
    from imc_bench.report.verdict import details, headline

    alone = len(runs) == 1
    folder = out or runs[0].with_name(f"{runs[0].stem}-report" if alone else "runs-report")
    written: list[Path] = []
    if not as_json or out is not None:
        check_output_folder("--out", folder, inputs=runs)
    with waiting(f"reading {', '.join(map(str, runs))} and computing intervals"):
        made = [make_report(run, rule=rule.value, baseline=baseline) for run in runs]
    if not as_json or out is not None:
        with waiting("drawing pictures"):
            written = write_report(made[0], folder) if alone else write_reports(made, folder)
    if as_json:
        documents = [to_document(one) for one in made]
        shown = documents[0] if alone else documents
        typer.echo(json.dumps(shown, ensure_ascii=False, allow_nan=False))
        return
    for one in made:
        typer.echo("\n".join([headline(one), *(f"- {said}" for said in details(one)), ""]))
    for table in make_tables(made[0])[:2] if alone else [overview_table(made)]:
        typer.echo(table.markdown())
    for run, one in zip(runs, made, strict=True):
        progress = one.results.progress
        if not progress.complete:
            typer.echo(
                f"imc: {run} is not complete: {progress.rows} of {progress.expected} rows", err=True
            )
    typer.echo(f"{folder / 'report.html'} and {len(written) - 1} files beside it")


def _check_stores(*runs: Path) -> None:
    """Refuse what is no store before the seconds that imports take. Raises StoreRefused."""
    from imc_bench.store.result_store import Store

    for run in runs:
        with Store.read(run):
            pass


def compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A store of imc bench run.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Another, on the same data.")],
    every: Annotated[
        bool, typer.Option("--every", help="Every condition, not means by side alone.")
    ] = False,
    rule: RuleOption = ScoringRule.STRICT,
    as_json: AsJson = False,
) -> None:
    """Paired differences between two runs on the same items: the second less the first."""
    _check_stores(first, second)
    from imc_bench.compare import (
        compare_runs,
        comparison_document,
        comparison_table,
        comparison_verdict,
    )

    made = compare_runs(first, second, rule=rule.value)
    if as_json:
        typer.echo(json.dumps(comparison_document(made), ensure_ascii=False, allow_nan=False))
        return
    typer.echo(f"{comparison_verdict(made)}\n")
    typer.echo(comparison_table(made, every=every).markdown())
    for name, (old, new) in made.differ.items():
        typer.echo(f"  {name}: {_brief(old)} → {_brief(new)}")


def _brief(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
