"""The review node: shows a person the proposed changes and applies the person's choice."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from graphs.context import Resolve, given
from graphs.nodes.agents import Update
from graphs.routing import pending, reached
from graphs.state import IMCState
from graphs.tracing import prefixed
from imc_agents.safeguards.question_checks import check_question
from imc_agents.state import Decision, TraceStep
from vision.report import CalibrationReport

ASK = (
    "Resume with true to accept the changes, with false to use the original question and the "
    "uncorrected image, or with another question as text."
)


class ReviewNode:
    """Interrupts before the answer where the policy says so; it runs again when resumed."""

    def __init__(self, resolve: Resolve = given, prefix: str = "") -> None:
        self.resolve = resolve
        self.prefix = prefix

    def __call__(self, state: IMCState, runtime: Runtime[Any]) -> Update:
        """Reads decision, perception and calibration; writes the person's choice."""
        if pending(state):
            return {}
        policy = state.get("review") or self.resolve(runtime.context).policy.review
        decision, calibration = state.get("decision"), state.get("calibration")
        changed = (decision is not None and decision.accepted) or (
            calibration is not None and calibration.applied
        )
        if policy == "never" or (policy == "on_change" and not changed):
            return {"routing": reached(state)}
        choice = interrupt(_proposal(state))
        update = _apply(state["question"], choice, decision)
        return prefixed({**update, "routing": reached({**state, **update})}, self.prefix)


def _proposal(state: IMCState) -> dict[str, Any]:
    decision, perception = state.get("decision"), state.get("perception")
    calibration = state.get("calibration")
    return {
        "ask": ASK,
        "question": {
            "original": state["question"],
            "used": decision.used if decision is not None else state["question"],
            "reason": decision.reason if decision is not None else "",
            "findings": [finding.model_dump() for finding in state.get("findings") or []],
        },
        "image": {
            "noise": perception.model_dump() if perception is not None else None,
            "calibrated": calibration.applied if calibration is not None else False,
            "reason": calibration.reason if calibration is not None else "",
        },
    }


def _apply(question: str, choice: object, decision: Decision | None) -> Update:
    """The update for true, false or another question; QuestionRefused for an invalid one."""
    rounds = decision.rounds if decision is not None else 0
    if choice is True:
        return {"trace": [_step("the reviewer accepted the changes")]}
    if choice is False:
        reason = "the reviewer kept the original"
        return {
            "decision": Decision(used=question, accepted=False, rounds=rounds, reason=reason),
            "plain_image": True,
            "calibration": CalibrationReport(applied=False, reason=reason),
            "trace": [_step(reason)],
        }
    own, reason = check_question(choice), "the reviewer wrote the question"
    return {
        "decision": Decision(used=own, accepted=own != question, rounds=rounds, reason=reason),
        "trace": [_step(reason)],
    }


def _step(note: str) -> TraceStep:
    return TraceStep(node="review", ms=0.0, note=note)
