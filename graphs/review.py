"""The review node: a person is shown what would change, and says what is used. Nothing else."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from graphs.agent_steps import Update
from graphs.sms import Resolve, given
from graphs.state import IMCState
from imc_agents.safeguards.question_checks import check_question
from imc_agents.state import Decision, TraceStep
from vision.report import CalibrationReport

ASK = (
    "Resume with true to go on so, with false to answer the original question from the image as "
    "it is, or with a question of your own."
)


class ReviewNode:
    """Interrupts before the answer where the policy says so; it runs again when resumed."""

    def __init__(self, resolve: Resolve = given) -> None:
        self.resolve = resolve

    def __call__(self, state: IMCState, runtime: Runtime[Any]) -> Update:
        """Reads decision, perception and calibration; writes what the person decided."""
        context = self.resolve(runtime.context)
        decision, calibration = state.get("decision"), state.get("calibration")
        changed = (decision is not None and decision.accepted) or (
            calibration is not None and calibration.applied
        )
        if context.policy.review == "never" or (
            context.policy.review == "on_change" and not changed
        ):
            return {}
        said = interrupt(_shown(state))
        return _decided(state["question"], said, decision)


def _shown(state: IMCState) -> dict[str, Any]:
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


def _decided(question: str, said: object, decision: Decision | None) -> Update:
    """Raises QuestionRefused for a question of the person's own that cannot be asked."""
    rounds = decision.rounds if decision is not None else 0
    if said is True:
        return {"trace": [_step("a person agreed")]}
    if said is False:
        return {
            "decision": Decision(
                used=question, accepted=False, rounds=rounds, reason="a person kept the original"
            ),
            "plain_image": True,
            "calibration": CalibrationReport(applied=False, reason="a person kept the original"),
            "trace": [_step("a person kept the original")],
        }
    own = check_question(said)
    return {
        "decision": Decision(
            used=own, accepted=own != question, rounds=rounds, reason="a person wrote it"
        ),
        "trace": [_step("a person wrote the question")],
    }


def _step(note: str) -> TraceStep:
    return TraceStep(node="review", ms=0.0, note=note)
