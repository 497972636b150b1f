"""SMS: the four agents as nodes of any graph; the thinking is theirs, the nodes only carry it.

    coordinator ⇄ detector, corrector, verifier

The coordinator alone decides where to go, from what the state holds and nothing else: a state that
a person edited or forked is routed by what it then says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graphs.agent_steps import Step, Update, coordinate, correct, detect, route, verify
from graphs.context import IMCContext
from imc_agents.chat.run_requests import run_requests
from imc_agents.coordinator import Next
from imc_agents.state import SMSInput, SMSOutput, SMSState

Resolve = Callable[[Any], IMCContext]
"""From what the run was given as context to the context the nodes work with."""


def given(context: Any) -> IMCContext:
    """The run's own context. Raises TypeError, in one line, when the run was given none."""
    if not isinstance(context, IMCContext):
        raise TypeError(
            f"this graph needs context=IMCContext(...), not {type(context).__name__}; "
            "make one with graphs.load_context(model_path)"
        )
    return context


class SMSNodes:
    """The agents' nodes, over a way to come to their context."""

    def __init__(self, resolve: Resolve = given) -> None:
        self.resolve = resolve

    def coordinator(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads all of the state; writes what comes next: assessment, plan, round, decision."""
        return self._taken(coordinate, state, runtime)

    def detector(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question and assessment; writes findings."""
        return self._taken(detect, state, runtime)

    def corrector(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question, findings, assessment and refusals; writes a candidate."""
        return self._taken(correct, state, runtime)

    def verifier(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question and candidate; writes a verdict."""
        return self._taken(verify, state, runtime)

    def _taken(self, step: Step, state: SMSState, runtime: Runtime[Any]) -> Update:
        context = self.resolve(runtime.context)
        return run_requests(context.agents, step(state, context), context.faults)

    def route(self, state: SMSState, runtime: Runtime[Any]) -> Next:
        """Where the coordinator's state leads."""
        return route(state, self.resolve(runtime.context))


def add_sms(
    builder: StateGraph[Any, Any, Any, Any], *, then: str = END, resolve: Resolve = given
) -> None:
    """Put the four agents into a builder whose state has the keys of SMSState.

    Args:
        builder: receives the nodes `coordinator`, `detector`, `corrector` and `verifier`. The
            caller adds the edge that leads to `coordinator`.
        then: the node to go to when the question is settled.
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
    return builder.compile(checkpointer=checkpointer, name="sms")
