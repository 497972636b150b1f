"""The step of each agent's node: reads state, requests the model, returns an update; no LangGraph.

The nodes of `graphs.sms` run these for one question, `graphs.refining` for many in lock step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from graphs.context import IMCContext
from graphs.tracing import timed
from imc_agents.agent import RoleAgent
from imc_agents.coordinator import Coordinator, Next
from imc_agents.corrections.proposals import candidate_of
from imc_agents.corrector import Corrector
from imc_agents.detector import Detector
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.question_checks import check_question
from imc_agents.self_assessment import named
from imc_agents.state import Assessment, SMSState, Verdict
from imc_agents.verifier import Verifier

Update = dict[str, Any]
Role = TypeVar("Role", bound=RoleAgent)
NodeStep = Callable[[SMSState, IMCContext], RequestSteps[Update]]


def _agent(role: type[Role], context: IMCContext) -> Role:
    return role(context.agents, context.prompts, context.lexicon, context.policy, context.protected)


def coordinate(state: SMSState, context: IMCContext) -> RequestSteps[Update]:
    """Reads all of the state; writes what comes next: assessment, plan, round, decision."""
    opens = _is_new(state)
    with timed("coordinator", opens=opens) as watch:
        update: Update = {}
        if opens:
            question = check_question(state["question"])
            agent = _agent(Coordinator, context)
            try:
                assessment = yield from agent.request_steps(question)
            except context.faults as fault:
                assessment = Assessment(
                    question=question,
                    scored=False,
                    suspicious=False,
                    reason=f"unchanged: the model failed to assess it ({named(fault)})",
                )
                watch.failed = True  # its reason is noted below
            watch.calls = agent.model.calls
            if not assessment.scored:  # not scored: unchanged, or assessed by prompting
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
        update |= _next(context, {**state, **update})  # type: ignore[typeddict-item]
    return {**update, "trace": [watch.step]}


def _next(context: IMCContext, state: SMSState) -> Update:
    agent = _agent(Coordinator, context)
    step = agent.step(state)
    update: Update = {"plan": step.plan, "refused": step.refused, "rounds": step.rounds}
    if step.again:
        update |= {"candidate": None, "verdict": None}
    if step.decision is not None:
        update |= {"decision": step.decision, "findings": state.get("findings") or []}
    return update


def detect(state: SMSState, context: IMCContext) -> RequestSteps[Update]:
    """Reads question and assessment; writes findings."""
    with timed("detector") as watch:
        agent = _agent(Detector, context)
        try:
            findings = yield from agent.request_steps(state["question"], state.get("assessment"))
        except context.faults as fault:
            watch.fail(f"no error located: the model failed ({named(fault)})")
            findings = []
        watch.calls = agent.model.calls
    return {"findings": findings, "trace": [watch.step]}


def correct(state: SMSState, context: IMCContext) -> RequestSteps[Update]:
    """Reads question, findings, assessment and refusals; writes a candidate."""
    with timed("corrector") as watch:
        agent = _agent(Corrector, context)
        try:
            candidate = yield from agent.request_steps(
                state["question"],
                state.get("findings") or [],
                state.get("assessment"),
                state.get("refused") or [],
            )
        except context.faults as fault:
            watch.fail(f"no correction proposed: the model failed ({named(fault)})")
            candidate = candidate_of(state["question"], [], gain=0.0)
        watch.calls = agent.model.calls
    return {"candidate": candidate, "verdict": None, "trace": [watch.step]}


def verify(state: SMSState, context: IMCContext) -> RequestSteps[Update]:
    """Reads question and candidate; writes a verdict."""
    candidate = state.get("candidate") or candidate_of(state["question"], [], gain=0.0)
    with timed("verifier") as watch:
        agent = _agent(Verifier, context)
        try:
            verdict = yield from agent.request_steps(state["question"], candidate)
        except context.faults as fault:
            watch.fail(f"correction rejected: the model failed to verify it ({named(fault)})")
            verdict = Verdict(
                accepted=False,
                reason=f"the model failed to verify it ({named(fault)})",
                candidate=candidate.text,
                blamed=candidate.edits,
            )
        watch.calls = agent.model.calls
    return {"verdict": verdict, "trace": [watch.step]}


def route(state: SMSState, context: IMCContext) -> Next:
    """The node that follows the coordinator in this state."""
    if state.get("decision") is not None:
        return "settled"
    agent = _agent(Coordinator, context)
    return agent.step(state).goto


def _is_new(state: SMSState) -> bool:
    """Whether the question was not assessed yet, or this thread decided another one before."""
    assessment = state.get("assessment")
    return (
        assessment is None
        or assessment.question != state["question"]
        or state.get("decision") is not None
    )
