"""The sentences of a question, and which of them asks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imc_agents.language.words import Word
from imc_agents.policy import Policy
from imc_agents.state import Edit

_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|dr|mr|mrs|fig|no|approx|etc|pt|cf|al)\.$", re.I)

ASKING_WORDS = frozenset(
    "what which where when who whose why how is are was were do does did can could will would "
    "should has have had may might any describe name identify list tell show explain".split()
)
"""Words with which an English question begins."""


@dataclass(frozen=True)
class Sentence:
    """One sentence and its place in the question."""

    start: int
    end: int
    text: str

    @property
    def asks(self) -> bool:
        """It ends in a question mark, or begins as questions do."""
        first = re.match(r"\W*(\w+)", self.text)
        begins = first is not None and first.group(1).lower() in ASKING_WORDS
        return self.text.rstrip().endswith("?") or begins

    def holds(self, word: Word) -> bool:
        """The whole word stands in it."""
        return self.start <= word.start and word.end <= self.end


def split_sentences(question: str) -> list[Sentence]:
    """The sentences in order; their texts carry no blanks at either end.

    A line that ends in the middle of a sentence goes on in the next: an empty line or a full stop
    ends a sentence, a line's end alone does not.
    """
    sentences: list[Sentence] = []
    start = 0
    for match in re.finditer(r"[.!?]+(?=\s)|\n[^\S\n]*\n\s*", question):
        head = question[start : match.end()]
        if _ABBREVIATION.search(head.rstrip()):
            continue
        _append(sentences, question, start, match.end())
        start = match.end()
    _append(sentences, question, start, len(question))
    return sentences


def _append(sentences: list[Sentence], question: str, start: int, end: int) -> None:
    text = question[start:end]
    lead = len(text) - len(text.lstrip())
    text = text.strip()
    if any(character.isalnum() for character in text):
        sentences.append(Sentence(start + lead, start + lead + len(text), text))


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


def keepers(sentences: Sequence[Sentence], per_char: Sequence[float]) -> set[int]:
    """Indices of the sentences that stay: all that ask; where none does, the likeliest."""
    asking = {index for index, sentence in enumerate(sentences) if sentence.asks}
    if asking:
        return asking
    return {max(range(len(sentences)), key=lambda index: per_char[index])}


def asking_spans(sentences: Sequence[Sentence]) -> list[tuple[int, int]]:
    """Places of the sentences that ask."""
    return [(sentence.start, sentence.end) for sentence in sentences if sentence.asks]


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


def bears_on(sentence: str, asked: str) -> bool:
    """The question shares a word that means something with the sentence."""
    return bool(_content(sentence) & _content(asked))


def _content(text: str) -> set[str]:
    return {word.lower().removesuffix("s") for word in _CONTENT.findall(text)} - _GLUE


def irrelevant_sentences(
    question: str, sentences: Sequence[Sentence], per_char: Sequence[float], policy: Policy
) -> list[Edit]:
    """A cut for every sentence that does not ask, with its gain over those that do.

    A question that refers back may lean on any sentence, and a sentence that shares a content word
    with the question bears on it: those stay, however unlikely.

    Args:
        question: the whole question.
        sentences: its sentences, in order.
        per_char: log p of each sentence alone, in nats per character.
        policy: its sentence margin is in nats per character.

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
        if index in kept or bears_on(sentence.text, asked):
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
