"""No correction touches what clinical questions must keep: 574 of them, clean and misspelt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from graphs.context import IMCContext, load_context
from graphs.refining import refine_batch
from imc_agents.corrections.proposals import apply_edits, proposed
from imc_agents.language.lexicon import known_words
from imc_agents.policy import Policy
from imc_agents.safeguards.protected import find_protected, protected_tokens
from tests.imc_agents.traps import read_traps, with_one_typo

TRAPS = read_traps()
ENGLISH = [trap for trap in TRAPS if trap.kind != "language"]


@pytest.fixture(scope="module")
def context(embedded_model: Path) -> Iterator[IMCContext]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_context(embedded_model, method="sms")
    torch.set_num_threads(threads)


def used(questions: list[str], context: IMCContext) -> list[str]:
    settled = [state["decision"] for state in refine_batch(questions, context)]
    return [decision.used for decision in settled if decision is not None]


def test_the_list_is_long_and_has_no_question_twice() -> None:
    questions = {trap.question for trap in TRAPS}
    assert len(questions) == len(TRAPS) >= 500


@pytest.mark.parametrize(
    "kind",
    "grade dosing level sequence size age laterality negation polarity".split(),
)
def test_what_the_kind_names_is_protected(kind: str) -> None:
    for trap in TRAPS:
        if trap.kind == kind:
            assert find_protected(trap.question), trap.question


def test_no_single_edit_is_proposed_that_changes_a_protected_word() -> None:
    for trap in ENGLISH:
        tokens = protected_tokens(trap.question)
        for edit in proposed(trap.question, known_words(), Policy()):
            kept = protected_tokens(apply_edits(trap.question, [edit]))
            assert not tokens - kept, (trap.question, edit.before, edit.after)


def test_clean_questions_are_left_as_they_are(context: IMCContext) -> None:
    questions = [trap.question for trap in TRAPS]
    changed = [
        (question, after)
        for question, after in zip(questions, used(questions, context), strict=True)
        if after != question
    ]
    assert changed == []


def test_a_typo_elsewhere_changes_no_protected_word(context: IMCContext) -> None:
    pairs = [(trap.question, with_one_typo(trap.question)) for trap in ENGLISH]
    asked = [(clean, noisy) for clean, noisy in pairs if noisy is not None]
    after = used([noisy for _, noisy in asked], context)
    assert len(asked) >= 390
    exact = 0
    for (clean, noisy), text in zip(asked, after, strict=True):
        assert text == noisy or protected_tokens(text) == protected_tokens(clean), (noisy, text)
        exact += text == clean
    assert exact >= 0.5 * len(asked)  # 0.60 when this was written


RIGHT_OR_UNCHANGED = {
    "Is ther LVH?": "Is there LVH?",
    "Is thre AAA?": "Is there AAA?",
    "Are thre 7 lesions in the liver?": "Are there 7 lesions in the liver?",
    "Is ther a fracture?": "Is there a fracture?",
    "Is ther lung normal?": "Is the lung normal?",
    "Where is ther lesion?": "Where is the lesion?",
    "Is ther LVH on the ECG?": "Is there LVH on the ECG?",
    "Are there thre lesions?": "Are there three lesions?",
    "Is this a sagital view?": "Is this a sagittal view?",
    "Is he on insulin?": "Is he on insulin?",
    "Is the clavical fractured?": "Is the clavicle fractured?",
    "Which sequense is this?": "Which sequence is this?",
    "Is there a leison? No contrast given.": "Is there a lesion? No contrast given.",
    "The nurse updated the chart. Left lung only. Is there a nodule?": (
        "Left lung only. Is there a nodule?"
    ),
}


def test_a_correction_is_right_or_none_is_made(context: IMCContext) -> None:
    after = used(list(RIGHT_OR_UNCHANGED), context)
    for (asked, right), text in zip(RIGHT_OR_UNCHANGED.items(), after, strict=True):
        assert text in (asked, right)
    exact = sum(
        text == right for text, right in zip(after, RIGHT_OR_UNCHANGED.values(), strict=True)
    )
    assert exact >= 10
