"""One superstep of a graph, watched: which nodes ran, how long, and what they asked the model."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from graphs.debugging.asynchronous import is_asynchronous, iterated
from graphs.debugging.values import Breakpoint, Listener, NodeRun, NodeStarted
from imc_agents.exchanges import Exchange
from imc_core.errors import IMCError, where_raised

__all__ = ["SEPARATOR", "Superstep", "node_names", "run_superstep"]

SEPARATOR = "/"
"""Between the names of a subgraph's path."""
HIDDEN = ("__start__", "__end__")
FAILED = "failed"
"""Of a node, until the error itself has come: LangGraph's text of it may quote a question."""


@dataclass
class Superstep:
    """What happened in one superstep."""

    runs: list[NodeRun] = field(default_factory=list)
    error: str | None = None
    """Why a node failed, in one line; None where none did."""
    fault: Exception | None = None
    """The error itself."""


@dataclass
class _Running:
    run: NodeRun
    started: float


def node_names(graph: Pregel[Any, Any, Any, Any]) -> list[str]:
    """The nodes of a graph and, with their paths, of its subgraphs."""
    names = [name for name in graph.nodes if name not in HIDDEN]
    for path, subgraph in graph.get_subgraphs(recurse=True):
        place = path.replace("|", SEPARATOR)
        nodes = getattr(subgraph, "nodes", {})
        names += [f"{place}{SEPARATOR}{name}" for name in nodes if name not in HIDDEN]
    return names


def run_superstep(
    graph: Pregel[Any, Any, Any, Any],
    given: Any,
    config: RunnableConfig,
    context: Any,
    *,
    breakpoints: Sequence[Breakpoint],
    stepping: Collection[str] | None,
    listener: Listener | None,
) -> Superstep:
    """Run the nodes that wait, and stop.

    Args:
        graph: with a checkpointer.
        given: the input, a Command, or None to go on.
        config: names the thread, perhaps a checkpoint.
        context: of the run.
        breakpoints: those in subgraphs stop a subgraph that is run as one node.
        stepping: paths of subgraphs whose nodes are steps of their own; None: of all.
        listener: called at each event, in the caller's thread.
    """
    step = Superstep()
    running: dict[str, _Running] = {}
    with _subgraphs_stopping(graph, breakpoints, stepping):
        how: dict[str, Any] = {
            "context": context,
            "stream_mode": ["tasks", "custom"],
            "interrupt_before": "*",
            "durability": "sync",
            "subgraphs": True,
            "version": "v2",
        }
        if is_asynchronous(graph):
            parts = iterated(lambda: graph.astream(given, config, **how))
        else:
            parts = graph.stream(given, config, **how)
        try:
            for part in parts:
                _watch(part, running, step, listener)
        except Exception as error:
            step.fault = error
            step.error = str(error) if isinstance(error, IMCError) else where_raised(error)
            step.runs = [
                run if run.error is None else replace(run, error=step.error) for run in step.runs
            ]
    for left in running.values():  # interrupted, or ended by another node's failure
        _end(replace(left.run, ms=_since(left.started)), step, None)
    return step


def _watch(
    part: Mapping[str, Any],
    running: dict[str, _Running],
    step: Superstep,
    listener: Listener | None,
) -> None:
    place, data = _path(part["ns"]), part["data"]
    if part["type"] == "custom":
        if isinstance(data, Exchange):
            _attach(data, f"{place}{data.node}", running)
            if listener is not None:
                listener(data)
        return
    task_id, name = data["id"], f"{place}{data['name']}"
    if "result" not in data:
        running[task_id] = _Running(NodeRun(name, task_id), time.perf_counter())
        if listener is not None:
            listener(NodeStarted(name, task_id))
        return
    began = running.pop(task_id, None)
    run = NodeRun(name, task_id) if began is None else began.run
    if data.get("interrupts"):
        return  # it has not run to its end
    error = data.get("error")
    _end(
        replace(
            run,
            update=data["result"],
            ms=0.0 if began is None else _since(began.started),
            error=None if error is None else FAILED,
        ),
        step,
        listener,
    )


def _attach(exchange: Exchange, name: str, running: dict[str, _Running]) -> None:
    """Give an exchange to the node that runs under its name, else to the one begun last."""
    own = [one for one in running.values() if one.run.node == name]
    for one in (own or list(running.values()))[-1:]:
        one.run = replace(one.run, exchanges=(*one.run.exchanges, exchange))


def _end(run: NodeRun, step: Superstep, listener: Listener | None) -> None:
    step.runs.append(run)
    if listener is not None:
        listener(run)


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _path(namespace: Sequence[str]) -> str:
    """`imc/` for LangGraph's ('imc:TASK',)."""
    return "".join(f"{part.partition(':')[0]}{SEPARATOR}" for part in namespace)


@contextmanager
def _subgraphs_stopping(
    graph: Pregel[Any, Any, Any, Any],
    breakpoints: Sequence[Breakpoint],
    stepping: Collection[str] | None,
) -> Iterator[None]:
    """Set where subgraphs stop: a run's own `interrupt_before` reaches the root graph alone."""
    kept: list[tuple[Any, Any, Any]] = []
    try:
        for path, subgraph in graph.get_subgraphs(recurse=True):
            if not isinstance(subgraph, Pregel):
                continue
            place = path.replace("|", SEPARATOR)
            kept.append(
                (subgraph, subgraph.interrupt_before_nodes, subgraph.interrupt_after_nodes)
            )
            own = {
                when: [
                    one.node.rpartition(SEPARATOR)[2]
                    for one in breakpoints
                    if one.when == when and one.node.rpartition(SEPARATOR)[0] == place
                ]
                for when in ("before", "after")
            }
            stepped = stepping is None or place in stepping
            subgraph.interrupt_before_nodes = "*" if stepped else own["before"]
            subgraph.interrupt_after_nodes = own["after"]
        yield
    finally:
        for subgraph, before, after in kept:
            subgraph.interrupt_before_nodes = before
            subgraph.interrupt_after_nodes = after
