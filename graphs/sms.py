"""SMS: the four agents as nodes of any graph; the thinking is theirs, the nodes only carry it.

    coordinator ⇄ detector, corrector, verifier

The coordinator alone decides where to go, from what the state holds and nothing else: a state that
a person edited or forked is routed by what it then says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graphs.context import IMCContext
from graphs.tracing import timed
from imc_agents.coordinator import Coordinator
from imc_agents.corrector import Corrector
from imc_agents.detector import Detector
from imc_agents.proposals import candidate_of
from imc_agents.questions import check_question
from imc_agents.self_assessment import named
from imc_agents.state import Assessment, SMSInput, SMSOutput, SMSState, Verdict
from imc_agents.verifier import Verifier

Resolve = Callable[[Any], IMCContext]
"""From what the run was given as context to the context the nodes work with."""

Update = dict[str, Any]


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
        context = self.resolve(runtime.context)
        opens = _is_new(state)
        with timed("coordinator", opens=opens) as watch:
            update: Update = {}
            if opens:
                question = check_question(state["question"])
                agent = Coordinator(
                    context.agents, context.prompts, context.lexicon, context.policy
                )
                try:
                    assessment = agent(question)
                except context.faults as fault:
                    assessment = Assessment(
                        question=question,
                        scored=False,
                        suspicious=False,
                        reason=f"could not assess it: {named(fault)}",
                    )
                watch.calls = agent.model.calls
                if not assessment.scored:  # left alone, or only asked: not the usual way
                    watch.notes.append(assessment.reason)
                update = {
                    "assessment": assessment,
                    "plan": [],
                    "findings": None,
                    "candidate": None,
                    "verdict": None,
                    "refused": [],
                    "rounds": 0,
                    "decision": None,
                }
            update |= self._next(context, {**state, **update})  # type: ignore[typeddict-item]
        return {**update, "trace": [watch.step]}

    @staticmethod
    def _next(context: IMCContext, state: SMSState) -> Update:
        agent = Coordinator(context.agents, context.prompts, context.lexicon, context.policy)
        step = agent.step(state)
        update: Update = {"plan": step.plan, "refused": step.refused, "rounds": step.rounds}
        if step.again:
            update |= {"candidate": None, "verdict": None}
        if step.decision is not None:
            update |= {"decision": step.decision, "findings": state.get("findings") or []}
        return update

    def detector(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question and assessment; writes findings."""
        context = self.resolve(runtime.context)
        with timed("detector") as watch:
            agent = Detector(context.agents, context.prompts, context.lexicon, context.policy)
            try:
                findings = agent(state["question"], state.get("assessment"))
            except context.faults as fault:
                watch.notes.append(f"found nothing: {named(fault)}")
                findings = []
            watch.calls = agent.model.calls
        return {"findings": findings, "trace": [watch.step]}

    def corrector(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question, findings, assessment and refusals; writes a candidate."""
        context = self.resolve(runtime.context)
        with timed("corrector") as watch:
            agent = Corrector(context.agents, context.prompts, context.lexicon, context.policy)
            try:
                candidate = agent(
                    state["question"],
                    state.get("findings") or [],
                    state.get("assessment"),
                    state.get("refused") or [],
                )
            except context.faults as fault:
                watch.notes.append(f"proposed nothing: {named(fault)}")
                candidate = candidate_of(state["question"], [], gain=0.0)
            watch.calls = agent.model.calls
        return {"candidate": candidate, "verdict": None, "trace": [watch.step]}

    def verifier(self, state: SMSState, runtime: Runtime[Any]) -> Update:
        """Reads question and candidate; writes a verdict."""
        context = self.resolve(runtime.context)
        candidate = state.get("candidate") or candidate_of(state["question"], [], gain=0.0)
        with timed("verifier") as watch:
            agent = Verifier(context.agents, context.prompts, context.lexicon, context.policy)
            try:
                verdict = agent(state["question"], candidate)
            except context.faults as fault:
                watch.notes.append(f"refused what it could not verify: {named(fault)}")
                verdict = Verdict(
                    accepted=False,
                    reason=f"the verifier could not judge it ({named(fault)})",
                    candidate=candidate.text,
                    blamed=candidate.edits,
                )
            watch.calls = agent.model.calls
        return {"verdict": verdict, "trace": [watch.step]}

    def route(
        self, state: SMSState, runtime: Runtime[Any]
    ) -> Literal["detector", "corrector", "verifier", "settled"]:
        """Where the coordinator's state leads."""
        if state.get("decision") is not None:
            return "settled"
        context = self.resolve(runtime.context)
        agent = Coordinator(context.agents, context.prompts, context.lexicon, context.policy)
        return agent.step(state).goto


def _is_new(state: SMSState) -> bool:
    """The question was not opened yet, or another was settled on this thread before it."""
    assessment = state.get("assessment")
    return (
        assessment is None
        or assessment.question != state["question"]
        or state.get("decision") is not None
    )


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
