"""SMS: the four agents as nodes that can be added to any graph.

    coordinator ⇄ detector, corrector, verifier

The coordinator alone chooses the next node, and from the state alone, so that an edited or forked
state is routed by its present values (`graphs.routing`).
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime

from graphs.checkpoints.opening import open_checkpointer
from graphs.context import IMCContext, Resolve, given
from graphs.exchanges import recorder_of
from graphs.nodes.agents import NodeStep, Update, coordinate, correct, detect, verify
from graphs.routing import after_coordinator
from graphs.state import SMSInput, SMSOutput, SMSState
from graphs.steppable import SteppableGraph, Stops
from graphs.tracing import prefixed
from imc_agents.chat.run_requests import run_requests


class SMSNodes:
    """The agents' nodes; `resolve` gives their context, `prefix` begins their names."""

    def __init__(self, resolve: Resolve = given, prefix: str = "") -> None:
        self.resolve = resolve
        self.prefix = prefix

    def coordinator(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads all of the state; writes what comes next: assessment, plan, round, decision."""
        return self._run(coordinate, state, runtime)

    def detector(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question and assessment; writes findings."""
        return self._run(detect, state, runtime)

    def corrector(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question, findings, assessment and refusals; writes a candidate."""
        return self._run(correct, state, runtime)

    def verifier(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question and candidate; writes a verdict."""
        return self._run(verify, state, runtime)

    def _run(self, step: NodeStep, state: SMSState, runtime: Runtime[Any]) -> Update:
        context = self.resolve(runtime.context)
        observer = recorder_of(step.__name__, context, runtime)
        update = run_requests(context.agents, step(state, context), context.faults, observer)
        return prefixed(update, self.prefix)


def add_sms(
    builder: StateGraph[Any, Any, Any, Any],
    *,
    then: str = END,
    prefix: str = "",
    resolve: Resolve = given,
) -> None:
    """Add the four agents to a builder whose state has the keys of SMSState.

    Args:
        builder: receives the nodes `coordinator`, `detector`, `corrector` and `verifier`. The
            caller adds the edge that leads to `coordinator`.
        then: the node after the decision on the question.
        prefix: of the nodes' names, where one builder holds the agents twice. Both work on the
            same keys of state, one after the other.
        resolve: from the run's context to an IMCContext.
    """
    nodes = SMSNodes(resolve, prefix)
    builder.add_node(f"{prefix}coordinator", nodes.coordinator)
    builder.add_node(f"{prefix}detector", nodes.detector)
    builder.add_node(f"{prefix}corrector", nodes.corrector)
    builder.add_node(f"{prefix}verifier", nodes.verifier)
    agents = ("detector", "corrector", "verifier")
    leads_to: dict[Hashable, str] = {name: f"{prefix}{name}" for name in ("coordinator", *agents)}
    leads_to["settled"] = then
    builder.add_conditional_edges(f"{prefix}coordinator", after_coordinator, leads_to)
    for agent in agents:
        builder.add_edge(f"{prefix}{agent}", f"{prefix}coordinator")


def build_sms_graph(
    *,
    checkpointer: str | Path | BaseCheckpointSaver[Any] | None = None,
    interrupt_before: Stops = None,
    interrupt_after: Stops = None,
) -> SteppableGraph:
    """The agents alone: a question in, the question to use out. Context: IMCContext.

    The arguments are those of `build_imc_graph`.
    """
    builder = StateGraph(
        SMSState, context_schema=IMCContext, input_schema=SMSInput, output_schema=SMSOutput
    )
    builder.add_edge(START, "coordinator")
    add_sms(builder)
    return SteppableGraph.of(
        builder.compile(
            open_checkpointer(checkpointer),
            interrupt_before=interrupt_before,
            interrupt_after=interrupt_after,
            name="sms",
        )
    )
