"""Many questions in lock step: each comes out as the graph would have refined it alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from graphs.context import IMCContext, load_context
from graphs.refining import refine_batch
from graphs.sms import build_sms_graph
from graphs.state import SMSOutput
from imc_agents.errors import QuestionRefused
from imc_agents.policy import Policy
from imc_bench.datasets import load_dataset
from imc_noise import apply_text, noise_rng
from prompts import load_prompts
from tests.fakes import AskedChat, FakeScore, ScriptedChat, always, small_chat, small_lexicon

CLEAN = "Is there a lesion in the liver?"
TYPO = "Is there a lesoin in the liver?"
QUESTIONS = [
    CLEAN,
    TYPO,
    "Is thcre a lesoin in the liver?",
    "Is there a plural effusion?",
    "The patient came by train today. " + CLEAN,
    "¿Hay una lesión en el hígado?",
    "IS THERE A LESOIN IN THE LIVER?",
    TYPO,
]


def context_of(chat: AskedChat, profile: str = "reference", **policy: Any) -> IMCContext:
    return IMCContext(
        chat=chat,
        calibrator=None,
        lexicon=small_lexicon(),
        prompts=load_prompts(profile),
        policy=Policy(method="sms", **policy),
    )


def comparable(state: SMSOutput) -> dict[str, Any]:
    """All that must be equal: everything but the milliseconds."""
    steps = [(step.node, step.calls, step.note, step.opens) for step in state["trace"]]
    return {**state, "trace": steps}


def one_by_one(questions: Sequence[str], context: IMCContext) -> list[dict[str, Any]]:
    graph = build_sms_graph()
    return [
        comparable(graph.invoke({"question": question}, context=context))
        for question in questions
    ]


def together(questions: Sequence[str], context: IMCContext, **size: int) -> list[dict[str, Any]]:
    return [comparable(state) for state in refine_batch(questions, context, **size)]


@pytest.mark.parametrize("agreement", [0.8, 0.01])
@pytest.mark.parametrize("reply", ["yes", CLEAN, RuntimeError("out of memory")])
def test_a_model_that_scores_refines_the_same_in_lock_step(reply: Any, agreement: float) -> None:
    context = context_of(small_chat(script=always(reply), agreement=agreement))
    assert together(QUESTIONS, context) == one_by_one(QUESTIONS, context)


def asked_replies(messages: list[BaseMessage]) -> str:
    system = str(messages[0].text)
    if "You decide" in system:
        return '{"clean": false}'
    if "You point out" in system:
        return '{"findings": [{"text": "lesoin", "kind": "typo"}]}'
    if "You compare" in system:
        return '{"same": true}'
    return '{"question": "Is there a lesion in the liver?"}'


@pytest.mark.parametrize("script", [asked_replies, always("rubbish")])
def test_a_model_that_can_only_be_asked_refines_the_same_in_lock_step(script: Any) -> None:
    context = context_of(AskedChat(script=script), profile="instruct")
    assert together(QUESTIONS, context) == one_by_one(QUESTIONS, context)


def test_one_step_of_all_questions_is_one_scoring_pass() -> None:
    chat = small_chat()
    refine_batch([TYPO, "Is there a lesoin?", "Is there a plural effusion?"], context_of(chat))
    assert len(chat.passes) <= 3  # the coordinator's, and two sweeps of the corrector


def test_equal_questions_are_refined_once() -> None:
    once, twice = small_chat(), small_chat()
    refine_batch([TYPO], context_of(once))
    first, second = refine_batch([TYPO, TYPO], context_of(twice))
    assert twice.passes == once.passes
    assert first == second


def test_longer_lists_go_in_groups_and_keep_their_order() -> None:
    questions = [f"{question} {number}?" for number in range(4) for question in QUESTIONS[:3]]
    context = context_of(small_chat())
    assert together(questions, context, together=5) == one_by_one(questions, context)


class Touchy(ScriptedChat):
    """Fails at every batch that holds a text with `poison`."""

    def score_batch(self, items: Sequence[tuple[Sequence[BaseMessage], str]]) -> list[FakeScore]:
        if any("poison" in text for _, text in items):
            raise RuntimeError("cannot score this")
        return super().score_batch(items)


def test_a_fault_hits_the_question_that_caused_it_and_no_other() -> None:
    chat = Touchy(usual=small_chat().usual)
    context = context_of(chat)
    corrupted, poisoned = refine_batch([TYPO, "Is there poison in the lesoin?"], context)
    assert corrupted["decision"] is not None and corrupted["decision"].used == CLEAN
    assert poisoned["decision"] is not None and not poisoned["decision"].accepted
    assert "RuntimeError" in poisoned["decision"].reason


def test_what_is_no_fault_of_the_model_is_not_swallowed() -> None:
    class Interrupted(Exception):
        pass

    context = context_of(small_chat(script=always(Interrupted())))
    with pytest.raises(Interrupted):
        refine_batch([TYPO, TYPO + " Is it?"], context)


def test_a_question_that_cannot_be_asked_is_refused_before_any_is_refined() -> None:
    chat = small_chat()
    with pytest.raises(QuestionRefused, match="empty"):
        refine_batch([TYPO, " "], context_of(chat))
    assert chat.passes == []


def test_no_questions_are_no_work() -> None:
    assert refine_batch([], context_of(small_chat())) == []


@pytest.fixture(scope="module")
def reference(embedded_model: Path) -> IMCContext:
    return load_context(embedded_model, method="sms")


@pytest.mark.parametrize("noise", ["clean", "typo", "homophone", "distractor", "ocr"])
def test_the_embedded_model_decides_the_same_in_lock_step(
    reference: IMCContext, data_folder: Path, noise: str
) -> None:
    items = load_dataset("vqa-rad", data_folder, split=None, limit=14, seed=1).items
    questions = [
        item.question
        if noise == "clean"
        else apply_text(noise, item.question, 3, noise_rng(item.item_id, noise, 3, 0))
        for item in items
    ]
    alone, batch = one_by_one(questions, reference), together(questions, reference)
    assert [rounded(state) for state in batch] == [rounded(state) for state in alone]


def rounded(state: dict[str, Any]) -> dict[str, Any]:
    """A state whose scores may differ in the last of their four places."""
    findings = [one.model_copy(update={"score": round(one.score, 2)}) for one in state["findings"]]
    return {**state, "findings": findings}
