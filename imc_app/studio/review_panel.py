"""What a person is asked before the answer: each edit and the picture, to take or to leave."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from nicegui import ui

from graphs.debugging import as_json
from graphs.debugging.edits import from_json
from imc_app.page import picture_address
from imc_app.refusals import InputRefused
from imc_app.studio.shell import Refusal
from imc_app.studio.threads import StudioThread

if TYPE_CHECKING:
    from graphs.context import IMCContext

Send = Callable[[Any], None]


class ReviewPanel:
    """Shown while the thread waits for a reply; the reply has LangChain's form, or is text."""

    def __init__(self, thread: StudioThread, send: Send, refusal: Refusal) -> None:
        self.thread = thread
        self.send = send
        self.refusal = refusal
        self._shown: Any = None
        self.taken: list[ui.checkbox] = []
        self.place = ui.element("section").classes("w-full").props('aria-label="Review"')

    def show(self) -> None:
        """Show what is asked now, if anything is."""
        stops = self.thread.session.stops
        asked = stops[-1].interrupts if self.thread.waits_for_person else ()
        if asked == self._shown:
            return
        self._shown = asked
        self.place.clear()
        self.taken = []
        if not asked:
            return
        with self.place:
            ui.html("A person is asked", tag="h2")
            for value in asked:
                self._ask(value)
            self._reply()

    def _ask(self, value: Any) -> None:
        actions = value.get("action_requests") if isinstance(value, Mapping) else None
        if not actions:
            ui.html(f"<pre>{escape(as_json(value))}</pre>", sanitize=False)
            return
        if value.get("not_understood"):
            ui.html(f'<p class="imc-refusal">{escape(value["not_understood"])}</p>', sanitize=False)
        ui.html(f"<p>{escape(str(value['question']['original']))}</p>", sanitize=False)
        for action in actions:
            self.taken.append(ui.checkbox(str(action["description"]), value=True))
        ui.html(self._pictures(value["image"]), sanitize=False).classes("imc-picture")

    def _pictures(self, image: Mapping[str, Any]) -> str:
        """The image as it came in and as it was restored, where it was."""
        context: IMCContext | None = self.thread.session.context
        figures = ""
        for name in ("original", "restored"):
            source = image.get(name)
            if source and image.get("restored") and context is not None:
                with self.refusal.shown():
                    picture = picture_address(context.images.read(source))
                    figures += (
                        f'<figure style="margin:0"><img src="{picture}" width="240" alt="{name}">'
                        f'<figcaption class="soft">{name}</figcaption></figure>'
                    )
        return f'<div style="display:flex;flex-wrap:wrap;gap:.75rem">{figures}</div>'

    def _reply(self) -> None:
        with ui.row().classes("w-full items-end"):
            if self.taken:
                ui.button("Take what is ticked", on_click=self._take).props("no-caps dense")
            for word in ("Accept", "Reject"):
                ui.button(word, on_click=lambda said=word: self.send(said.lower())).props(
                    "no-caps dense outline"
                )
            own = ui.input("Or reply in words, or with another question").classes("grow")
            own.on("keydown.enter", lambda: self._say(str(own.value or "")))
            ui.button("Send", on_click=lambda: self._say(str(own.value or ""))).props(
                "no-caps dense outline"
            )

    def _take(self) -> None:
        kinds = ["approve" if box.value else "reject" for box in self.taken]
        self.send({"decisions": [{"type": kind} for kind in kinds]})

    def _say(self, said: str) -> None:
        with self.refusal.shown():
            if not said.strip():
                raise InputRefused("write a reply first: yes, no, or another question")
            self.send(from_json(said) if said.lstrip().startswith("{") else said.strip())
