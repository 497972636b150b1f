"""`imc refine`: the four agents alone, on questions without an image."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from imc_app.options import AsJson, ModelOption, ProfileOption, Seed
from imc_app.refusals import InputRefused, is_refusal, one_line


def refine(
    questions: Annotated[
        list[str],
        typer.Argument(metavar="QUESTION...", help="Questions; - reads one per line from stdin."),
    ],
    model: ModelOption = None,
    profile: ProfileOption = "auto",
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Refine each question, or leave it alone, and say why.

    A question that is refused gets its line on stderr and the others are still answered; the exit
    code is then 2.
    """
    from rich.text import Text

    from imc_app.session import open_refiner
    from imc_app.show import console, question_diff

    refine_one = open_refiner(model, profile=profile, seed=seed)
    out = console()
    refused = False
    for place, question in _read(questions):
        try:
            report = refine_one(_as_text(question))
        except ValueError as error:
            if not is_refusal(error):
                raise
            typer.echo(f"imc: {place}{one_line(str(error))}", err=True)
            refused = True
            continue
        if as_json:
            typer.echo(json.dumps(report, ensure_ascii=False))
        else:
            asked, used = one_line(report["original"]), one_line(report["used"])
            why = Text(f"  ({report['reason']})", "dim")
            if report["changed"]:
                removed, added = question_diff(asked, used)
                out.print(removed, Text(" → "), added, why, sep="")
            else:
                out.print(Text(used), why, sep="")
    if refused:
        raise typer.Exit(2)


def _read(questions: list[str]) -> Iterator[tuple[str, str | bytes]]:
    """Yield (where it stands, question); `-` is replaced by the lines of stdin, as they come."""
    for question in questions:
        if question == "-":
            stdin = getattr(sys.stdin, "buffer", sys.stdin)
            for number, line in enumerate(stdin, start=1):
                ending = b"\r\n" if isinstance(line, bytes) else "\r\n"
                yield f"line {number}: ", line.rstrip(ending)
        else:
            yield "", question


def _as_text(question: str | bytes) -> str:
    """Return the question as text that can be written out again."""
    try:
        if isinstance(question, bytes):
            return question.decode("utf-8")
        question.encode("utf-8")
    except UnicodeError:
        raise InputRefused("question: not valid UTF-8; save or send it as UTF-8 text") from None
    return question
