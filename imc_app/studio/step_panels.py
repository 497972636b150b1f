"""The panels of the Step page: timeline, state with edits, requests to the model, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from nicegui import ui

from graphs.debugging import Breakpoint, Stop, as_json, tree_lines
from graphs.debugging.comparing import compare
from graphs.debugging.page import changes_html, exchange_html
from imc_app.refusals import InputRefused, one_line
from imc_app.studio.shell import Refusal
from imc_app.studio.studio import Studio
from imc_app.studio.threads import StudioThread

LARGEST_VALUE = 20_000
"""Characters of a value that a page shows."""


def timeline_html(stops: Sequence[Stop]) -> str:
    """The steps in order; nodes that ran side by side are beside each other."""
    steps = [stop.ran for stop in stops if stop.ran]
    if not steps:
        return ""
    longest = max(run.ms for ran in steps for run in ran) or 1.0
    rows = []
    for number, ran in enumerate(steps, 1):
        beside = "".join(
            f'<span><span class="bar" style="width:{2 + 78 * run.ms / longest:.0f}px"></span> '
            f"{escape(run.node)} {run.ms:.0f} ms"
            f"{' <span class=imc-refusal>failed</span>' if run.error else ''}</span>"
            for run in ran
        )
        rows.append(
            f'<tr><th scope="row">{number}</th><td style="display:flex;flex-wrap:wrap;gap:0 1rem">'
            f"{beside}</td></tr>"
        )
    return f'<h2>Timeline</h2><div class="wide"><table>{"".join(rows)}</table></div>'


def thread_links(studio: Studio) -> str:
    """The threads that can be opened, the latest first."""
    items = []
    for name, question in studio.known_threads():
        said = f" {escape(one_line(question))}" if question else ""
        items.append(f'<li><a href="/step/{escape(name)}">{escape(name)}</a>{said}</li>')
    return f"<ul>{''.join(items)}</ul>" if items else '<p class="soft">none yet</p>'


class StatePanel:
    """State, key by key; the keys that changed in the last step; an edit of one key."""

    def __init__(self, thread: StudioThread, edit: Callable[[str, str], None]) -> None:
        self.thread = thread
        self.changes = ui.html("", sanitize=False)
        self.edit = edit
        with ui.row().classes("w-full items-end"):
            self.key = ui.select([], label="Edit key", on_change=self._fill).classes("grow")
            ui.button("Save", on_click=self._save).props("no-caps dense outline")
        self.text = ui.textarea("New value, as JSON").classes("w-full").props("autogrow outlined")
        self.whole = ui.html("", sanitize=False)

    def _save(self) -> None:
        self.edit(str(self.key.value or ""), str(self.text.value))

    def _fill(self) -> None:
        value = self.thread.state.get(str(self.key.value))
        self.text.set_value(as_json(value)[:LARGEST_VALUE])

    def show(self) -> None:
        """Show the thread's present state."""
        state, stops = self.thread.state, self.thread.session.stops
        if list(self.key.options) != list(state):
            self.key.set_options(list(state))
        if stops and not self.thread.doing:
            self.changes.set_content(changes_html(stops[-1].changed))
        rows = "".join(
            f'<tr><th scope="row">{escape(key)}</th><td><pre>'
            f"{escape(as_json(value)[:LARGEST_VALUE])}</pre></td></tr>"
            for key, value in state.items()
        )
        self.whole.set_content(
            f'<details><summary>All of the state</summary><div class="wide"><table>{rows}</table>'
            "</div></details>"
        )


class RequestPanel:
    """What a node asked the model and was answered; one request again with another prompt."""

    def __init__(self, studio: Studio, thread: StudioThread, refusal: Refusal) -> None:
        self.studio = studio
        self.thread = thread
        self.refusal = refusal
        self.node = ""
        """Whose requests are shown; empty: of every node."""
        self.head = ui.label()
        self.list = ui.html("", sanitize=False).classes("w-full")
        self.which = ui.select({}, label="Ask again", on_change=self._fill).classes("w-full")
        self.prompt = ui.textarea("Last message").classes("w-full").props("autogrow outlined")
        ui.button("Ask again", on_click=self._again).props("no-caps dense outline")
        self.answer = ui.html("", sanitize=False).classes("w-full")

    @property
    def exchanges(self) -> list[Any]:
        """Those of the chosen node, in order."""
        runs = [run for run in self.thread.node_runs if self.node in ("", run.node)]
        return [one for run in runs for one in run.exchanges]

    def _fill(self) -> None:
        number = self.which.value
        if isinstance(number, int) and number < len(self.exchanges):
            messages = self.exchanges[number].messages
            self.prompt.set_value(messages[-1].text if messages else "")

    async def _again(self) -> None:
        with self.refusal.shown():
            number = self.which.value
            if not isinstance(number, int) or number >= len(self.exchanges):
                return
            exchange, prompt = self.exchanges[number], str(self.prompt.value)
            asked = await self.studio.work(
                lambda: self.thread.session.ask_again(exchange, prompt=prompt)
            )
            self.answer.set_content(f"<h2>Asked again</h2>{exchange_html(asked)}")

    def show(self) -> None:
        """Show the requests so far."""
        exchanges = self.exchanges
        whose = f"of {self.node}" if self.node else "of all nodes (choose one in the graph)"
        self.head.set_text(f"{len(exchanges)} requests {whose}")
        self.list.set_content(
            "".join(f"<p>{escape(one.node)}</p>{exchange_html(one)}" for one in exchanges)
        )
        options = {
            number: f"{number + 1}: {one.node}, {one.request}"
            for number, one in enumerate(exchanges)
        }
        if options != self.which.options:
            self.which.set_options(options, value=None)


