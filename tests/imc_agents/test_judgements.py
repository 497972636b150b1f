"""Whether a model means the words it is asked for; and what is not used where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import BaseMessage

from imc_agents.coordinator import Coordinator
from imc_agents.judgements import (
    FEWEST,
    judgement_test,
    measure_judgements,
    misspelt,
    with_other_meaning,
)
from imc_agents.policy import Policy
from imc_agents.safeguards.protected import load_protected, protected_violations
from imc_agents.thresholds import AskedJudgements, JudgementTest, QuestionThresholds
from imc_agents.verifier import Verifier
from prompts import load_prompts
from tests.fakes import AskedChat, FakeChoice, ScriptedChat, small_chat, small_lexicon

INSTRUCT = load_prompts("instruct")
TABLE = load_protected()
SIDES = ("left", "upper", "anterior", "medial")
CLEAN = [
    f"Is there a {finding} in the {side} lobe?"
    for side in SIDES
    for finding in ("lesion", "nodule", "fracture", "effusion", "haemorrhage", "oedema")
]
FAILED = JudgementTest(auc=0.5, p_value=1.0, questions=64, used=False)
PASSED = JudgementTest(auc=0.9, p_value=0.0, questions=64, used=True)


def data_of(messages: Sequence[BaseMessage]) -> list[str]:
    """The questions that a prompt shows."""
    lines = str(messages[-1].text).splitlines()
    return [json.loads(line) if line.startswith('"') else line for line in lines
            if not line.startswith("<")]  # fmt: skip


def discerning(messages: list[BaseMessage]) -> str:
    """A model that means what it says."""
    shown = data_of(messages)
    if len(shown) == 1:
        return json.dumps({"clean": shown[0] in CLEAN})
    return json.dumps({"same": shown[1] in CLEAN})


def agreeing(messages: list[BaseMessage]) -> str:
    """A model that agrees whatever it is shown."""
    return json.dumps({"clean": True} if len(data_of(messages)) == 1 else {"same": True})


class ChoosingChat(ScriptedChat):
    """Chooses by what it is shown."""

    vote: Callable[[list[str]], float]

    def choose(self, messages: Sequence[BaseMessage], options: Sequence[str]) -> FakeChoice:
        agreement = self.vote(data_of(messages))
        return FakeChoice((agreement, 1 - agreement))


def test_a_misspelt_question_keeps_its_protected_words() -> None:
    noisy = misspelt("Is there a fracture in the left lobe?", TABLE)
    assert noisy == "Is there a farcture in the left lobe?"
    assert misspelt("Is it so?", TABLE) is None


@pytest.mark.parametrize(
    ("question", "changed"),
    [
        ("Is the left lung normal?", "Is the right lung normal?"),
        ("Is this a T1 weighted image?", "Is this a t2 weighted image?"),
        ("Are there 2 masses?", "Are there 3 masses?"),
        ("Is there a mass?", "Is there no mass?"),
        ("What organ is this?", None),
    ],
)
def test_another_meaning_differs_in_one_protected_word(question: str, changed: str | None) -> None:
    assert with_other_meaning(question, TABLE) == changed
    if changed is not None:
        assert protected_violations(question, changed, table=TABLE)


def test_a_model_that_means_its_words_is_used() -> None:
    found = measure_judgements(AskedChat(script=discerning), INSTRUCT, CLEAN)
    for test in (found.clean, found.same):
        assert test is not None
        assert test.used and test.auc == 1.0 and test.questions == len(CLEAN)
    assert found.applied(Policy()) == Policy()


def test_a_model_that_always_agrees_is_not_used() -> None:
    found = measure_judgements(AskedChat(script=agreeing), INSTRUCT, CLEAN)
    for test in (found.clean, found.same):
        assert test is not None
        assert not test.used and test.auc == 0.5


def test_a_vote_is_measured_by_choosing_where_the_model_can() -> None:
    weak = ChoosingChat(script=agreeing, vote=lambda shown: 0.64)
    strong = ChoosingChat(script=agreeing, vote=lambda shown: 0.9 if shown[1] in CLEAN else 0.7)
    for chat, used in ((weak, False), (strong, True)):
        same = measure_judgements(chat, INSTRUCT, CLEAN).same
        assert same is not None and same.used is used


def test_a_model_that_chooses_generates_nothing() -> None:
    chat = ChoosingChat(vote=lambda shown: 0.9 if shown[-1] in CLEAN else 0.2)
    found = measure_judgements(chat, INSTRUCT, CLEAN)
    assert found.clean is not None and found.clean.used
    assert chat.heard == []


def test_replies_without_the_form_say_nothing() -> None:
    found = measure_judgements(AskedChat(), INSTRUCT, CLEAN)
    assert found.clean is not None and not found.clean.used


def test_few_questions_measure_nothing() -> None:
    chat = AskedChat(script=discerning)
    assert measure_judgements(chat, INSTRUCT, CLEAN[: FEWEST - 1]) == AskedJudgements()
    assert chat.heard == []


def test_the_reference_prompts_ask_for_a_vote_alone() -> None:
    found = measure_judgements(small_chat(), load_prompts("reference"), CLEAN)
    assert found.clean is None and found.same is not None


def test_the_test_is_one_sided() -> None:
    assert not judgement_test([0.0] * 30, [1.0] * 30).used
    assert judgement_test([1.0] * 30, [0.0] * 30).used
    assert judgement_test([0.5] * 30, [0.5] * 30).p_value == 1.0


@pytest.mark.parametrize(
    "failed",
    [AskedJudgements(clean=FAILED, same=PASSED), AskedJudgements(clean=PASSED, same=FAILED)],
)
def test_a_model_that_can_only_be_asked_and_fails_leaves_questions_alone(
    failed: AskedJudgements,
) -> None:
    chat = AskedChat(script=lambda messages: '{"clean": false}')
    policy = failed.applied(Policy())
    left = Coordinator(chat, INSTRUCT, small_lexicon(), policy)("Is there a lesoin?")
    assert not left.suspicious
    assert "no better than chance" in left.reason
    assert chat.heard == []
    assert Coordinator(chat, INSTRUCT, small_lexicon(), Policy())("Is there a lesoin?").suspicious


def test_a_vote_that_says_nothing_is_not_asked_for() -> None:
    from imc_agents.corrector import Corrector

    lexicon, question = small_lexicon(), "Is there a lesoin in the liver?"
    for failed, asked in ((False, True), (True, False)):
        judged = AskedJudgements(same=FAILED) if failed else AskedJudgements()
        chat, policy = small_chat(), judged.applied(Policy())
        candidate = Corrector(chat, INSTRUCT, lexicon, policy)(question)
        verdict = Verifier(chat, INSTRUCT, lexicon, policy)(question, candidate)
        assert (verdict.agreement is not None) is asked


def test_they_are_kept_with_the_thresholds_and_what_a_policy_says_itself_holds(
    tmp_path: Path,
) -> None:
    stated: dict[str, Any] = {
        "fingerprint": "f", "margins": {}, "new_word": 18.0, "calibrated": True, "questions": 600,
        "edited": 0, "share": 0.005, "confidence": 0.95, "upper": 0.005,
    }  # fmt: skip
    kept = QuestionThresholds(**stated, judgements=AskedJudgements(clean=PASSED, same=FAILED))
    kept.save(tmp_path / "own.questions.json")
    read = QuestionThresholds.load(tmp_path / "own.questions.json", fingerprint="f")
    assert read == kept
    policy = read.applied(Policy())
    assert policy.trust_clean and not policy.trust_same
    assert read.applied(Policy(trust_same=True)).trust_same
    assert QuestionThresholds(**stated).applied(Policy()).trust_same
