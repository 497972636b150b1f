"""The Ask page: drop an image, type a question, see what was found, done and answered."""

from __future__ import annotations

from html import escape

from nicegui import ui

from graphs.drawing import diagram_of
from imc_app.page import posterior_html, question_html
from imc_app.refusals import InputRefused, one_line
from imc_app.session import outcome_of
from imc_app.studio.graph_view import GraphView
from imc_app.studio.pictures import PictureChoice
from imc_app.studio.shell import Refusal, shell
from imc_app.studio.studio import Studio
from imc_app.studio.threads import StudioThread

METHODS = {
    "imc": "imc: correct image and question",
    "pdc": "pdc: correct the image",
    "sms": "sms: correct the question",
    "none": "none: the bare model",
}
REVIEWS = {
    "never": "never",
    "on_change": "where something would be changed",
    "always": "always",
}


def add_ask_page(studio: Studio) -> None:
    """Register the page under `/` and, of a thread, under `/ask/THREAD`."""

    @ui.page("/")
    async def new() -> None:
        with shell("Ask") as refusal:
            ui.html("Ask about an image", tag="h1")
            _form(studio, refusal, None)

    @ui.page("/ask/{name}")
    async def asked(name: str) -> None:
        with shell("Ask") as refusal:
            ui.html("Ask about an image", tag="h1")
            thread = None
            with refusal.shown():
                thread = await studio.thread(name)
            with ui.element("div").classes("imc-columns"):
                with ui.element("section").props('aria-label="Question"'):
                    _form(studio, refusal, thread)
                if thread is not None:
                    with ui.element("section").props('aria-label="Answer"'):
                        AnswerView(studio, thread)


def _form(studio: Studio, refusal: Refusal, thread: StudioThread | None) -> None:
    picture = PictureChoice(refusal, kept=None if thread is None else thread.image)
    question = (
        ui.textarea("Question", value="" if thread is None else thread.question)
        .classes("w-full")
        .props("autogrow outlined input-style=min-height:3rem")
    )
    with ui.row().classes("w-full"):
        method = ui.select(METHODS, value="imc", label="Method").classes("grow")
        review = ui.select(REVIEWS, value="never", label="Review by a person").classes("grow")

    def ask(*, stepping: bool = False) -> None:
        with refusal.shown():
            if picture.image is None:
                raise InputRefused("choose an image first: drop a file, or use the example")
            begun = studio.ask(
                picture.image,
                question.value,
                method=method.value,
                review=review.value,
                stepping=stepping,
            )
            ui.navigate.to(f"/{'step' if stepping else 'ask'}/{begun.id}")

    with ui.row():
        ui.button("Ask", on_click=lambda: ask()).props("no-caps")
        ui.button("Ask step by step", on_click=lambda: ask(stepping=True)).props("no-caps outline")
    question.on("keydown.ctrl.enter", lambda: ask())


class AnswerView:
    """What came of a thread's question; it follows the run."""

    def __init__(self, studio: Studio, thread: StudioThread) -> None:
        self.studio = studio
        self.thread = thread
        self.status = ui.html("", sanitize=False).props("role=status")
        self.result = ui.html("", sanitize=False).classes("w-full")
        ui.html("Graph", tag="h2")
        self.graph = GraphView(diagram_of(thread.session.graph))
        with ui.row():
            ui.link("Open in Step", f"/step/{thread.id}")
            ui.link("Open in Image", f"/image/{thread.id}")
        ui.context.client.on_delete(thread.watch(self.show))
        self.show()

    def show(self) -> None:
        """Show the thread's present state."""
        thread = self.thread
        stops = thread.session.stops
        ended = bool(stops) and stops[-1].reason == "end" and not thread.doing
        status = thread.status_html if not ended or thread.message else ""
        if thread.waits_for_person:
            status += f'<p><a href="/step/{thread.id}">Reply in Step</a></p>'
        self.status.set_content(status)
        self.graph.draw(thread.totals)
        self.result.set_content(self._result())

    def _result(self) -> str:
        state, context = self.thread.state, self.thread.session.context
        if state.get("image_name") is None or context is None:
            return ""
        outcome = outcome_of(state, context)  # type: ignore[arg-type]
        document = outcome.document
        answer = ""
        if state.get("answer") is not None:
            text = document["answer"] or f"no answer ({outcome.failure})"
            answer = (
                f'<p class="imc-answer">{escape(one_line(text))}</p><p class="soft">confidence '
                f"{document['confidence']:.2f} (mean probability of a token of the answer)</p>"
            )
        decided = state.get("decision") is not None
        asked = f"<h2>Question</h2>{question_html(document['question'])}" if decided else ""
        why = f"<p>{escape(one_line(outcome.correction))}</p>" if outcome.correction else ""
        noise = posterior_html(document["image"]["noise"])
        return f"{answer}{asked}<h2>Image</h2>{why}{noise}"
