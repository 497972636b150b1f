"""`imc refine`: the four agents alone, on questions without an image."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any

import typer

from imc_app.command import examples
from imc_app.model_options import ANYWHERE, Placement, with_placement
from imc_app.notices import waiting
from imc_app.options import (
    AsJson,
    ModelOption,
    ProfileOption,
    ProtectedOption,
    Seed,
)
from imc_app.refusals import InputRefused, one_line, refusal_line

EXAMPLES = examples(
    'imc refine "Is teh heart enlarged?"',
    "imc refine - --json < questions.txt > refined.jsonl",
)

TOGETHER = 64
"""Questions refined together, as `graphs.refining.TOGETHER`."""

Question = tuple[str, str | bytes]
"""Its place in the input, as a message names it, and what came in."""


@with_placement
def refine(
    questions: Annotated[
        list[str],
        typer.Argument(metavar="QUESTION...", help="Questions; - reads one per line from stdin."),
    ],
    model: ModelOption = None,
    profile: ProfileOption = "auto",
    protected: ProtectedOption = None,
    placement: Placement = ANYWHERE,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Refine each question, or leave it alone, and say why.

    Many questions are refined together. One that is refused gets its line on stderr and the others
    are still answered; the exit code is then 2.
    """
    from imc_agents.safeguards.question_checks import check_question
    from imc_app.session import open_refiner

    refine_all: Callable[[Sequence[str]], list[dict[str, Any]]] | None = None
    refused = False
    # A person at the keyboard waits for each answer; a file can wait for many at once.
    together = 1 if "-" in questions and sys.stdin.isatty() else TOGETHER
    for chunk in _chunks(_read(questions), together):
        askable: list[str] = []
        refusals: dict[int, str] = {}
        for index, (place, question) in enumerate(chunk):
            try:
                askable.append(check_question(_as_text(question)))
            except ValueError as error:
                refusals[index] = f"imc: {place}{one_line(refusal_line(error))}"
        if askable and refine_all is None:  # where no question can be asked, no model is loaded
            refine_all = open_refiner(
                model,
                profile=profile,
                protected=tuple(protected or ()),
                seed=seed,
                placement=placement,
            )
        with waiting("refining"):
            reports = iter([] if refine_all is None else refine_all(askable))
        for index in range(len(chunk)):
            if index in refusals:
                typer.echo(refusals[index], err=True)
            else:
                _show(next(reports), as_json=as_json)
        refused = refused or bool(refusals)
    if refused:
        raise typer.Exit(2)


def _show(report: dict[str, Any], *, as_json: bool) -> None:
    """Print what became of one question."""
    from rich.text import Text

    from imc_app.show import console, question_diff

    if as_json:
        typer.echo(json.dumps(report, ensure_ascii=False))
        return
    out = console()
    asked, used = one_line(report["original"]), one_line(report["used"])
    why = Text(f"  ({report['reason']})", "dim")
    if report["changed"]:
        removed, added = question_diff(asked, used)
        out.print(removed, Text(" → "), added, why, sep="")
    else:
        out.print(Text(used), why, sep="")


def _chunks(questions: Iterator[Question], size: int) -> Iterator[list[Question]]:
    """Up to `size` questions at a time, in order."""
    while chunk := list(islice(questions, size)):
        yield chunk


def _read(questions: list[str]) -> Iterator[Question]:
    """Yield (place, question); `-` is replaced by the lines of stdin, as they come."""
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
