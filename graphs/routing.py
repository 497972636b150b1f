"""Where a graph goes next, from its state alone, whoever wrote the state.

The coordinator's node decides and writes a `Routing`: the next agent, and a fingerprint of every
value the decision rests on. An edge reads it. Where a value has another fingerprint by then, a
person has edited it, and the coordinator decides anew: what follows from the edited value is
dropped, what the person wrote stands.

    question ─► assessment ─► findings ─► candidate ─► verdict ─► decision
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal

from pydantic_core import to_json

from imc_agents.coordinator import Next
from imc_agents.state import Plain

DERIVED = ("question", "assessment", "findings", "candidate", "verdict", "decision")
"""Keys of the state, each derived from those before it."""

WRITTEN: Mapping[str, frozenset[str]] = {
    "detector": frozenset(("findings",)),
    "corrector": frozenset(("candidate", "verdict")),
    "verifier": frozenset(("verdict",)),
}
"""What each agent writes: its own result is no edit."""

State = Mapping[str, Any]
Side = Literal["vision", "coordinator"]


class Routing(Plain):
    """Where the coordinator leads, and what that rests on."""

    goto: Next
    """The next agent, or `settled`."""
    basis: dict[str, str]
    """Fingerprints of the values in state when it was written, by key of `DERIVED`."""
    calls_before: int = 0
    """Calls of the model that do not count against this question's budget: made before an edit."""


def routed(state: State, goto: Next, *, calls_before: int = 0) -> Routing:
    """The routing to write beside the values of this state."""
    basis = {key: fingerprint(state.get(key)) for key in DERIVED}
    return Routing(goto=goto, basis=basis, calls_before=calls_before)


def fingerprint(value: Any) -> str:
    """A digest of a value: equal values have equal ones, as Python values and as JSON."""
    if isinstance(value, str):  # a file name need not be Unicode
        plain = b'"' + value.encode("utf-8", "surrogatepass")
    else:
        plain = to_json(value, inf_nan_mode="constants")
    return blake2b(plain, digest_size=8).hexdigest()


def changed(state: State) -> list[str]:
    """Keys of `DERIVED` that have another value than the routing rests on."""
    routing: Routing | None = state.get("routing")
    basis = routing.basis if routing is not None else {}
    none = fingerprint(None)
    return [key for key in DERIVED if fingerprint(state.get(key)) != basis.get(key, none)]


def edits_of(state: State) -> tuple[list[str], list[str]]:
    """What was edited since the coordinator last ran, and which keys that makes void.

    An agent's own result is no edit. What was edited itself is never void. A question that is asked
    anew counts as edited, also where it is the same as before.
    """
    routing: Routing | None = state.get("routing")
    own = WRITTEN.get(routing.goto, frozenset()) if routing is not None else frozenset()
    edits = [key for key in changed(state) if key not in own]
    assessment = state.get("assessment")
    asked_again = not edits and routing is not None and routing.goto == "settled"
    of_another = "assessment" in edits and assessment and assessment.question != state["question"]
    if asked_again or of_another:
        return ["question"], list(DERIVED[1:])
    first = DERIVED.index(edits[0]) if edits else len(DERIVED)
    return edits, [key for key in DERIVED[first + 1 :] if key not in edits]


def is_decided(state: State) -> bool:
    """Whether the state has a decision, and it is on the present question and findings.

    A decision that was edited itself is one.
    """
    return state.get("decision") is not None and not set(changed(state)) - {"decision"}


def after_coordinator(state: State) -> str:
    """The agent that follows the coordinator, `settled`, or the coordinator itself again."""
    routing: Routing | None = state.get("routing")
    edits = set(changed(state))
    if state.get("decision") is not None and edits <= {"decision"}:
        return "settled"
    return "coordinator" if routing is None or edits else routing.goto


def reached(state: State) -> Routing:
    """The routing of a settled state as it is now: a decision that was edited before is its own."""
    routing: Routing | None = state.get("routing")
    return routed(state, "settled", calls_before=routing.calls_before if routing else 0)


def pending(state: State) -> list[Side]:
    """The sides that have work to do before there is anything to review or to answer."""
    sides: list[Side] = []
    if "image" in state and state.get("image_read") != fingerprint(state["image"]):
        sides.append("vision")
    if not is_decided(state):
        sides.append("coordinator")
    return sides


def after_review(state: State) -> list[Side] | Literal["answer"]:
    """What an edit has left to do, or the answer."""
    return pending(state) or "answer"


def after_answer(state: State) -> Literal["review", "done"]:
    """The end; the way anew from the review on, where somebody edits a state that was answered."""
    return "review" if pending(state) or changed(state) else "done"
