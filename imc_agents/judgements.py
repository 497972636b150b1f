"""Whether a model means the words it is asked for: its two judgements, measured beside its margins.

Asked, a small model calls a misspelt question clean as readily as a clean one, and gives "the same
question" one probability whatever was changed. So both judgements are put to it on clean questions
whose truth is known, and one that is no better than chance is not used afterwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial

from langchain_core.language_models import BaseChatModel

from imc_agents.chat.run_requests import MODEL_FAULTS, Faults, run_requests_together
from imc_agents.coordinator import CleanReply
from imc_agents.language.words import words_of
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.protected import ProtectedTable, load_protected, protected_tokens
from imc_agents.self_assessment import SelfAssessment
from imc_agents.thresholds import AskedJudgements, JudgementTest
from imc_agents.verifier import SameReply
from prompts import AskPrompt, PromptSet, RolePrompt

QUESTIONS = 64
"""Questions put to a model at most, each in both forms: two judgements of 128 short replies."""
FEWEST = 20
"""Questions below which nothing is measured: they would not show more than chance."""
LEVEL = 0.01
"""One-sided significance at which a judgement is called better than chance."""
UNKNOWN = 0.5
"""What a reply without the agreed form counts as: neither yes nor no."""
SHORTEST = 4
"""Letters of a word that is misspelt: two of them change places, its first and last stay."""

_PAIRS = (
    "left right upper lower top bottom superior inferior anterior posterior medial lateral "
    "proximal distal axial coronal larger smaller largest smallest bigger smaller biggest smallest "
    "more less most least increased decreased normal abnormal benign malignant with without "
    "present absent single multiple acute chronic before after ap pa t1 t2 any no"
).split()
_OPPOSITES = {
    one: other
    for first, second in zip(_PAIRS[::2], _PAIRS[1::2], strict=True)
    for one, other in ((second, first), (first, second))
}
"""Of each of these words the one that makes another question."""
_THERE = re.compile(r"\b((?:is|are) there)\s+(?:an?\s+|any\s+)?", re.IGNORECASE)

Progress = Callable[[str, int, int], None]


def measure_judgements(
    chat: BaseChatModel,
    prompts: PromptSet,
    questions: Sequence[str],
    *,
    protected: ProtectedTable | None = None,
    faults: Faults = MODEL_FAULTS,
    progress: Progress | None = None,
) -> AskedJudgements:
    """Ask a model about clean questions, misspelt ones and ones of another meaning.

    A model that chooses among given replies chooses; another one is asked for its reply.

    Args:
        chat: the model that serves the agents; any chat model.
        prompts: those that it will serve with.
        questions: clean ones; `QUESTIONS` of them are used, evenly spaced.
        protected: words whose change makes another question; None: the shipped ones.
        faults: what the model may raise; such a reply counts as neither yes nor no.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        For each judgement how well its replies separate what is from what is not. None for one
        that the prompts do not ask, and where fewer than `FEWEST` questions serve.
    """
    table = protected if protected is not None else load_protected()
    noisy = {q: m for q in dict.fromkeys(questions) if (m := misspelt(q, table)) is not None}
    pairs = {q: c for q in noisy if (c := with_other_meaning(q, table)) is not None}
    clean = same = None
    prompt = prompts.coordinator.ask
    if prompt is not None and len(noisy) >= FEWEST:
        some = _spaced(list(noisy))
        asked = _chosen_clean if SelfAssessment(chat).can_choose else _asked_clean
        walks = [asked(chat, prompt, q) for q in (*some, *(noisy[q] for q in some))]
        clean = _tested("judgement: clean?", chat, walks, len(some), faults, progress)
    agreed = _agreement(chat, prompts)
    if agreed is not None and len(pairs) >= FEWEST:
        some = _spaced(list(pairs))
        walks = [agreed(noisy[q], q) for q in some]
        walks += [agreed(noisy[q], pairs[q]) for q in some]
        same = _tested("judgement: same question?", chat, walks, len(some), faults, progress)
    return AskedJudgements(clean=clean, same=same)


def misspelt(question: str, table: ProtectedTable) -> str | None:
    """The question with two letters of its longest word swapped, which is no protected one; None
    where it has no such word."""
    before = protected_tokens(question, table)
    for word in sorted(words_of(question), key=lambda word: -len(word.text)):
        text = word.text
        if len(text) < SHORTEST or not text.isalpha():
            continue
        for at in range(1, len(text) - 2):
            if text[at].lower() != text[at + 1].lower():
                swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
                changed = question[: word.start] + swapped + question[word.end :]
                if protected_tokens(changed, table) == before:
                    return changed
    return None


def with_other_meaning(question: str, table: ProtectedTable) -> str | None:
    """The question with one protected word changed ("left" to "right", "2" to "3", "is there a" to
    "is there no"); None where it has none to change."""
    for word in re.finditer(r"\w+", question):
        other = _OPPOSITES.get(word.group().lower())
        if other is None and word.group().isdecimal():
            other = str(int(word.group()) + 1)
        if other is not None:
            changed = question[: word.start()] + other + question[word.end() :]
            if protected_tokens(changed, table) != protected_tokens(question, table):
                return changed
    changed, count = _THERE.subn(r"\1 no ", question, count=1)
    return changed if count and "no " not in question else None


def judgement_test(positive: Sequence[float], negative: Sequence[float]) -> JudgementTest:
    """Whether what is scores above what is not: the Mann-Whitney test, one-sided.

    Args:
        positive: the model's agreement, 0 to 1, where it should agree.
        negative: where it should not.
    """
    from scipy.stats import mannwhitneyu

    if len(set((*positive, *negative))) == 1:
        auc, p_value = 0.5, 1.0
    else:
        found = mannwhitneyu(positive, negative, alternative="greater", method="asymptotic")
        auc = float(found.statistic) / (len(positive) * len(negative))
        p_value = float(found.pvalue)
    return JudgementTest(
        auc=round(auc, 4), p_value=p_value, questions=len(positive), used=p_value <= LEVEL
    )


def _tested(
    what: str,
    chat: BaseChatModel,
    walks: list[RequestSteps[float]],
    count: int,
    faults: Faults,
    progress: Progress | None,
) -> JudgementTest:
    replies = run_requests_together(chat, [_guarded(walk, faults) for walk in walks], faults)
    if progress is not None:
        progress(what, count, count)
    return judgement_test(replies[:count], replies[count:])


def _guarded(steps: RequestSteps[float], faults: Faults) -> RequestSteps[float]:
    try:
        return (yield from steps)
    except faults:  # a malformed reply is a ValueError
        return UNKNOWN


def _agreement(
    chat: BaseChatModel, prompts: PromptSet
) -> Callable[[str, str], RequestSteps[float]] | None:
    """How the model is asked whether two questions ask the same; None: it cannot be."""
    if SelfAssessment(chat).can_choose:
        return partial(_chosen_same, chat, prompts.verifier)
    if prompts.verifier.ask is not None:
        return partial(_asked_same, chat, prompts.verifier.ask)
    return None


def _asked_clean(chat: BaseChatModel, prompt: AskPrompt, question: str) -> RequestSteps[float]:
    reply = yield from SelfAssessment(chat).ask(prompt, CleanReply, question=question)
    return float(reply.clean)


def _chosen_clean(chat: BaseChatModel, prompt: AskPrompt, question: str) -> RequestSteps[float]:
    """How much more probable the reply that it is clean is than the other: nothing is generated."""
    model = SelfAssessment(chat)
    messages = prompt.messages(question=question)
    return (yield from model.choice(messages, [json.dumps({"clean": c}) for c in (True, False)]))


def _asked_same(
    chat: BaseChatModel, prompt: AskPrompt, original: str, candidate: str
) -> RequestSteps[float]:
    model = SelfAssessment(chat)
    reply = yield from model.ask(prompt, SameReply, original=original, candidate=candidate)
    return float(reply.same)


def _chosen_same(
    chat: BaseChatModel, prompt: RolePrompt, original: str, candidate: str
) -> RequestSteps[float]:
    model = SelfAssessment(chat)
    return (yield from model.agreement(prompt, original=original, candidate=candidate))


def _spaced(questions: list[str]) -> list[str]:
    """At most `QUESTIONS` of them, evenly spaced."""
    count = min(QUESTIONS, len(questions))
    return [questions[place * len(questions) // count] for place in range(count)]
