"""The Step page: a thread stepped node by node, with breakpoints, edits, forks and requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import events, ui

from graphs.debugging import Breakpoint
from graphs.drawing import diagram_of
from imc_app.refusals import InputRefused
from imc_app.studio.graph_view import GraphView
from imc_app.studio.review_panel import ReviewPanel
from imc_app.studio.shell import Refusal, shell
from imc_app.studio.step_panels import (
    BreakpointPanel,
    CheckpointPanel,
    RequestPanel,
    StatePanel,
    thread_links,
    timeline_html,
)
from imc_app.studio.studio import Studio
from imc_app.studio.threads import StudioThread

KEYS = {"n": "step", "c": "run", "s": "stop", "r": "restart"}


def add_step_page(studio: Studio) -> None:
    """Register the page under `/step` (which thread) and `/step/THREAD`."""

    @ui.page("/step")
    async def choose() -> None:
        with shell("Step"):
            ui.html("Step through a question", tag="h1")
            ui.label("Begin one on the Ask page with “Ask step by step”, or open a thread:")
            ui.html(thread_links(studio), sanitize=False)

    @ui.page("/step/{name}")
    async def step(name: str) -> None:
        with shell("Step") as refusal:
            ui.html("Step through a question", tag="h1")
            with refusal.shown():
                StepView(studio, await studio.thread(name), refusal)


class StepView:
    """Toolbar, graph, timeline and panels of one thread."""

    def __init__(self, studio: Studio, thread: StudioThread, refusal: Refusal) -> None:
        self.studio = studio
        self.thread = thread
        self.session = thread.session
        self.refusal = refusal
        self.chosen = ""
        self._toolbar()
        self.status = ui.html("", sanitize=False).props("role=status")
        self.review = ReviewPanel(thread, self._send, refusal)
        with ui.element("div").classes("imc-columns"):
            with ui.element("section").props('aria-label="Graph"'):
                self.graph = GraphView(
                    diagram_of(self.session.graph, xray=True),
                    on_node=self._choose,
                    on_breakpoint=self._break,
                )
                ui.html(
                    '<p class="soft">A node shows its requests; the dots at its upper and lower '
                    "corner are breakpoints before and after it.</p>",
                    sanitize=False,
                )
                self.timeline = ui.html("", sanitize=False)
            with ui.element("section").props('aria-label="State and requests"'):
                self._panels()
        ui.keyboard(on_key=self._key, ignore=["input", "select", "textarea"])
        ui.context.client.on_delete(thread.watch(self.show))
        self.show()

    def _toolbar(self) -> None:
        with ui.row().props('role=toolbar aria-label="Run"'):
            for label, key, press in (
                ("Step", "n", self.step),
                ("Continue", "c", self.run),
                ("Stop", "s", self.stop),
                ("Restart", "r", self.restart),
            ):
                ui.button(f"{label} ({key})", on_click=press).props(
                    f"no-caps dense outline aria-keyshortcuts={key}"
                )

    def _panels(self) -> None:
        with ui.tabs().props("no-caps dense align=left") as tabs:
            names = ("State", "Prompt and raw", "Breakpoints", "Checkpoints", "Threads")
            made = {name: ui.tab(name) for name in names}
        with ui.tab_panels(tabs, value=made["State"], animated=False).classes("w-full"):
            with ui.tab_panel(made["State"]).classes("p-0"):
                self.state = StatePanel(self.thread, self._edit)
            with ui.tab_panel(made["Prompt and raw"]).classes("p-0"):
                self.requests = RequestPanel(self.studio, self.thread, self.refusal)
            with ui.tab_panel(made["Breakpoints"]).classes("p-0"):
                self.breakpoints = BreakpointPanel(self.thread, self._break)
            with ui.tab_panel(made["Checkpoints"]).classes("p-0"):
                self.checkpoints = CheckpointPanel(
                    self.thread, self._fork, self._run_again, self.refusal
                )
            with ui.tab_panel(made["Threads"]).classes("p-0"):
                ui.html(thread_links(self.studio), sanitize=False)

    # --- commands -----------------------------------------------------------------------------

    def step(self) -> None:
        """Run the nodes that wait."""
        self._begin("stepping", lambda: self.session.step(into=True))

    def run(self) -> None:
        """Run to a breakpoint or the end."""
        self._begin("running", lambda: self.session.run())

    def stop(self) -> None:
        """Stop a run after its present step."""
        self.session.stop()

    def restart(self) -> None:
        """Stand before the first nodes again."""
        first = next((one for one in self.thread.history if _waits_for_nodes(one.next)), None)
        with self.refusal.shown():
            if first is None:
                raise InputRefused("nothing has run yet: step or continue")
            number = first.number
            self._begin("restarting", lambda: self.session.fork(number), anew=True)

    def _fork(self, number: int) -> None:
        self._begin("forking", lambda: self.session.fork(number), anew=True)

    def _run_again(self, number: int) -> None:
        self._begin("running again", lambda: self.session.run_again(number), anew=True)

    def _edit(self, key: str, text: str) -> None:
        self._begin("editing", lambda: self.session.edit_json(key, text))

    def _send(self, reply: Any) -> None:
        self._begin("running", lambda: self.session.run(reply=reply))

    def _begin(self, doing: str, job: Callable[[], Any], *, anew: bool = False) -> None:
        with self.refusal.shown():
            self.studio.move(self.thread, doing, job, anew=anew)

    def _key(self, event: events.KeyEventArguments) -> None:
        modified = event.modifiers.ctrl or event.modifiers.alt or event.modifiers.meta
        name = KEYS.get(str(event.key))
        if name is not None and event.action.keydown and not event.action.repeat and not modified:
            getattr(self, name)()

    def _choose(self, node: str) -> None:
        self.chosen = "" if self.chosen == node else node
        self.requests.node = self.chosen.replace(":", "/")
        self.show()

    def _break(self, node: str, when: str) -> None:
        one = Breakpoint(node.replace(":", "/"), when)  # type: ignore[arg-type]
        with self.refusal.shown():
            if one in self.session.breakpoints:
                self.session.remove_breakpoint(*one)
            else:
                self.session.add_breakpoint(*one)
        self.thread.changed()

    # --- showing ------------------------------------------------------------------------------

    def show(self) -> None:
        """Show the thread's present state."""
        breakpoints: dict[str, frozenset[str]] = {}
        for node, when in self.session.breakpoints:
            name = node.replace("/", ":")
            breakpoints[name] = breakpoints.get(name, frozenset()) | {when}
        self.graph.draw(self.thread.totals, breakpoints, self.chosen)
        self.status.set_content(self.thread.status_html)
        self.timeline.set_content(timeline_html(self.session.stops))
        for panel in (self.review, self.state, self.requests, self.breakpoints, self.checkpoints):
            panel.show()


def _waits_for_nodes(following: tuple[str, ...]) -> bool:
    return bool(following) and not any(node.startswith("__") for node in following)
