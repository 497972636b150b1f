"""The review node: shows a person the proposed changes one by one, and applies the choice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from langgraph.runtime import Runtime
from langgraph.types import interrupt

from graphs.context import Resolve, given
from graphs.nodes.agents import Update
from graphs.nodes.replies import Choice, NotUnderstood, read_reply
from graphs.routing import pending, reached
from graphs.state import IMCState
from graphs.stores import NAME_PREFIX
from graphs.tracing import prefixed
from imc_agents.corrections.proposals import apply_edits
from imc_agents.errors import QuestionRefused
from imc_agents.safeguards.question_checks import check_question
from imc_agents.state import Candidate, Decision, Edit, TraceStep
from vision.report import CalibrationReport

ASK = (
    "Reply yes to take the changes, no to use the original question and image, or by part: "
    '{"edits": [1], "picture": false}. {"question": TEXT} sets another wording. '
    'LangChain\'s form is understood too: {"decisions": [{"type": "approve"}]}.'
)
EDIT, CORRECT = "edit_question", "correct_image"
"""Names of the actions to review."""


class ReviewNode:
    """Interrupts before the answer where the policy says so; it runs again when resumed."""

    def __init__(self, resolve: Resolve = given, prefix: str = "") -> None:
        self.resolve = resolve
        self.prefix = prefix

    def __call__(self, state: IMCState, runtime: Runtime[Any]) -> Update:
        """Reads decision, perception and calibration; writes the person's choice.

        The policy is the one in force when the question was put, which state holds: the context of
        a resume does not lift a review. A reply that is not understood is asked for again.
        """
        if pending(state):
            return {}
        policy = state.get("review") or self.resolve(runtime.context).policy.review
        proposal = Proposal.of(state)
        if policy == "never" or (policy == "on_change" and not proposal.changes):
            return {"routing": reached(state)}
        update = _apply(_ask(state, proposal), state, proposal)
        return prefixed({**update, "routing": reached({**state, **update})}, self.prefix)


@dataclass(frozen=True)
class Proposal:
    """What would change, as a reviewer decides on it."""

    edits: Sequence[Edit]
    """Of the question, in order of position."""
    picture: bool
    """The image would be corrected."""

    @property
    def changes(self) -> bool:
        """Whether anything would."""
        return bool(self.edits) or self.picture

    @classmethod
    def of(cls, state: IMCState) -> Proposal:
        """That of a state whose two sides are done."""
        decision, calibration = state.get("decision"), state.get("calibration")
        used = decision.used if decision is not None else state["question"]
        return cls(
            edits_to(used, state["question"], state.get("candidate")),
            calibration is not None and calibration.applied,
        )


def edits_to(used: str, question: str, candidate: Candidate | None) -> Sequence[Edit]:
    """The edits that lead from a question to the one used: the candidate's, where it is it."""
    if candidate is not None and apply_edits(question, candidate.edits) == used:
        return candidate.edits
    pieces, others = (re.findall(r"\s+|\S+", text) for text in (question, used))
    starts = [0]
    for piece in pieces:
        starts.append(starts[-1] + len(piece))
    return [
        Edit(
            start=starts[a],
            end=starts[b],
            before="".join(pieces[a:b]),
            after="".join(others[c:d]),
            kind="unknown",
            cost=0.0,
        )
        for tag, a, b, c, d in SequenceMatcher(None, pieces, others, False).get_opcodes()
        if tag != "equal"
    ]


def _ask(state: IMCState, proposal: Proposal) -> Choice:
    """The person's choice; a loop around `interrupt`, since a reply is stored before it is read."""
    shown = shown_of(state, proposal)
    while True:
        reply = interrupt(shown)
        try:
            choice = read_reply(reply, len(proposal.edits), picture=proposal.picture)
            check_question(_worded(choice, state["question"], proposal))
            return choice
        except (NotUnderstood, QuestionRefused) as why:
            shown = {**shown, "not_understood": f"The reply was not understood: {why}."}


def shown_of(state: IMCState, proposal: Proposal) -> dict[str, Any]:
    """The interrupt's value: what is proposed, as JSON; LangChain's two keys among it."""
    decision, perception = state.get("decision"), state.get("perception")
    calibration = state.get("calibration")
    edits = [
        {"number": number, **edit.model_dump(include={"start", "end", "before", "after", "kind"})}
        for number, edit in enumerate(proposal.edits, 1)
    ]
    reason = calibration.reason if calibration is not None else ""
    picture = {"original": NAME_PREFIX + state["image_name"], "restored": state.get("restored")}
    actions: list[Mapping[str, Any]] = [
        {"name": EDIT, "args": edit, "description": _described(edit)} for edit in edits
    ]
    if proposal.picture:
        actions.append({"name": CORRECT, "args": picture, "description": reason})
    return {
        "ask": ASK,
        "question": {
            "original": state["question"],
            "used": decision.used if decision is not None else state["question"],
            "edits": edits,
            "reason": decision.reason if decision is not None else "",
            "findings": [finding.model_dump() for finding in state.get("findings") or []],
        },
        "image": {
            **picture,
            "noise": perception.model_dump() if perception is not None else None,
            "calibrated": proposal.picture,
            "reason": reason,
        },
        "action_requests": actions,
        "review_configs": [
            {"action_name": EDIT, "allowed_decisions": ["approve", "edit", "reject"]},
            {"action_name": CORRECT, "allowed_decisions": ["approve", "reject"]},
        ],
    }


def _described(edit: Mapping[str, Any]) -> str:
    if not edit["after"].strip():
        return f"remove {edit['before'].strip()!r} ({edit['kind']})"
    return f"replace {edit['before']!r} by {edit['after']!r} ({edit['kind']})"


def _worded(choice: Choice, question: str, proposal: Proposal) -> str:
    """The question that a choice leads to."""
    if choice.wording is not None:
        return choice.wording
    taken = [
        edit.model_copy(update={"after": edit.after if own is None else own})
        for edit, own in ((proposal.edits[number - 1], own) for number, own in choice.taken.items())
    ]
    return apply_edits(question, taken)


def _apply(choice: Choice, state: IMCState, proposal: Proposal) -> Update:
    """What is written of a choice. Nothing is where all of the proposal is taken."""
    question, decision = state["question"], state.get("decision")
    update: Update = {}
    notes = []
    used = _worded(choice, question, proposal)
    if decision is None or used != decision.used:
        if used == question:
            notes.append("the reviewer kept the original question")
        elif choice.wording is not None or any(choice.taken.values()):
            notes.append("the reviewer wrote the question")
        else:
            some = f"{len(choice.taken)} of {len(proposal.edits)}"
            notes.append(f"the reviewer took {some} corrections")
        rounds = decision.rounds if decision is not None else 0
        update["decision"] = Decision(
            used=used, accepted=used != question, rounds=rounds, reason=notes[-1]
        )
    if proposal.picture and not choice.picture:
        notes.append("the reviewer kept the original image")
        update |= {
            "plain_image": True,
            "calibration": CalibrationReport(applied=False, reason=notes[-1]),
        }
    note = "; ".join(notes) or "the reviewer accepted the changes"
    return {**update, "trace": [TraceStep(node="review", ms=0.0, note=note)]}
