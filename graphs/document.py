"""The document of one answered question: what `imc ask --json` prints."""

from __future__ import annotations

from typing import Any

from graphs.context import IMCContext
from graphs.state import IMCOutput, SMSOutput
from imc_agents.state import Decision, Finding, TraceStep
from vision.report import CalibrationReport

Document = dict[str, Any]


def to_document(state: IMCOutput, context: IMCContext, *, timings: bool = True) -> Document:
    """The graph's output as JSON-ready values; keys and their order are fixed.

    Args:
        state: what the imc graph returned.
        context: what it ran with.
        timings: keep measured milliseconds; without them the same request gives the same bytes.
    """
    answer, calibration = state.get("answer"), state.get("calibration")
    perception = state.get("perception")
    return {
        "answer": answer.text if answer is not None else "",
        "confidence": round(answer.confidence, 4) if answer is not None else 0.0,
        "question": question_document(state),
        "image": {
            "sha256": state["image_name"],
            "width": state["width"],
            "height": state["height"],
            "noise": None
            if perception is None
            else {
                "kind": perception.kind,
                "severity": perception.severity,
                "probability": round(perception.probability, 4),
                "clean_p_value": round(perception.clean_p_value, 4),
                "alpha": perception.alpha,
                "posterior": {
                    kind: round(share, 4) for kind, share in perception.posterior.items()
                },
            },
            "calibrated": calibration.applied if calibration is not None else False,
            "correction": None if calibration is None else _correction(calibration),
        },
        "trace": [_step(step, timings=timings) for step in state.get("trace", [])],
        "model": context.model_name,
        "method": context.policy.method,
        "seed": context.policy.seed,
    }


def _correction(report: CalibrationReport) -> Document:
    share = report.predicted_share
    return {
        "reason": report.reason,
        "rounds": report.rounds,
        "predicted_share": None if share is None else round(share, 4),
        "declined": report.declined,
    }


def question_document(state: IMCOutput | SMSOutput) -> Document:
    """The outcome for one question: what `imc refine --json` prints."""
    original = state["question"]
    decision = state.get("decision") or Decision(
        used=original, accepted=False, rounds=0, reason="unchanged: it was not refined"
    )
    return {
        "original": original,
        "used": decision.used,
        "changed": decision.used != original,
        "findings": [_finding(finding) for finding in state.get("findings") or []],
        "accepted": decision.accepted,
        "rounds": decision.rounds,
        "reason": decision.reason,
    }


def _finding(finding: Finding) -> Document:
    return {
        "start": finding.start,
        "end": finding.end,
        "text": finding.text,
        "kind": finding.kind,
        "score": round(finding.score, 4),
    }


def _step(step: TraceStep, *, timings: bool) -> Document:
    """A step; with its note, if it has one, and whether it failed, if it did."""
    entry: Document = {"node": step.node, "ms": step.ms if timings else 0.0, "calls": step.calls}
    if step.note:
        entry["note"] = step.note
    return {**entry, "failed": True} if step.failed else entry
