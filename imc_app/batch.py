"""`imc ask --batch`: many questions with one model load, each image encoded once.

Questions of a chunk are refined together; what each is answered is what `imc ask` answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.batch_results import PartialResults, Record, record_of
from imc_app.batch_rows import BatchRow
from imc_app.refusals import refusal_line
from imc_app.session import Outcome, Request, outcome_of, read_request

if TYPE_CHECKING:
    from graphs.context import IMCContext

TOGETHER = 32
"""Rows that are read and refined together: as many images as the feature store holds."""


@dataclass(frozen=True)
class BatchSettings:
    """What holds for every row."""

    folder: Path
    """Image paths are relative to it."""
    noise: tuple[str, ...] = ()
    frame: int | None = None
    seed: int = 0
    timings: bool = True


@dataclass
class Counts:
    """How many rows came to which end."""

    answered: int = 0
    refused: int = 0
    failed: int = 0
    """Asked, and the model gave no answer."""

    def add(self, record: Record) -> None:
        """Count a record."""
        if record["error"] is None:
            self.answered += 1
        elif "answer" in record:
            self.failed += 1
        else:
            self.refused += 1


def ask_rows(
    rows: Sequence[BatchRow],
    settings: BatchSettings,
    open_context: Callable[[], IMCContext],
    results: PartialResults,
    advance: Callable[[str, int, int], None],
) -> Counts:
    """Ask every row that `results` does not hold yet; a refused row does not stop the others.

    `open_context` is called once, when the first row can be asked.
    """
    counts = Counts()
    for record in results.records:
        counts.add(record)
    held = {record["row"] for record in results.records}
    left = iter([row for row in rows if row.number not in held])
    context: IMCContext | None = None
    while chunk := list(islice(left, TOGETHER)):
        read = [(row, _read(row, settings)) for row in chunk]
        askable = [request for _, request in read if not isinstance(request, str)]
        if askable and context is None:
            context = open_context()
        answers = iter(()) if context is None else _answers(askable, context, settings)
        for row, request in read:
            record = record_of(row, request if isinstance(request, str) else next(answers))
            results.add(record)
            counts.add(record)
            advance("questions", len(results.records), len(rows))
    return counts


def _read(row: BatchRow, settings: BatchSettings) -> Request | str:
    """The row's image and question, or the line that says why they cannot be asked."""
    if row.why:
        return f"row {row.number}: {row.why}"
    remote = "://" in row.image
    image = row.image if remote else settings.folder / row.image
    try:
        return read_request(
            image, row.question, settings.noise, frame=settings.frame, seed=settings.seed
        )
    except ValueError as error:
        return refusal_line(error)


def _answers(
    requests: Sequence[Request], context: IMCContext, settings: BatchSettings
) -> Iterator[Outcome | str]:
    """The outcome of each request, or the line that refuses it."""
    from graphs.refining import answer_refined, refine_batch

    refined = refine_batch([request.question for request in requests], context)
    for request, state in zip(requests, refined, strict=True):
        try:
            finished = answer_refined(state, request.image, context)
        except ValueError as error:
            yield refusal_line(error)
            continue
        yield outcome_of(finished, context, timings=settings.timings)
