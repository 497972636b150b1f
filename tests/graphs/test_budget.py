"""A question never costs more passes through the model than the policy says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from graphs.context import IMCContext, load_context
from graphs.refining import refine_batch
from imc_agents.policy import Policy
from imc_noise import apply_text, noise_rng
from imc_reference import MODEL_DIR

CLEAN = [
    "Is there evidence of a pleural effusion in the left lung?",
    "Which organ is abnormal in this axial image of the abdomen?",
    "What modality is used to take this image of the brain?",
    "Are the ventricles of the brain enlarged in this image?",
    "Where is the lesion located in the right hemisphere?",
    "Does the chest x-ray show an enlarged heart?",
]
CORRUPTED = [
    apply_text(kind, one, 5, noise_rng(one, kind, 5, seed))
    for one in CLEAN
    for kind in ("typo", "ocr", "homophone")
    for seed in range(2)
]


@pytest.fixture(scope="module")
def context() -> Iterator[IMCContext]:
    yield load_context(MODEL_DIR, method="sms")


def calls(questions: list[str], context: IMCContext) -> list[int]:
    return [
        sum(step.calls for step in settled["trace"]) for settled in refine_batch(questions, context)
    ]


def test_a_corrupted_question_costs_eight_calls_at_most(context: IMCContext) -> None:
    spent = calls(CORRUPTED, context)
    assert max(spent) <= Policy().max_calls == 8
    assert any(rounds > 1 for rounds in spent)  # some of them were worked on


@pytest.mark.parametrize("most", [1, 3])
def test_a_smaller_budget_holds_but_for_the_round_that_was_begun(
    context: IMCContext, most: int
) -> None:
    """A round that has begun ends: its candidate, if it was scored, is still judged."""
    policy = Policy(method="sms", max_calls=most)
    spent = calls(CORRUPTED, replace(context, policy=policy))
    first_round = 1 + 1 + 2 * policy.max_passes
    assert max(spent) <= max(most, first_round)


def test_a_spent_budget_is_said(context: IMCContext) -> None:
    settled = refine_batch(CORRUPTED, replace(context, policy=Policy(method="sms", max_calls=1)))
    reasons = [one["decision"].reason for one in settled if one["decision"] is not None]
    assert any("accepted within" in reason for reason in reasons)
    for given, one in zip(CORRUPTED, settled, strict=True):
        decision = one["decision"]
        assert decision is not None
        assert decision.accepted or decision.used == given