class CheckpointPanel:
    """The thread's checkpoints as a tree, each with its buttons."""

    def __init__(
        self,
        thread: StudioThread,
        fork: Callable[[int], None],
        run_again: Callable[[int], None],
        refusal: Refusal,
    ) -> None:
        self.thread = thread
        self.fork = fork
        self.run_again = run_again
        self.refusal = refusal
        self._shown: list[tuple[str, bool]] = []
        with ui.row().classes("w-full items-end"):
            self.first = ui.select([], label="Compare").classes("w-24")
            self.second = ui.select([], label="with").classes("w-24")
            ui.button("Compare", on_click=self._compare).props("no-caps dense outline")
            ui.button("Save all as one page", on_click=self._save).props("no-caps dense outline")
        self.comparison = ui.html("", sanitize=False).classes("w-full")
        self.place = ui.element("div").classes("w-full")

    def _compare(self) -> None:
        with self.refusal.shown():
            if self.first.value is None or self.second.value is None:
                raise InputRefused("choose two checkpoints to compare")
            made = compare(
                self.thread.history,
                self.thread.history[self.first.value],
                self.thread.history[self.second.value],
            )
            parted = "nothing" if made.common is None else f"checkpoint {made.common.number}"
            table = changes_html(made.differing) or "<p>Their states are the same.</p>"
            self.comparison.set_content(f"<p>They share {parted}.</p>{table}")

    def _save(self) -> None:
        with self.refusal.shown():
            if self.thread.doing:
                raise InputRefused(f"still {self.thread.doing}: save when that has ended")
            page = self.thread.session.export()
            ui.download.content(page, f"imc-{self.thread.id}.html", "text/html")

    def show(self) -> None:
        """Show the history as of the last job's end."""
        history = self.thread.history
        now = [(one.id, one.current) for one in history]
        if now == self._shown:
            return
        self._shown = now
        for choice in (self.first, self.second):
            choice.set_options([one.number for one in history])
        self.place.clear()
        with self.place:
            for lead, one in tree_lines(history):
                waits = f"next {', '.join(one.next)}" if one.next else "end"
                here = " ◀" if one.current else ""
                with ui.row().classes("w-full items-center no-wrap gap-2"):
                    ui.label(f"{lead}{one.number} {one.label}, {waits}{here}").classes(
                        "grow font-mono text-xs whitespace-pre-wrap"
                    )
                    number = one.number
                    ui.button("Fork", on_click=lambda n=number: self.fork(n)).props(
                        f'no-caps dense flat aria-label="Fork at checkpoint {number}"'
                    )
                    ui.button("Run again", on_click=lambda n=number: self.run_again(n)).props(
                        f'no-caps dense flat aria-label="Run again from checkpoint {number}"'
                    )


class BreakpointPanel:
    """The breakpoints that are set, each with a button that removes it."""

    def __init__(self, thread: StudioThread, toggle: Callable[[str, str], None]) -> None:
        self.thread = thread
        self.toggle = toggle
        self._shown: list[Breakpoint] | None = None
        self.place = ui.element("div").classes("w-full")

    def show(self) -> None:
        """Show those that are set now."""
        now = sorted(self.thread.session.breakpoints)
        if now == self._shown:
            return
        self._shown = now
        self.place.clear()
        with self.place:
            if not now:
                ui.label("none: press a dot at a node's upper or lower left corner")
            for one in now:
                with ui.row().classes("items-center"):
                    ui.label(str(one))
                    ui.button(
                        "Remove", on_click=lambda at=one: self.toggle(at.node, at.when)
                    ).props(f'no-caps dense flat aria-label="Remove the breakpoint {one}"')
