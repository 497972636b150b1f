"""`imc bench status`: how much of a run is measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.command import examples
from imc_app.options import AsJson

if TYPE_CHECKING:
    from imc_bench.store.units import RunProgress

EXAMPLES = examples("imc bench status run.sqlite --json")


def status(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="What imc bench run wrote.")],
    as_json: AsJson = False,
) -> None:
    """Say how much of a run is measured, and what it measures."""
    from imc_bench.store.result_store import Store

    with Store.read(store) as opened:
        progress, facts = opened.progress(), opened.facts()
    arguments, model = facts["arguments"], facts["model"]
    if as_json:
        shown = {
            "run_key": facts["run_key"],
            "rows": progress.rows,
            "expected": progress.expected,
            "skipped": progress.skipped,
            "complete": progress.complete,
            "working": progress.working,
            "seconds_left": progress.seconds_left,
            "bad_rows": len(facts["bad_rows"]),
            "arguments": arguments,
            "model": model,
            "versions": facts["versions"],
            "created": facts["created"],
        }
        typer.echo(json.dumps(shown, ensure_ascii=False))
        return
    typer.echo(f"{store}: {said(progress)}")
    data = f"{arguments['data_set']} {arguments['split']}".rstrip()  # a file has no split
    typer.echo(
        f"  {model['name']} on {data}, "
        f"{len(arguments['conditions'])} conditions × {', '.join(arguments['methods'])}; noise at "
        f"{arguments['noise_at']} resolution, seed {arguments['seed']}"
    )
    typer.echo(f"  begun {facts['created']} on {facts['machine']}; run {facts['run_key']}")


def said(progress: RunProgress) -> str:
    """How far a run has come, in a few words."""
    left = progress.seconds_left
    parts = [f"{progress.rows} of {progress.expected} rows"]
    if progress.skipped:
        parts.append(f"{progress.skipped} items left out of a condition")
    if progress.complete:
        parts.append("complete")
    else:
        if left is not None:
            parts.append(f"about {_minutes(left)} of work left")
        if progress.working:
            parts.append(f"{progress.working} parts being measured now")
    return ", ".join(parts)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
