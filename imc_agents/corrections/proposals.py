"""Edits worth weighing: what the words of a question may have been meant as, likeliest first."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from imc_agents.corrections.correction_candidates import (
    CorrectionCandidate,
    another_form,
    correction_candidates,
    joint_candidates,
    word_class,
)
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.words import Word, is_abbreviation, like_case, may_be_judged, words_of
from imc_agents.policy import Policy
from imc_agents.safeguards.protected import find_protected
from imc_agents.state import Candidate, Edit

__all__ = [
    "another_form",
    "apply_edits",
    "candidate_of",
    "proposed",
    "word_class",
    "word_edits",
]

SUGGESTIONS_PER_WORD = 5
REMEMBERED = 256
"""Questions whose edits are kept: the coordinator and every round of the corrector ask for them."""


def word_edits(
    question: str,
    lexicon: LexiconLike,
    policy: Policy,
    *,
    limit: int,
    without: Collection[tuple[int, int]] = (),
    focus: Sequence[tuple[int, int]] = (),
) -> list[Edit]:
    """Edits of one place each that are worth scoring, the likeliest first, at most `limit`.

    `without` holds (start, end) of places to leave alone. Words within the spans of `focus` go
    before all others.
    """
    ordered = list(proposed(question, lexicon, policy))
    if focus:
        ordered.sort(key=lambda edit: not any(a <= edit.start < b for a, b in focus))
    return [
        edit
        for edit in ordered
        if not any(start < edit.end and edit.start < end for start, end in without)
    ][:limit]


@lru_cache(REMEMBERED)
def proposed(question: str, lexicon: LexiconLike, policy: Policy) -> tuple[Edit, ...]:
    """All edits of a question, worked out once: unknown words and pairs of words come first, each
    with its likeliest candidates in turn; then known words that a far commoner word resembles or
    sounds like. A known word that is protected may not change, so nothing is proposed for it.
    """
    unknown: list[list[Edit]] = []
    known: list[tuple[float, Edit]] = []
    kept = [(token.start, token.end) for token in find_protected(question)]
    words = words_of(question)
    for word in words:
        if not may_be_judged(word):
            continue
        kind = word_class(word.text, lexicon)
        if kind != "out_of_lexicon" and is_abbreviation(word.text):
            continue
        scored = _edits(word, correction_candidates(word.text, kind, lexicon, policy), lexicon)
        if kind == "out_of_lexicon":
            unknown.append([edit for _, edit in scored])
        elif not any(start < word.end and word.start < end for start, end in kept):
            known += scored
    for first, second in pairwise(words):
        gap = question[first.end : second.start]
        if gap == " " and may_be_judged(first) and may_be_judged(second):
            phrase = Word(first.start, second.end, f"{first.text} {second.text}", first.begins)
            joint = joint_candidates(first.text, second.text, lexicon, policy)
            unknown.append([edit for _, edit in _edits(phrase, joint, lexicon)])
    known.sort(key=_prior, reverse=True)
    return (*_in_turn(unknown), *(edit for _, edit in known))


def _edits(
    word: Word, meant: Iterable[CorrectionCandidate], lexicon: LexiconLike
) -> list[tuple[float, Edit]]:
    """Edits of one place with their prior (log frequency less cost, in nats), best first."""
    here = math.log(1 + lexicon.frequency(word.text))
    edits = []
    for one in meant:
        edit = Edit(
            start=word.start,
            end=word.end,
            before=word.text,
            after=like_case(one.word, word.text, begins=word.begins),
            kind=one.kind,
            cost=one.cost,
            margin=one.margin,
        )
        rarest = min(math.log(1 + lexicon.frequency(part)) for part in one.word.split())
        edits.append((rarest - here - one.cost, edit))
    return sorted(edits, key=_prior, reverse=True)[:SUGGESTIONS_PER_WORD]


def _prior(scored: tuple[float, Edit]) -> float:
    return scored[0]


def _in_turn(groups: Sequence[Sequence[Edit]]) -> Iterable[Edit]:
    """The first of every group, then the second of every group, and so on."""
    for rank in range(max((len(group) for group in groups), default=0)):
        yield from (group[rank] for group in groups if rank < len(group))


def apply_edits(question: str, edits: Iterable[Edit]) -> str:
    """The question with non-overlapping edits made; their places are those of the original."""
    text = question
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.after + text[edit.end :]
    return text


def candidate_of(
    question: str,
    edits: Sequence[Edit],
    *,
    gain: float,
    source: Literal["lexicon", "generation", "sentences", "asked", "original"] = "lexicon",
) -> Candidate:
    """The candidate those edits lead to; no edits: the original itself."""
    ordered = sorted(edits, key=lambda edit: edit.start)
    heaviest = max(ordered, key=lambda edit: edit.end - edit.start, default=None)
    return Candidate(
        text=apply_edits(question, ordered),
        edits=ordered,
        kind=heaviest.kind if heaviest is not None else "unknown",
        gain=gain,
        source=source if ordered else "original",
    )
