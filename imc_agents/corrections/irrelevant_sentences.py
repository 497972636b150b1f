"""Sentences that have nothing to do with the question: which may be cut, and what a cut gains."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from imc_agents.language.sentences import Sentence
from imc_agents.policy import Policy
from imc_agents.state import Edit

_REFERS_BACK = re.compile(
    r"\b(?:it|its|they|them|he|she|him|his|her|hers|former|latter|such|same|above|mentioned)\b",
    re.I,
)
"""Words by which a question leans on a sentence around it: "The mass is new. Is it benign?"."""
_CONTENT = re.compile(r"[^\W\d_]{4,}")
_GLUE = frozenset(
    "this that these those there their they them then than with from have been were what which "
    "where when will would could should does into onto over under about after before during "
    "patient".split()
)


def keepers(sentences: Sequence[Sentence], per_char: Sequence[float]) -> set[int]:
    """Indices of the sentences that stay: all that ask; where none does, the likeliest."""
    asking = {index for index, sentence in enumerate(sentences) if sentence.asks}
    if asking:
        return asking
    return {max(range(len(sentences)), key=lambda index: per_char[index])}


def without(question: str, sentence: Sentence, *, leading: bool) -> tuple[int, int]:
    """The span to cut so that no double blank stays behind.

    Sentences before the one that is kept take the blanks after them along, those after it
    (`leading`) the blanks before them, so that two cuts never overlap.
    """
    start, end = sentence.start, sentence.end
    if leading:
        while start > 0 and question[start - 1].isspace():
            start -= 1
    else:
        while end < len(question) and question[end].isspace():
            end += 1
    return start, end


def bears_on(sentence: str, asked: str) -> bool:
    """The question shares a word that means something with the sentence."""
    return bool(_content(sentence) & _content(asked))


def _content(text: str) -> set[str]:
    return {word.lower().removesuffix("s") for word in _CONTENT.findall(text)} - _GLUE


def irrelevant_sentences(
    question: str,
    sentences: Sequence[Sentence],
    per_char: Sequence[float],
    policy: Policy,
    is_context: Callable[[str], bool],
) -> list[Edit]:
    """A cut for every sentence that does not ask, with its gain over those that do.

    A question that refers back may lean on any sentence, and a sentence that shares a content word
    with the question bears on it: those are kept, however unlikely. So is a sentence that carries
    context of the image: without it the question is another one.

    Args:
        question: the whole question.
        sentences: its sentences, in order.
        per_char: log p of each sentence alone, in nats per character.
        policy: its sentence margin is in nats per character.
        is_context: of a sentence; see `imc_agents.safeguards.protected.context_of`.

    Returns:
        Edits that leave a sentence out. Gain and margin are multiplied by the sentence's length,
        so that they are nats like those of word edits.
    """
    kept = keepers(sentences, per_char)
    asked = " ".join(sentences[index].text for index in sorted(kept))
    if _REFERS_BACK.search(asked):
        return []
    usual = max(per_char[index] for index in kept)
    cuts = []
    for index, sentence in enumerate(sentences):
        if index in kept or bears_on(sentence.text, asked) or is_context(sentence.text):
            continue
        start, end = without(question, sentence, leading=index > min(kept))
        length = len(sentence.text)
        cuts.append(
            Edit(
                start=start,
                end=end,
                before=question[start:end],
                after="",
                kind="distractor",
                cost=0.0,
                gain=(usual - per_char[index]) * length,
                margin=policy.margins.sentence * length,
            )
        )
    return cuts
