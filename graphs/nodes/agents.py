"""The step of each agent's node: reads state, requests the model, returns an update; no LangGraph.

The nodes of `graphs.sms` run these for one question, `graphs.refining` for many in lock step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from graphs.channels import STATE_VERSION
from graphs.context import IMCContext
from graphs.errors import StateRefused
from graphs.routing import Routing, edits_of, routed
from graphs.state import SMSState
from graphs.tracing import Stopwatch, calls_of, timed
from imc_agents.agent import RoleAgent
from imc_agents.coordinator import Coordinator, Transition
from imc_agents.corrections.proposals import candidate_of
from imc_agents.corrector import Corrector
from imc_agents.detector import Detector
from imc_agents.policy import Review
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.question_checks import check_question
from imc_agents.self_assessment import named
from imc_agents.state import Assessment, Edit, Finding, Verdict
from imc_agents.verifier import Verifier

Update = dict[str, Any]
Role = TypeVar("Role", bound=RoleAgent)
NodeStep = Callable[[SMSState, IMCContext], RequestSteps[Update]]


def _agent(role: type[Role], context: IMCContext) -> Role:
    return role(context.agents, context.prompts, context.lexicon, context.policy, context.protected)


def coordinate(state: SMSState, context: IMCContext) -> RequestSteps[Update]:
    """Reads all of the state; writes what comes next: assessment, plan, round, decision, routing.

    Where values were edited since it last ran, what follows from them is void, and it decides anew
    from what the editor wrote.
    """
    check_question(state.get("question"))
    edits, void = edits_of(state)
    opens = "question" in edits
    with timed("coordinator", opens=opens) as watch:
        update: Update = dict.fromkeys(void)
        known: dict[str, Any] = {**state, **update}
        if opens:
            update |= {"review": _review(state, context), "state_version": STATE_VERSION}
        elif edits:
            watch.notes.append(f"decided anew: {', '.join(edits)} edited")
        if known.get("assessment") is None and known.get("decision") is None:
            update["assessment"] = yield from _assess(state["question"], context, watch)
        if "candidate" in edits and known.get("candidate") is not None:
            check_places(state["question"], known["candidate"].edits, "candidate")
            update["candidate"] = known["candidate"].model_copy(update={"scores": None})
        if known.get("findings"):
            check_places(state["question"], known["findings"], "findings")
        update |= _next(context, {**known, **update}, edits)
    return {**update, "trace": [watch.step]}


def _assess(question: str, context: IMCContext, watch: Stopwatch) -> RequestSteps[Assessment]:
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
    return assessment


def _next(context: IMCContext, known: Mapping[str, Any], edits: Sequence[str]) -> Update:
    """The agents' next step, and the routing that leads to it; an edit has a budget of its own."""
    spent = calls_of(known.get("trace") or [])
    routing: Routing | None = known.get("routing")
    before = spent if edits else routing.calls_before if routing is not None else 0
    refused = known.get("refused") or []
    if {"question", "assessment", "findings"} & set(edits):
        refused = []
    decision = known.get("decision")
    if decision is not None:  # an editor's own
        step = Transition("settled", refused=refused, decision=decision)
    else:
        step = _agent(Coordinator, context).step(
            known["question"],
            known.get("assessment"),
            known.get("findings"),
            known.get("candidate"),
            known.get("verdict"),
            refused=refused,
            calls=spent - before,
        )
    update: Update = {"plan": step.plan, "refused": step.refused, "rounds": step.rounds}
    if step.decision is not None:
        update |= {"decision": step.decision, "findings": known.get("findings") or []}
    before = 0 if "question" in edits else before  # the trace begins anew
    return {**update, "routing": routed({**known, **update}, step.goto, calls_before=before)}


def _review(state: SMSState, context: IMCContext) -> Review:
    """The policy in force for a question that is opened: an edit before the answer lifts none."""
    put: Review = state.get("review") or "never"
    if state.get("answer") is None:
        return max(put, context.policy.review, key=get_args(Review).index)
    return context.policy.review


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


def check_places(question: str, places: Sequence[Finding | Edit], key: str) -> None:
    """Raise StateRefused where a place is not one of the question."""
    for number, place in enumerate(places):
        if not place.start < place.end <= len(question):
            raise StateRefused(
                f"state key {key!r}: number {number} is at {place.start} to {place.end}, and the "
                f"question has {len(question)} characters; give offsets into the question"
            )
