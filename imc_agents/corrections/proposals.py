"""Edits worth weighing: what the words of a question may have been meant as, likeliest first."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from imc_agents.corrections.correction_candidates import (
    CorrectionCandidate,
    correction_candidates,
    joint_candidates,
    word_class,
)
from imc_agents.corrections.edit_log_odds import places_after
from imc_agents.corrections.readings import readable
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.sentences import split_sentences, stating_spans
from imc_agents.language.words import (
    Word,
    is_abbreviation,
    is_shorthand,
    like_case,
    may_be_judged,
    words_of,
)
from imc_agents.policy import Policy
from imc_agents.safeguards.protected import ProtectedTable, find_protected
from imc_agents.state import Candidate, Edit

__all__ = [
    "apply_edits",
    "candidate_of",
    "proposed",
    "word_edits",
]

SUGGESTIONS_PER_WORD = 5
REMEMBERED = 256
"""Questions whose edits are kept: the coordinator and every round of the corrector ask for them."""


def word_edits(
    question: str,
    lexicon: LexiconLike,
    policy: Policy,
    protected: ProtectedTable | None = None,
    *,
    limit: int,
    without: Collection[tuple[int, int]] = (),
    focus: Sequence[tuple[int, int]] = (),
) -> list[Edit]:
    """Edits of one place each that are worth scoring, the likeliest first, at most `limit`.

    `without` holds (start, end) of places to leave alone. Words within the spans of `focus` go
    before all others. `protected` None: the shipped protected words.
    """
    ordered = list(proposed(question, lexicon, policy, protected))
    if focus:
        ordered.sort(key=lambda edit: not any(a <= edit.start < b for a, b in focus))
    return [
        edit
        for edit in ordered
        if not any(start < edit.end and edit.start < end for start, end in without)
    ][:limit]


@lru_cache(REMEMBERED)
def proposed(
    question: str, lexicon: LexiconLike, policy: Policy, protected: ProtectedTable | None = None
) -> tuple[Edit, ...]:
    """All edits of a question, worked out once: unknown words and pairs of words come first, each
    with its likeliest candidates in turn; then known words that a far commoner word resembles or
    sounds like.

    A protected word may not change, so nothing is proposed for it. Nor for a known word of a
    sentence that does not ask, where another does: the model knows questions, not notes.
    """
    stated = stating_spans(split_sentences(question))
    unknown: list[list[Edit]] = []
    known: list[tuple[float, Edit]] = []
    kept = [
        (token.start, token.end)
        for token in find_protected(question, protected)
        if not token.is_prefix
    ]
    words = [
        word
        for word in words_of(question)
        if may_be_judged(word)
        and not (word.text.endswith("o") and question[word.end : word.end + 1] == "-")  # "aorto-"
        and not any(start < word.end and word.start < end for start, end in kept)
    ]
    for word in words:
        kind = word_class(word.text, lexicon)
        if kind != "out_of_lexicon" and (is_abbreviation(word.text) or word.begins_within(stated)):
            continue
        candidates = correction_candidates(word.text, kind, lexicon, policy)
        scored = _edits(word, readable(candidates, question, word), lexicon)
        if kind == "out_of_lexicon":
            unknown.append([edit for _, edit in scored])
        else:
            known += scored
    for first, second in pairwise(words):
        gap = question[first.end : second.start]
        if gap == " " and not first.begins_within(stated):
            phrase = Word(first.start, second.end, f"{first.text} {second.text}", first.begins)
            joint = joint_candidates(first.text, second.text, lexicon, policy)
            if _are_apart(first, second):  # "the SEM", "the rv": not "these", "there"
                whole = (first.text + second.text).lower()
                joint = [one for one in joint if one.word == whole]
            unknown.append([edit for _, edit in _edits(phrase, joint, lexicon)])
    known.sort(key=_prior, reverse=True)
    return (*_in_turn(unknown), *(edit for _, edit in known))


def _are_apart(first: Word, second: Word) -> bool:
    """One of two words is an abbreviation, or the first is "the": they are no one word misheard."""
    alike = is_abbreviation(first.text) == is_abbreviation(second.text)
    short = is_shorthand(first.text) or is_shorthand(second.text)
    return not alike or short or first.text.lower() == "the"


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


def before_edits(later: Iterable[Edit], made: Sequence[Edit]) -> list[Edit]:
    """Edits of a text to which others have led, at their places in the original.

    Args:
        later: edits of the text after `made`.
        made: non-overlapping edits of the original, in order of position.

    Returns:
        Those of `later` that no edit of `made` touches.
    """
    places = places_after(made)
    shifts = [
        (end, (end - start) - (edit.end - edit.start))
        for edit, (start, end) in zip(made, places, strict=True)
    ]
    found = []
    for edit in later:
        if any(start < edit.end and edit.start < end for start, end in places):
            continue
        shift = sum(by for end, by in shifts if end <= edit.start)
        moved = {"start": edit.start - shift, "end": edit.end - shift}
        found.append(edit.model_copy(update=moved))
    return found


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
