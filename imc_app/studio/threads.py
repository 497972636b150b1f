"""Questions that the studio has been asked: each a thread, run in the background, with its events.

A page only shows a thread: one that is closed ends nothing, and one that is opened again, in any
tab, shows the thread's present state.
"""

from __future__ import annotations

import time
from html import escape
from typing import TYPE_CHECKING, Any

from graphs.debugging import DebugSession, NodeRun, NodeStarted
from graphs.drawing import NodeTotals, totals_of_trace
from imc_agents.state import TraceStep
from imc_app.refusals import one_line
from imc_app.studio.watched import Watched

if TYPE_CHECKING:

    from graphs.debugging.history import Checkpoint
    from graphs.debugging.values import Event
    from vision.reading.medical_image import MedicalImage

SAID = {
    "opened": "stopped at the beginning",
    "step": "stopped after a step",
    "breakpoint": "stopped at the breakpoint",
    "interrupt": "stopped: a person is asked",
    "failed": "stopped: a node failed",
    "stopped": "stopped on demand",
    "edited": "the state was edited",
    "forked": "a branch begins here",
    "end": "ended",
}


class StudioThread(Watched):
    """One thread and what is known of its runs."""

    def __init__(self, session: DebugSession[Any], question: str = "") -> None:
        super().__init__()
        self.session = session
        session.listener = self._heard
        self.image: MedicalImage | None = None
        """What was asked about; None: not read from its store yet."""
        self.question = question
        self.running: dict[str, float] = {}
        """Nodes that are running, with the time at which each began."""
        self.node_runs: list[NodeRun] = []
        """Runs of nodes since the last start, also those of the step that still goes on."""
        self.history: list[Checkpoint] = []
        """The thread's checkpoints, as of the end of its last job."""
        self._state: dict[str, Any] = {"question": question} if question else {}

    @property
    def id(self) -> str:
        """The thread's id: it is in the address of its pages."""
        return self.session.thread_id

    @property
    def state(self) -> dict[str, Any]:
        """State where the session stands, with what nodes have written since."""
        state = dict(self._state)
        if self.doing:
            for run in self.node_runs:
                written = run.update if isinstance(run.update, dict) else {}
                state |= {key: value for key, value in written.items() if key != "trace"}
        return state

    @property
    def status_html(self) -> str:
        """What goes on, why it stopped, and what a person is asked."""
        lines = []
        stops = self.session.stops
        if not self.doing and stops:
            last = stops[-1]
            waits = f"; next: {', '.join(last.next)}" if last.next else ""
            reason = str(last.breakpoint or "") if last.reason == "breakpoint" else ""
            said = f"{SAID.get(last.reason, last.reason)} {reason}".rstrip()
            lines.append(f"<p>{escape(said + waits)}</p>")
        return "".join(lines) + super().status_html

    @property
    def waits_for_person(self) -> bool:
        """The run goes on with a person's reply alone."""
        stops = self.session.stops
        return bool(not self.doing and stops and stops[-1].interrupts)

    def read(self) -> None:
        """Read state and history from the session; where nothing else moves it."""
        self._state = dict(self.session.state)
        self.history = self.session.history()

    @property
    def totals(self) -> dict[str, NodeTotals]:
        """What happened at each node so far, by id of the drawing."""
        found: dict[str, NodeTotals] = {}
        trace = []
        for run in self.node_runs:
            trace.append(_step(run))
        if not trace and not self.running:
            trace = list(self.state.get("trace") or [])
        found.update(totals_of_trace(trace))
        last = self.session.stops[-1] if self.session.stops else None
        for node in last.next if last is not None and not self.doing else ():
            name = _drawn(node)
            before = found.get(name)
            found[name] = NodeTotals(
                "next",
                before.runs if before else 0,
                before.ms if before else None,
                before.calls if before else 0,
            )
        for node in self.running:
            name = _drawn(node)
            found[name] = NodeTotals("running", found[name].runs + 1 if name in found else 1)
        return found

    def ended(self, error: BaseException | None) -> None:
        """The job has ended. On the event loop."""
        self.running.clear()
        super().ended(error)
        last = self.session.stops[-1] if self.session.stops else None
        if last is not None and last.error and not self.message:
            self.message = one_line(last.error)

    def _heard(self, event: Event) -> None:
        """An event of the run; in the thread that runs the graph."""
        if isinstance(event, NodeStarted):
            self.running[event.node] = time.monotonic()
        elif isinstance(event, NodeRun):
            self.running.pop(event.node, None)
            self.node_runs.append(event)
        self.changed_elsewhere()


def _step(run: NodeRun) -> TraceStep:
    """A node's run as a step of a trace: as the node itself noted it, where it did."""
    written = run.update.get("trace") if isinstance(run.update, dict) else None
    own = [one for one in written or [] if isinstance(one, TraceStep)]
    return TraceStep(
        node=_drawn(run.node),
        ms=run.ms,
        calls=own[-1].calls if own else sum(one.passes or 1 for one in run.exchanges),
        note=run.error or (own[-1].note if own else ""),
        failed=run.error is not None or any(one.failed for one in own),
    )


def _drawn(node: str) -> str:
    """The drawing's id of a session's node: `imc:verifier` for `imc/verifier`."""
    return node.replace("/", ":")
