"""A reviewer's reply, in any of the forms in which people and programs give one.

- LangChain's human-in-the-loop form: `{"decisions": [{"type": "approve"}]}`, one decision for all
  proposed changes or one for each, of type `approve`, `reject` or `edit` (with `edited_action`).
- Own form: `{"question": true | false | "another wording", "edits": [1, 3], "picture": false}`;
  what is left out is taken as proposed.
- Plain words (yes, accept, no, reject, picture only, ...), or another question as text.
- Any of these as JSON text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from imc_agents.safeguards.question_checks import check_question
from imc_core import IMCError

ASSENT = frozenset(
    "yes y yep yeah true ok okay accept accepted approve approved agree agreed confirm confirmed "
    "fine correct right".split()
)
DISSENT = frozenset(
    "no n nope false reject rejected decline declined deny denied disagree refuse refused "
    "original".split()
)
FILLERS = frozenset("please thanks thank you it all both them this".split())
"""Words that neither assent nor dissent, beside one that does."""
WORDING = frozenset(("question", "wording", "question only", "wording only", "only the wording"))
PICTURE = frozenset(("image", "picture", "image only", "picture only", "only the picture"))
FEWEST_WORDS = 3
"""Of a text that is taken as a question: a shorter one with a question mark may be a query of the
reviewer's ("which edits?")."""


class NotUnderstood(IMCError):
    """A reply that cannot be read; the sentence is shown when it is asked for again."""


@dataclass(frozen=True)
class Choice:
    """What the reviewer takes of the proposed changes."""

    taken: Mapping[int, str | None] = field(default_factory=dict)
    """Edits by number, from 1; with another text to put in, where the reviewer gave one."""
    picture: bool = False
    """The corrected picture."""
    wording: str | None = None
    """The reviewer's own question; it stands instead of the edits."""


def read_reply(reply: object, edits: int, *, picture: bool) -> Choice:
    """What a reply chooses.

    Args:
        reply: what the graph was resumed with.
        edits: how many edits of the question are proposed.
        picture: whether a corrected picture is.

    Raises:
        NotUnderstood: it says neither, or something that is not proposed.
    """
    proposed = Choice(dict.fromkeys(range(1, edits + 1)), picture)
    try:
        plain = to_jsonable_python(reply)
    except (PydanticSerializationError, ValueError, RecursionError):
        raise NotUnderstood(f"{type(reply).__name__} is no reply") from None
    if isinstance(plain, str):
        plain = _from_text(plain)
    if isinstance(plain, bool):
        return proposed if plain else Choice()
    if isinstance(plain, str):
        return _in_words(plain, proposed)
    if isinstance(plain, dict) and "type" in plain:
        plain = [plain]
    if isinstance(plain, dict) and set(plain) == {"decisions"}:
        plain = plain["decisions"]
    if isinstance(plain, list):
        return _decided(plain, proposed)
    if isinstance(plain, dict):
        return _by_part(plain, proposed)
    raise NotUnderstood(f"{type(plain).__name__} is no reply")


def _from_text(text: str) -> Any:
    """JSON in a text, or the text."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise NotUnderstood("the reply begins as JSON and is none") from None


def _in_words(text: str, proposed: Choice) -> Choice:
    words = re.sub(r"[^\w?]+", " ", text.casefold()).split()
    said = " ".join(words)
    if said in WORDING:
        return replace(proposed, picture=False)
    if said in PICTURE:
        return Choice(picture=proposed.picture)
    meant = set(words) - FILLERS
    if meant and meant <= ASSENT:
        return proposed
    if meant and meant <= DISSENT:
        return Choice()
    if text.rstrip().endswith("?") and len(words) >= FEWEST_WORDS:
        return replace(proposed, wording=_question(text))
    raise NotUnderstood("the text is neither assent nor dissent, nor a question of three words")


def _decided(decisions: Sequence[Any], proposed: Choice) -> Choice:
    """The decisions of LangChain's form: one for all changes, or one for each, in order."""
    actions: list[int | None] = [*proposed.taken, *([None] if proposed.picture else [])]
    if len(decisions) == 1 and len(actions) != 1:
        return _whole(decisions[0], proposed)
    if not decisions or len(decisions) != len(actions):
        raise NotUnderstood(
            f"{len(decisions)} decisions, and {len(actions)} changes are proposed: give one "
            "decision for each, or one for all"
        )
    choice = Choice()
    for number, decision in zip(actions, decisions, strict=True):
        one = Choice(picture=True) if number is None else Choice({number: None})
        part = _whole(decision, one)
        choice = Choice(
            {**choice.taken, **part.taken},
            choice.picture or part.picture,
            part.wording if part.wording is not None else choice.wording,
        )
    return choice


def _whole(decision: Any, proposed: Choice) -> Choice:
    """One decision on what it is about."""
    kind = decision.get("type") if isinstance(decision, dict) else decision
    if kind in ("approve", "accept"):
        return proposed
    if kind == "reject":
        return Choice()
    if kind == "edit" and isinstance(decision, dict):
        action = decision.get("edited_action", decision.get("args"))
        given = action.get("args", action) if isinstance(action, dict) else None
        if isinstance(given, dict):
            return _edited(given, proposed)
        raise NotUnderstood('an edit needs edited_action: {"args": {"question": TEXT}}')
    raise NotUnderstood("a decision has the type approve, edit or reject")


def _edited(given: Mapping[str, Any], proposed: Choice) -> Choice:
    """`args` of an edited action: another text for its edit, or the own form."""
    if isinstance(given.get("after"), str) and len(proposed.taken) == 1:
        (number,) = proposed.taken
        return replace(proposed, taken={number: given["after"]})
    return _by_part({key: given[key] for key in given if key in OWN_KEYS}, proposed)


OWN_KEYS = ("question", "edits", "picture")


def _by_part(given: Mapping[str, Any], proposed: Choice) -> Choice:
    """The own form: what it leaves out is taken as proposed."""
    if not given or not set(given) <= set(OWN_KEYS):
        raise NotUnderstood(f"a reply by part has the keys {', '.join(OWN_KEYS)}, and one at least")
    choice = proposed
    numbers = given.get("edits")
    if numbers is not None:
        known = isinstance(numbers, list) and all(
            type(one) is int and one in proposed.taken for one in numbers
        )
        if not known:
            raise NotUnderstood(
                f"edits is a list of numbers of proposed edits, from 1 to {len(proposed.taken)}"
            )
        choice = replace(choice, taken=dict.fromkeys(sorted(numbers)))
    question = given.get("question", True)
    if isinstance(question, str):
        choice = replace(choice, wording=_question(question))
    elif question is False:
        choice = replace(choice, taken={})
    elif question is not True:
        raise NotUnderstood("question is true, false, or a wording as text")
    wanted = given.get("picture", proposed.picture)
    if not isinstance(wanted, bool):
        raise NotUnderstood("picture is true or false")
    if wanted and not proposed.picture:
        raise NotUnderstood("no corrected picture is proposed")
    return replace(choice, picture=wanted)


def _question(text: str) -> str:
    try:
        return check_question(text)
    except IMCError as refused:
        raise NotUnderstood(str(refused)) from None
