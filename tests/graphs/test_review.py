"""A person reviews: nothing that is replied, and nothing that a resume says besides, loses it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from graphs.context import IMCContext
from graphs.imc import build_imc_graph
from imc_agents.state import Decision
from tests.fakes import FakeCalibrator
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, image, thread  # noqa: F401

TWO = "Is there a lesoin in the livre?"
APPROVE, REJECT = {"type": "approve"}, {"type": "reject"}


class Review:
    """A thread that waits for a person."""

    def __init__(self, image: str, question: str = TWO, review: str = "on_change") -> None:  # noqa: F811
        self.context = context_of(calibrator=FakeCalibrator("gaussian"), review=review)
        self.graph = build_imc_graph(checkpointer=InMemorySaver())
        asked = {"image": image, "question": question}
        self.state = self.graph.invoke(asked, thread(), context=self.context)

    @property
    def shown(self) -> Any:
        """What the person is shown; None where the graph does not wait."""
        waiting = self.state.get("__interrupt__")
        return waiting[0].value if waiting else None

    def reply(self, reply: Any, context: IMCContext | None = None) -> Review:
        self.state = self.graph.invoke(
            Command(resume=reply), thread(), context=context or self.context
        )
        return self

    @property
    def outcome(self) -> tuple[str, bool]:
        """The question that was answered, and whether the image was corrected."""
        assert self.shown is None
        assert self.state["answer"].text == "yes"
        heard = str(self.context.chat.heard[-1])  # type: ignore[attr-defined]
        assert heard == self.state["decision"].used
        return heard, self.state["calibration"].applied


def test_the_person_sees_the_edits_one_by_one_and_the_restored_picture(image: str) -> None:  # noqa: F811
    review = Review(image)
    shown = review.shown
    assert [(edit["before"], edit["after"]) for edit in shown["question"]["edits"]] == [
        ("lesoin", "lesion"),
        ("livre", "liver"),
    ]
    original, restored = shown["image"]["original"], shown["image"]["restored"]
    assert original == "sha256:" + review.graph.get_state(thread()).values["image_name"]
    assert review.context.images.read(restored).rgb.shape == (16, 16, 3)
    assert [action["name"] for action in shown["action_requests"]] == [
        "edit_question",
        "edit_question",
        "correct_image",
    ]
    json.dumps(shown)


def test_a_second_question_about_an_image_shows_its_restored_picture_too(image: str) -> None:  # noqa: F811
    first = Review(image)
    second = build_imc_graph(checkpointer=InMemorySaver()).invoke(
        {"image": image, "question": TWO}, thread(), context=first.context
    )
    restored = second["__interrupt__"][0].value["image"]["restored"]
    assert restored == first.shown["image"]["restored"] is not None


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (True, (CLEAN, True)),
        ("yes", (CLEAN, True)),
        ("accept", (CLEAN, True)),
        ("true", (CLEAN, True)),
        ({"decisions": [APPROVE]}, (CLEAN, True)),
        (False, (TWO, False)),
        ("no", (TWO, False)),
        ({"decisions": [REJECT]}, (TWO, False)),
        ({"decisions": [APPROVE, REJECT, REJECT]}, ("Is there a lesion in the livre?", False)),
        ({"edits": [2]}, ("Is there a lesoin in the liver?", True)),
        ("picture only", (TWO, True)),
        ("wording only", (CLEAN, False)),
        ("Is the lung normal?", ("Is the lung normal?", True)),
        (
            {"decisions": [{"type": "edit", "args": {"question": "Why is it?"}}]},
            ("Why is it?", True),
        ),
    ],
    ids=repr,
)
def test_what_the_person_takes_is_what_is_answered(
    image: str,  # noqa: F811
    reply: Any,
    outcome: tuple[str, bool],
) -> None:
    assert Review(image).reply(reply).outcome == outcome


@pytest.mark.parametrize("reply", ["", 5, {"decisions": [{"type": "respond"}]}])
def test_what_is_not_understood_is_asked_again(image: str, reply: Any) -> None:  # noqa: F811
    review = Review(image).reply(reply)
    assert "not understood" in review.shown["not_understood"]
    assert review.shown["question"]["used"] == CLEAN
    assert review.reply("yes").outcome == (CLEAN, True)


def test_the_policy_of_the_question_holds_whatever_the_context_of_the_resume_says(
    image: str,  # noqa: F811
) -> None:
    review = Review(image)
    lifted = review.context.with_policy(review="never")
    assert review.reply("what?", lifted).shown is not None
    assert review.reply(False, lifted).outcome == (TWO, False)


def test_a_question_edited_while_the_review_waits_is_reviewed_anew(image: str) -> None:  # noqa: F811
    review = Review(image)
    review.graph.update_state(thread(), {"question": "Is there a lesoin in the lung?"})
    lifted = review.context.with_policy(review="never")
    review.state = review.graph.invoke(None, thread(), context=lifted)
    assert review.shown["question"]["used"] == "Is there a lesion in the lung?"
    assert review.reply("ok").outcome == ("Is there a lesion in the lung?", True)


def test_a_decision_edited_before_the_review_is_shown_by_words(image: str) -> None:  # noqa: F811
    review = Review(image, CLEAN)
    decision = Decision(used="Is there a lesion in the lung?", accepted=True, rounds=0, reason="-")
    review.graph.update_state(thread(), {"decision": decision})
    review.state = review.graph.invoke(None, thread(), context=review.context)
    assert [(one["before"], one["after"]) for one in review.shown["question"]["edits"]] == [
        ("liver?", "lung?")
    ]
    assert review.reply("no").outcome == (CLEAN, False)


def test_a_review_of_everything_pauses_where_nothing_changes(image: str) -> None:  # noqa: F811
    context = context_of(review="always")
    graph = build_imc_graph(checkpointer=InMemorySaver())
    state = graph.invoke({"image": image, "question": CLEAN}, thread(), context=context)
    assert state["__interrupt__"][0].value["action_requests"] == []
    final = graph.invoke(Command(resume="yes"), thread(), context=context)
    assert final["decision"].used == CLEAN


def odd(random_: random.Random) -> Any:
    """A reply that somebody might send by mistake."""
    words = ["", "maybe", "si", "👍", "yes no", "?", "approve?", "{", "null", "\x00", "a" * 5000]
    scalars = [None, 0, 1, -1, 5, 1e300, float("nan"), *words]
    value = random_.choice(scalars)
    for _ in range(random_.randrange(4)):
        key = random_.choice(["decisions", "type", "question", "edits", "picture", "args", "x"])
        value = random_.choice([[value], {key: value}, {key: [value]}, [value, value]])
    return value


def test_two_hundred_odd_replies_leave_no_thread_stuck(image: str) -> None:  # noqa: F811
    """Ten threads with twenty replies each: the person can always still decide."""
    chance = random.Random(13)
    asked_again = 0
    for _ in range(10):
        review = Review(image)
        for _ in range(20):
            review.reply(odd(chance))
            if review.shown is None:  # it was understood: a new review
                review = Review(image)
            asked_again += "not_understood" in review.shown
        assert review.reply({"decisions": [APPROVE]}).outcome == (CLEAN, True)
    assert asked_again > 100


@pytest.mark.parametrize("reply", [None, object(), {1, object()}], ids=["none", "object", "set"])
def test_a_reply_that_cannot_be_stored_is_asked_for_again(image: str, reply: Any) -> None:  # noqa: F811
    review = Review(image).reply(reply)
    assert "not understood" in review.shown["not_understood"]
    assert review.reply("no").outcome == (TWO, False)
