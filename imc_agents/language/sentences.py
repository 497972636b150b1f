"""The sentences of a question, and which of them ask."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imc_agents.language.full_stops import ends_sentence
from imc_agents.language.words import Word

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
        """The whole word lies in it."""
        return self.start <= word.start and word.end <= self.end


def split_sentences(question: str) -> list[Sentence]:
    """The sentences in order; their texts carry no blanks at either end.

    A line that ends in the middle of a sentence goes on in the next: an empty line or a full stop
    ends a sentence, a line's end alone does not, nor does the dot of an abbreviation ("lt.").
    """
    sentences: list[Sentence] = []
    start = 0
    for match in re.finditer(r"[.!?]+(?=\s)|\n[^\S\n]*\n\s*", question):
        if match.group()[0] != "\n" and not ends_sentence(question, match.start()):
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


def stating_spans(sentences: Sequence[Sentence]) -> list[tuple[int, int]]:
    """Places of the sentences that do not ask, where another does; else none."""
    asks = any(sentence.asks for sentence in sentences)
    return [(sentence.start, sentence.end) for sentence in sentences if asks and not sentence.asks]


def asking_spans(sentences: Sequence[Sentence]) -> list[tuple[int, int]]:
    """Places of the sentences that ask."""
    return [(sentence.start, sentence.end) for sentence in sentences if sentence.asks]
