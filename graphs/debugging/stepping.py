"""One thread of a graph, run a superstep at a time: breakpoints, and where the run stands."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Generic, TypeVar
from uuid import uuid4

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.pregel import Pregel
from langgraph.types import Command, StateSnapshot

from graphs.checkpoints.serializing import serializer
from graphs.debugging.history import checkpoint_id
from graphs.debugging.supersteps import SEPARATOR, Superstep, node_names, run_superstep
from graphs.debugging.values import Breakpoint, DebugRefused, Listener, Stop, When, changes
from graphs.steppable import SteppableGraph

__all__ = ["SteppedThread", "in_memory", "innermost"]

Context = TypeVar("Context")


class SteppedThread(Generic[Context]):
    """Runs one thread of a graph a step at a time. Not for several threads of a program at once:
    only `stop` may be called from another one.

    While a step runs, the session sets where the graph's subgraphs stop: give it a graph that
    nothing else runs at the same time.
    """

    def __init__(
        self,
        graph: Pregel[Any, Any, Any, Any],
        *,
        context: Context | None = None,
        thread_id: str | None = None,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        listener: Listener | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a session; nothing runs yet.

        Args:
            graph: any compiled graph.
            context: what each of its runs is given.
            thread_id: of a thread to open with `open`, or to begin; None: a new one.
            checkpointer: where state is kept; None: the graph's own, else in memory.
            listener: called at each event of a run: a node begins, ends, asks the model.
            metadata: recorded with every checkpoint.
        """
        saver = checkpointer if checkpointer is not None else graph.checkpointer
        if not isinstance(saver, BaseCheckpointSaver):
            saver = in_memory(graph)
        self.graph: Pregel[Any, Any, Any, Any] = graph.copy({"checkpointer": saver})
        self.context = context
        self.thread_id = thread_id or uuid4().hex[:12]
        self.listener = listener
        self.metadata = dict(metadata or {})
        """Recorded with every checkpoint from now on."""
        self.nodes = tuple(node_names(self.graph))
        self.breakpoints: set[Breakpoint] = set()
        self.stops: list[Stop] = []
        """Every stop of this session, in order."""
        self._at: RunnableConfig | None = None  # a checkpoint before the newest, where one forked
        self._stopping = threading.Event()

    # --- breakpoints --------------------------------------------------------------------------

    def add_breakpoint(self, node: str, when: When = "before") -> Breakpoint:
        """Stop before or after a node from now on. Raises DebugRefused: there is no such node."""
        added = Breakpoint(self._known(node), when)
        self.breakpoints.add(added)
        return added

    def remove_breakpoint(self, node: str, when: When | None = None) -> None:
        """Remove a node's breakpoints. Raises DebugRefused: it has none."""
        own = {one for one in self.breakpoints if one.node == node and when in (None, one.when)}
        if not own:
            have = ", ".join(map(str, sorted(self.breakpoints))) or "none"
            raise DebugRefused(f"no breakpoint at {node!r}; the breakpoints are: {have}")
        self.breakpoints -= own

    def _known(self, node: str) -> str:
        if node not in self.nodes:
            raise DebugRefused(
                f"the graph has no node {node!r}; its nodes are {', '.join(self.nodes)}"
            )
        return node

    # --- running ------------------------------------------------------------------------------

    def start(self, given: Any) -> Stop:
        """Begin a run with the graph's input; stops before the first node."""
        self._at = None
        return self._advance(given, "opened", stepping=())

    def open(self) -> Stop:
        """Stand at the newest checkpoint of the thread. Raises DebugRefused: unknown thread."""
        snapshot = self._snapshot()
        if snapshot.created_at is None:
            raise DebugRefused(
                f"thread {self.thread_id!r} is unknown here: start a run, or name a thread that "
                "was kept"
            )
        return self._stop("opened", Superstep(), {}, snapshot)

    def step(self, *, into: bool = False, reply: Any = None) -> Stop:
        """Run the nodes that wait.

        Args:
            into: stop inside of a subgraph, before its first node; else it is run as one node, or
                up to a breakpoint of its own.
            reply: what a person says to the interrupt that waits.

        Raises:
            DebugRefused: the run has ended, or waits for a reply.
        """
        return self._advance(self._going_on(reply), "step", stepping=None if into else self._paths)

    def run(self, to: str | None = None, *, reply: Any = None) -> Stop:
        """Step until a breakpoint, an interrupt, a failure or the end.

        Args:
            to: stop before this node too.
            reply: as for `step`.

        Raises:
            DebugRefused: as for `step`, or no such node.
        """
        wanted = {Breakpoint(self._known(to))} if to is not None else set()
        self._stopping.clear()
        given = self._going_on(reply)
        while True:
            kept, self.breakpoints = self.breakpoints, self.breakpoints | wanted
            try:
                stop = self._advance(given, "step", stepping=())
                reached = self._reached(stop)
            finally:
                self.breakpoints = kept
            if stop.reason != "step":
                return stop
            if reached is not None:
                return self._as_last(replace(stop, reason="breakpoint", breakpoint=reached))
            if self._stopping.is_set():
                return self._as_last(replace(stop, reason="stopped"))
            given = None

    def stop(self) -> None:
        """Make a `run` stop after the step that goes on; callable from any thread."""
        self._stopping.set()

    def _reached(self, stop: Stop) -> Breakpoint | None:
        """The breakpoint at which a step has stopped."""
        ran = [Breakpoint(run.node, "after") for run in stop.ran]
        waits = [Breakpoint(node, "before") for node in stop.next]
        return next((one for one in [*ran, *waits] if one in self.breakpoints), None)

    def _going_on(self, reply: Any) -> Any:
        """The input of the next step; refuses one that cannot be taken."""
        snapshot = self._snapshot()
        if not snapshot.next:
            done = "ended" if snapshot.created_at is not None else "not begun"
            raise DebugRefused(f"the run has {done}: start one, or fork from a checkpoint")
        waiting = snapshot.interrupts
        if not waiting:
            if reply is not None:
                raise DebugRefused("no node waits for a reply: step without one")
            return None
        if reply is None:
            raise DebugRefused("a node waits for a person's reply: give one to go on")
        return Command(resume={one.id: reply for one in waiting})

    def _advance(self, given: Any, reason: Any, *, stepping: Collection[str] | None) -> Stop:
        """Run one superstep and report it."""
        path, leaf = innermost(self._snapshot())
        before = leaf.values if isinstance(leaf.values, dict) and reason != "opened" else {}
        config, self._at = self._config, None
        done = run_superstep(
            self.graph,
            given,
            config,
            self.context,
            breakpoints=sorted(self.breakpoints),
            stepping=stepping,
            listener=self.listener,
        )
        if done.error is not None and config != self._thread:
            self._at = config  # it failed before a new branch began
        return self._stop(reason, done, before, self._snapshot(), path)

    def _stop(
        self,
        reason: Any,
        done: Superstep,
        before: Mapping[str, Any],
        snapshot: StateSnapshot,
        was: tuple[str, ...] = (),
    ) -> Stop:
        path, leaf = innermost(snapshot)
        after = dict(leaf.values) if isinstance(leaf.values, dict) else {"": leaf.values}
        if path != was:  # a subgraph's state holds keys of its own: compare what both have
            before = {key: value for key, value in before.items() if key in after}
        changed = changes(before, after)
        if path != was:
            changed = tuple(one for one in changed if one.key in before)
        asked = tuple(one.value for one in snapshot.interrupts)
        if done.error is not None:
            reason = "failed"
        elif asked:
            reason = "interrupt"
        elif not leaf.next and reason in ("step", "opened"):
            reason = "end"
        stop = Stop(
            reason=reason,
            checkpoint_id=checkpoint_id(snapshot.config),
            next=tuple(SEPARATOR.join((*path, node)) for node in leaf.next),
            ran=tuple(done.runs),
            before=before,
            after=after,
            changed=changed,
            interrupts=asked,
            error=done.error,
            fault=done.fault,
        )
        self.stops.append(stop)
        return stop

    def _as_last(self, stop: Stop) -> Stop:
        self.stops[-1] = stop
        return stop

    # --- where it stands ----------------------------------------------------------------------

    @property
    def _thread(self) -> RunnableConfig:
        return {"configurable": {"thread_id": self.thread_id}, "metadata": self.metadata}

    def _config_of(self, name: str) -> RunnableConfig:
        return {
            "configurable": {
                "thread_id": self.thread_id,
                "checkpoint_ns": "",
                "checkpoint_id": name,
            },
            "metadata": self.metadata,
        }

    @property
    def _config(self) -> RunnableConfig:
        return self._at if self._at is not None else self._thread

    def _snapshot(self) -> StateSnapshot:
        return self.graph.get_state(self._config, subgraphs=True)

    @property
    def _paths(self) -> list[str]:
        """Paths of the subgraphs that the session is inside of, the outer ones first."""
        path, _ = innermost(self._snapshot())
        return [SEPARATOR.join(path[: end + 1]) for end in range(len(path))]


def in_memory(graph: Pregel[Any, Any, Any, Any] | None = None) -> InMemorySaver:
    """A checkpointer of this process: what it reads back it has written itself, of any type.

    LangGraph warns of every type that is not listed: with a graph of ours, its types are.
    """
    if isinstance(graph, SteppableGraph):
        return InMemorySaver(serde=serializer())
    return InMemorySaver(serde=JsonPlusSerializer(allowed_msgpack_modules=True))


def innermost(snapshot: StateSnapshot) -> tuple[tuple[str, ...], StateSnapshot]:
    """The innermost subgraph in which a run has stopped, with its path; else the root."""
    for task in snapshot.tasks:
        if isinstance(task.state, StateSnapshot) and task.state.next:
            path, leaf = innermost(task.state)
            return (task.name, *path), leaf
    return (), snapshot
