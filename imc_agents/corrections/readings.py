"""Which readings of a word make no English among its neighbours, or another question of it.

A model weighs words by what it has met; of short function words it is easily wrong where a note or
an abbreviation stands ("is there rv strain", "the ls"). What grammar rules out is not weighed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from imc_agents.corrections.correction_candidates import CorrectionCandidate
from imc_agents.language.english import FUNCTION_WORDS
from imc_agents.language.words import Word

UNREACHABLE = 1000.0
"""Nats that no edit gains: a candidate that may not be chosen, but competes with the others."""

_ARTICLES = frozenset(("the", "a", "an"))
_NO_NOUN = FUNCTION_WORDS - frozenset("above below few more most only other own same very".split())
"""What never follows an article."""
_MANY = frozenset("a an any no not too some such all both".split())
_NOT_THERE = (_NO_NOUN | {"per", "re"}) - _MANY
"""What never follows "is there"."""
_PREPOSITIONS = frozenset("at for from in of on to with within".split())
_NEVER_LAST = frozenset("a an and at by for from its of or than the their to with your".split())
"""What no question ends with."""
_LETTERS = frozenset("bcdefghijklmnopqrstuvwxyz")
"""Single letters are names ("L", "T"), never what was meant by something longer."""

_LAST_WORD = re.compile(r"(?<![\w-])([a-z]+)\s+$", re.I)
_NEXT_WORD = re.compile(r"\s+([a-z]+)(?![\w-])", re.I)
_DETERMINED = re.compile(r"\b(?:an?|the|no|every)\s+$", re.I)
_ANY = re.compile(r"\bany\s+$", re.I)
_POINTED = re.compile(r"\b(?:there|this|that|these|those)\s+$", re.I)
_IS_THERE = re.compile(r"\b(?:is|are|was|were)\s+there\s+$", re.I)
_BE = re.compile(r"(?:is|are|was|were)\s+$", re.I)
_WHICH = re.compile(r"\b(?:what|where|which|who|whose|how|when|why)\s+(?:\w+\s+)?$", re.I)
_ONE_NOUN = re.compile(r"\s+[\w-]+\s*\?")
_NUMBER = re.compile(r"\s+\d")
_NOT_OWNED = re.compile(r"\s+(?:there|this|that|these|those|the|an?|it|any)\b", re.I)
"""What does not follow "his"."""


def readable(
    candidates: Sequence[CorrectionCandidate], question: str, word: Word
) -> list[CorrectionCandidate]:
    """The candidates for a word without those that can be no reading among its neighbours.

    Of "are the 7 lesions" and "are there 7 lesions" either is, and they ask different things: "the"
    is never put in there, but competes. So does a single letter.
    """
    before, after = question[: word.start], question[word.end :]
    never = _unreadable(word, before, after)
    competing = set(_LETTERS) if len(word.text) > 1 else set()
    if _BE.search(before) and _NUMBER.match(after):
        competing.add("the")
    return [
        replace(one, margin=UNREACHABLE) if one.word in competing else one
        for one in candidates
        if one.word not in never
    ]


def _unreadable(word: Word, before: str, after: str) -> set[str]:
    """Words, lower case, that cannot stand in the place of one."""
    last, following = _LAST_WORD.search(before), _NEXT_WORD.match(after)
    never = {match[1].lower() for match in (last, following) if match}  # "it it"
    if word.text.lower() == "his" and not _NOT_OWNED.match(after):  # "his lung", not "is lung"
        never.update(("is", "as", "has"))
    if _DETERMINED.search(before):  # "the is"
        never |= _NO_NOUN
    elif _ANY.search(before):  # "any will", but "any of"
        never |= _NO_NOUN - _PREPOSITIONS
    elif _POINTED.search(before):  # "this the", but "this a"
        never.update(("the", "there"))
    if _IS_THERE.search(before):  # "is there of"
        never |= _NOT_THERE
    if following and following[1].lower() in _NO_NOUN:  # "the on insulin", "a on this image"
        never |= _ARTICLES
    if not after.strip(" ?.!"):
        never |= _NEVER_LAST
    be = _BE.search(before)
    if be and _ONE_NOUN.match(after) and not _WHICH.search(before[: be.start()]):
        never.add("the")  # "is the LVH?" asks nothing, "is there LVH?" and "where is the LVH?" do
    return never
