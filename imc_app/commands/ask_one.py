"""`imc ask IMAGE QUESTION` and `imc ask --resume THREAD`: one question, kept as a thread or not."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imc_app.notices import is_quiet, notice, waiting
from imc_app.outputs import OutputKind, check_output
from imc_app.page import case_page
from imc_app.refusals import InputRefused, one_line
from imc_core.files import replace_file

if TYPE_CHECKING:
    from imc_agents.chat.placement import Placement
    from imc_app.kept_questions import AskSettings
    from imc_app.session import Outcome, Request


@dataclass(frozen=True)
class Shown:
    """How the answer is shown."""

    as_json: bool
    times: bool
    html: Path | None

    def check(self, *inputs: str | Path | None) -> None:
        """Refuse a page that would overwrite an input, before anything is computed."""
        if self.html is not None:
            check_output("--html", self.html, OutputKind.PAGE, inputs=inputs)

    def show(
        self, outcome: Outcome, request: Request, name: str
    ) -> None:
        """Write the page, print the answer; exits with 1 where the model gave none.

        Args:
            outcome: what came of the request.
            request: the image and question that were asked.
            name: of the image, on the page.
        """
        from imc_app.show import console, show_answer

        if self.html is not None:
            _write_page(self.html, case_page(outcome, request, name))
        if self.as_json:
            typer.echo(json.dumps(outcome.document, ensure_ascii=False))
        else:
            show_answer(
                outcome.document,
                console(),
                with_times=self.times,
                applied=request.applied,
                correction=outcome.correction,
            )
        if outcome.failure is not None:
            typer.echo(f"imc: the model gave no answer: {one_line(outcome.failure)}", err=True)
            raise typer.Exit(1)


def ask_one(
    image: str,
    question: str,
    settings: AskSettings,
    shown: Shown,
    *,
    frame: int | None,
    checkpoints: str | None,
    keep_exchanges: bool = False,
) -> None:
    """Ask one question; `checkpoints`: where its thread is kept, None for nowhere.

    `keep_exchanges`: beside the thread, each request to the model and its reply.

    Raises:
        IMCError: whatever is refused, in one line.
    """
    from imc_app.kept_questions import PATHS, KeptQuestion, open_threads, with_exchanges
    from imc_app.session import answer_request, read_request

    first = "torch" not in sys.modules
    shown.check(image, *(getattr(settings, name) for name in PATHS), *settings.protected)
    request = read_request(image, question, settings.noise, frame=frame, seed=settings.seed)
    kept = None if checkpoints is None else open_threads(checkpoints)
    context = settings.open()
    if kept is None:
        with waiting("answering"):
            outcome = answer_request(context, request, timings=shown.times)
    else:
        thread = KeptQuestion(kept, settings)
        if keep_exchanges:
            context = with_exchanges(context, kept)
        if first or (sys.stderr.isatty() and not is_quiet()):
            notice(f"thread {thread.thread}; if it is stopped: imc ask --resume {thread.thread}")
        with waiting("answering"):
            outcome = thread.ask(context, request, timings=shown.times)
    shown.show(outcome, request, Path(image).name)


def resume_one(
    thread: str,
    checkpoints: str,
    shown: Shown,
    *,
    model: str | None,
    prototypes: Path | None,
    acquisition: Path | None,
    placement: Placement,
    keep_exchanges: bool = False,
) -> None:
    """Finish the question of a thread, or show its answer again.

    `model`, `prototypes`, `acquisition` and what `placement` says of the machine replace those that
    it was begun with, where they are given: files may have moved. Its number format stays.

    Raises:
        IMCError: whatever is refused, in one line.
    """
    from imc_app.kept_questions import find_question, with_exchanges

    found = find_question(checkpoints, thread)
    shown.check(found.kept.place)
    settings = found.settings.changed(
        model=model,
        prototypes=None if prototypes is None else str(prototypes),
        acquisition=None if acquisition is None else str(acquisition),
    ).on(placement)
    context = settings.open()
    if keep_exchanges:
        context = with_exchanges(context, found.kept)
    with waiting("answering"):
        outcome, request = found.resume(context, timings=shown.times)
    shown.show(outcome, request, request.image.sha256[:12])


def _write_page(out: Path, page: str) -> None:
    try:
        replace_file(out, page)
    except OSError as error:
        raise InputRefused(
            f"--html {out}: cannot be written ({error.strerror}); name another file"
        ) from error
    notice(f"{out}: the case as one page; it holds the image")
