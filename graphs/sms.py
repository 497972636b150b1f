"""SMS: the four agents as nodes that can be added to any graph.

    coordinator ⇄ detector, corrector, verifier

The coordinator alone chooses the next node, and from the state alone, so that an edited or forked
state is routed by its present values.
"""

from __future__ import annotations

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graphs.context import IMCContext, Resolve, given
from graphs.drawing.notebook import displayed_locally
from graphs.exchanges import recorder_of
from graphs.nodes.agents import NodeStep, Update, coordinate, correct, detect, route, verify
from imc_agents.chat.run_requests import run_requests
from imc_agents.coordinator import Next
from imc_agents.state import SMSInput, SMSOutput, SMSState


class SMSNodes:
    """The agents' nodes; `resolve` gives their context."""

    def __init__(self, resolve: Resolve = given) -> None:
        self.resolve = resolve

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
        return run_requests(context.agents, step(state, context), context.faults, observer)

    def route(self, state: SMSState, runtime: Runtime[Any]) -> Next:
        """The node that follows the coordinator in this state."""
        return route(state, self.resolve(runtime.context))


def add_sms(
    builder: StateGraph[Any, Any, Any, Any], *, then: str = END, resolve: Resolve = given
) -> None:
    """Add the four agents to a builder whose state has the keys of SMSState.

    Args:
        builder: receives the nodes `coordinator`, `detector`, `corrector` and `verifier`. The
            caller adds the edge that leads to `coordinator`.
        then: the node after the decision on the question.
        resolve: from the run's context to an IMCContext.
    """
    nodes = SMSNodes(resolve)
    builder.add_node("coordinator", nodes.coordinator)
    builder.add_node("detector", nodes.detector)
    builder.add_node("corrector", nodes.corrector)
    builder.add_node("verifier", nodes.verifier)
    builder.add_conditional_edges(
        "coordinator",
        nodes.route,
        {"detector": "detector", "corrector": "corrector", "verifier": "verifier", "settled": then},
    )
    for agent in ("detector", "corrector", "verifier"):
        builder.add_edge(agent, "coordinator")


def build_sms_graph(
    *, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[SMSState, IMCContext, SMSInput, SMSOutput]:
    """The agents alone: a question in, the question to use out. Context: IMCContext."""
    builder = StateGraph(
        SMSState, context_schema=IMCContext, input_schema=SMSInput, output_schema=SMSOutput
    )
    builder.add_edge(START, "coordinator")
    add_sms(builder)
    return displayed_locally(builder.compile(checkpointer=checkpointer, name="sms"))
