"""`imc threads`: the questions that are kept on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from imc_app.command import examples
from imc_app.options import AsJson, CheckpointsOption
from imc_app.refusals import InputRefused, one_line

if TYPE_CHECKING:
    from graphs.threads import ThreadSummary

LIST_EXAMPLES = examples("imc threads list", "imc threads list --all --json")
SHOW_EXAMPLES = examples("imc threads show 20261126-101503-4f2a")
DELETE_EXAMPLES = examples(
    "imc threads delete 20261126-101503-4f2a", "imc threads delete --all"
)
EXAMPLES = examples("imc threads list", "imc threads show 20261126-101503-4f2a")
RECENT = 20

app = typer.Typer(
    help="Questions that are kept on this machine: list them, show one, delete them.",
    epilog=EXAMPLES,
    no_args_is_help=True,
)


@app.command("list", epilog=LIST_EXAMPLES)
def list_threads(
    every: Annotated[
        bool, typer.Option("--all", help=f"Every thread, not the latest {RECENT} alone.")
    ] = False,
    as_json: AsJson = False,
    checkpoints: CheckpointsOption = "sqlite",
) -> None:
    """List the kept questions, the latest first."""
    from itertools import islice

    from graphs.threads import summaries
    from imc_app.kept_questions import open_threads

    kept = open_threads(checkpoints)
    found = [*islice(summaries(kept), None if every else RECENT)]
    if as_json:
        for one in found:
            typer.echo(json.dumps(asdict(one), ensure_ascii=False))
        return
    if not found:
        typer.echo(f"no threads in {one_line(kept.place)}")
    for one in found:
        typer.echo(
            f"{one_line(one.thread)}  {one.time[:19].replace('T', ' ')}  {state_of(one)}  "
            f"{_short(one.question)}"
        )
    more = len(kept.thread_sizes()) - len(found)
    if more > 0:
        typer.echo(f"and {more} more (--all)")


@app.command("show", epilog=SHOW_EXAMPLES)
def show_thread(
    thread: Annotated[str, typer.Argument(help="Its name.")],
    as_json: AsJson = False,
    checkpoints: CheckpointsOption = "sqlite",
) -> None:
    """Show how far a question came, step by step."""
    from graphs.threads import steps, summary
    from imc_app.kept_questions import open_threads

    kept = open_threads(checkpoints)
    one, history = summary(kept, thread), steps(kept, thread)
    if as_json:
        document = {**asdict(one), "steps": [asdict(step) for step in history]}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    typer.echo(f"thread    {one_line(one.thread)}")
    typer.echo(f"question  {one_line(one.question)}")
    typer.echo(f"answer    {'(none yet)' if one.answer is None else one_line(one.answer)}")
    typer.echo(f"state     {state_of(one)}")
    typer.echo(f"kept      {one.checkpoints} checkpoints, {one.bytes / 1024:.1f} KiB")
    for step in history:
        after = ", ".join(step.next) or "the end"
        typer.echo(f"{step.step:4}  {step.time[11:23]}  then {after}")


@app.command("delete", epilog=DELETE_EXAMPLES)
def delete_threads(
    threads: Annotated[list[str] | None, typer.Argument(help="Their names.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Delete every thread.")] = False,
    checkpoints: CheckpointsOption = "sqlite",
) -> None:
    """Delete questions, their steps, and the images that no other thread names."""
    from graphs.threads import delete, summary
    from imc_app.kept_questions import open_threads

    if every == bool(threads):
        raise InputRefused("name the threads to delete, or give --all; imc threads list names them")
    kept = open_threads(checkpoints)
    named = [*dict.fromkeys(threads or ())]
    for name in named:  # all of them are there, or none is deleted
        summary(kept, name)
    if every:
        named = [name for name, _, _ in kept.thread_sizes()]
    for name in named:
        delete(kept, name)
    typer.echo(f"{len(named)} {'thread' if len(named) == 1 else 'threads'} deleted")


def state_of(one: ThreadSummary) -> str:
    """How far a thread came, in words."""
    if one.reviewed:
        return "waits for a review"
    if one.waits_for:
        return f"stopped before {', '.join(one.waits_for)}"
    return "answered" if one.answer is not None else "finished"


def _short(question: str) -> str:
    line = one_line(question)
    return line if len(line) <= 60 else f"{line[:59]}…"
