"""How a reviewer's reply is read: three edits and a corrected picture are proposed."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.nodes.replies import Choice, NotUnderstood, read_reply

ALL = Choice({1: None, 2: None, 3: None}, picture=True)
NONE = Choice()


def read(reply: object) -> Choice:
    return read_reply(reply, 3, picture=True)


def decided(*decisions: Any) -> dict[str, Any]:
    return {"decisions": list(decisions)}


APPROVE, REJECT = {"type": "approve"}, {"type": "reject", "message": "no"}


@pytest.mark.parametrize(
    "reply",
    [True, "yes", "Yes.", " ACCEPT ", "ok", "OK!", "true", "y", "approve", "yes, please", b"yes"]
    + [decided(APPROVE), [APPROVE], APPROVE, [{"type": "accept", "args": None}]]
    + [json.dumps(decided(APPROVE)), {"question": True}, {"picture": True}]
    + [decided(APPROVE, APPROVE, APPROVE, APPROVE), {"edits": [1, 2, 3]}],
    ids=repr,
)
def test_assent_takes_all(reply: object) -> None:
    assert read(reply) == ALL


@pytest.mark.parametrize(
    "reply",
    [False, "no", "No!", "reject", "rejected", "false", "decline", "no, thanks", decided(REJECT)]
    + [REJECT, {"question": False, "picture": False}, {"edits": [], "picture": False}]
    + [decided(REJECT, REJECT, REJECT, REJECT), '{"decisions": [{"type": "reject"}]}'],
    ids=repr,
)
def test_dissent_takes_nothing(reply: object) -> None:
    assert read(reply) == NONE


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        (decided(APPROVE, REJECT, APPROVE, REJECT), Choice({1: None, 3: None}, False)),
        (decided(REJECT, REJECT, REJECT, APPROVE), Choice({}, True)),
        ({"edits": [2]}, Choice({2: None}, True)),
        ({"edits": [2], "picture": False}, Choice({2: None}, False)),
        ("picture only", Choice({}, True)),
        ({"question": False}, Choice({}, True)),
        ("wording only", Choice(ALL.taken, False)),
        ({"picture": False}, Choice(ALL.taken, False)),
    ],
    ids=repr,
)
def test_single_edits_the_picture_or_the_wording_may_be_taken(reply: Any, choice: Choice) -> None:
    assert read(reply) == choice


EDITED = {"name": "edit_question", "args": {"question": "What is shown here?"}}


@pytest.mark.parametrize(
    "reply",
    [
        "What is shown here?",
        {"question": "What is shown here?"},
        decided({"type": "edit", "edited_action": EDITED}),
        [{"type": "edit", "args": EDITED}],
    ],
    ids=repr,
)
def test_another_wording_may_be_given(reply: object) -> None:
    assert read(reply).wording == "What is shown here?"
    assert read(reply).picture


def test_one_edit_may_be_edited() -> None:
    action = {"name": "edit_question", "args": {"after": "lesions"}}
    choice = read(decided(APPROVE, {"type": "edit", "edited_action": action}, REJECT, REJECT))
    assert choice == Choice({1: None, 2: "lesions"}, False)


@pytest.mark.parametrize(
    "reply",
    ["", " ", "maybe", "yes?", "which one?", "yes and no", "not sure", 5, 0, 1.5, None, [], {}]
    + [decided(), decided(APPROVE, APPROVE), decided({"type": "respond"}), decided("?"), [[]]]
    + [{"approve": True}, {"edits": [4]}, {"edits": [0]}, {"edits": [True]}, {"edits": 1}]
    + [{"question": ""}, {"question": "a" * 3000}, {"question": 5}, {"picture": "yes"}]
    + [decided({"type": "edit"}), decided({"type": "edit", "edited_action": {"args": 5}})]
    + ["{", '{"decisions": ', "[" * 5000, object(), {1: 2}, "\ud800", "x" * 10**5],
    ids=lambda reply: "object" if type(reply) is object else repr(reply)[:30],
)
def test_what_says_neither_is_not_understood(reply: object) -> None:
    with pytest.raises(NotUnderstood) as why:
        read(reply)
    assert "\n" not in str(why.value)
    assert len(str(why.value)) < 200


def test_a_picture_that_is_not_proposed_cannot_be_taken() -> None:
    with pytest.raises(NotUnderstood, match="no corrected picture"):
        read_reply({"picture": True}, 1, picture=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_reply_is_understood_or_not_and_never_fails(reply: Any) -> None:
    with contextlib.suppress(NotUnderstood):
        assert isinstance(read(reply), Choice)
