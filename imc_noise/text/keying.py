"""Noise of writing in haste: transpose, word_swap, repetition, case_punctuation, abbreviation."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from imc_noise.data_files import read_table
from imc_noise.text.spelling import RATES, in_case, letters_of
from imc_noise.text.words import Word, cased_like, how_many, replaced, share, units_of, words_of

SWAP_RATES = (0.10, 0.30, 0.50, 0.75, 1.0)
"""Share of the pairs of neighbouring words that change places at severity 1..5."""

REPEAT_RATES = (0.10, 0.20, 0.30, 0.45, 0.60)
"""Share of the words written again at severity 1..5."""

CASE_RATES = (0.15, 0.30, 0.50, 0.75, 1.0)
"""Share of words and punctuation marks treated carelessly at severity 1..5."""

ABBREVIATION_RATES = (0.15, 0.30, 0.50, 0.75, 1.0)
"""Share of what can be abbreviated that is, at severity 1..5."""

MARKS = ".,;:?!'’\"()-"
SHORTEST_CUT = 5
"""Letters from which a word is long enough to lose its vowels."""


def transpose(text: str, severity: float, rng: np.random.Generator) -> str:
    """Two neighbouring letters of a word change places, in a share of the words (`RATES`).

    One exchange a word, of letters that differ; capitals stay where they were. Digits and combining
    marks stay. A text without such a word comes back as it was.
    """
    turned = {}
    for word in words_of(text):
        places = letters_of(word.text)
        pairs = [
            i
            for i in places
            if i + 1 in places and word.text[i].lower() != word.text[i + 1].lower()
        ]
        if pairs:
            at = pairs[int(rng.integers(len(pairs)))]
            first, second = word.text[at], word.text[at + 1]
            middle = in_case(second, first) + in_case(first, second)
            swapped = word.text[:at] + middle + word.text[at + 2 :]
            if swapped != word.text:  # letters whose other case is no single character
                turned[word] = swapped
    return _some(text, turned, share(RATES, severity), rng)


def word_swap(text: str, severity: float, rng: np.random.Generator) -> str:
    """Neighbouring words change places, in a share of the text's pairs of words.

    Pairs do not overlap; punctuation stays, and a capital at the start is handed on. What is said
    may change with the order ("mass above the kidney").
    """
    words = units_of(text)
    first = int(rng.integers(2)) if len(words) > 2 else 0
    pairs = [
        (one, other)
        for one, other in zip(words[first::2], words[first + 1 :: 2], strict=False)
        if one.text.lower() != other.text.lower()
    ]
    order = rng.permutation(len(pairs))
    edits: dict[Word, str] = {}
    for i in order[: how_many(share(SWAP_RATES, severity), len(pairs))]:
        one, other = pairs[i]
        opens = one is words[0] and one.text[:1].isupper() and one.text[1:].islower()
        edits[one] = cased_like(other.text, one.text) if opens else other.text
        edits[other] = one.text.lower() if opens and other.text.islower() else one.text
    return replaced(text, edits)


def repetition(text: str, severity: float, rng: np.random.Generator) -> str:
    """Words stuttered, pasted or dictated twice: a share of them stands again right behind."""
    twice = {word: f"{word.text} {_inside(word.text)}" for word in units_of(text)}
    return _some(text, twice, share(REPEAT_RATES, severity), rng)


def case_punctuation(text: str, severity: float, rng: np.random.Generator) -> str:
    """Careless keys: words in the wrong case, punctuation left out or doubled.

    Marks inside a number ("1.5", "120/80") are left alone. A text in a script without case and
    without marks comes back as it was.
    """
    edits: dict[Word, str] = {}
    for word in words_of(text):
        others = [
            other
            for other in (word.text.lower(), word.text.upper(), word.text.swapcase())
            if other != word.text
        ]
        if others:
            edits[word] = others[int(rng.integers(len(others)))]
    within = [(word.start, word.end) for word in edits]
    for at, mark in enumerate(text):
        in_number = text[at - 1 : at].isdigit() and text[at + 1 : at + 2].isdigit()
        if mark in MARKS and not in_number and not any(s <= at < e for s, e in within):
            edits[Word(at, at + 1, mark)] = "" if rng.integers(2) else mark * 2
    corrupted = _some(text, edits, share(CASE_RATES, severity), rng)
    return corrupted if corrupted.strip() else text


def abbreviation(text: str, severity: float, rng: np.random.Generator) -> str:
    """Clinical shorthand (`data/abbreviations.tsv`: with/w/, fracture/fx, patient/pt ...).

    A long word that has none may lose its inner vowels ("mdlty"); a share of both is shortened. A
    text with neither comes back as it was.
    """
    short: dict[Word, str] = {}
    words = words_of(text)
    at = 0
    while at < len(words):
        taken = 1
        for length in range(min(_longest(), len(words) - at), 0, -1):
            start, end = words[at].start, words[at + length - 1].end
            key = re.sub(r"\s+", " ", text[start:end]).lower()
            if key in _shorthand():
                options = _shorthand()[key]
                chosen = options[int(rng.integers(len(options)))]
                span = Word(start, end, text[start:end])
                if chosen != span.text:
                    short[span] = chosen
                taken = length
                break
        else:
            cut = _without_vowels(words[at].text)
            if cut != words[at].text:
                short[words[at]] = cut
        at += taken
    return _some(text, short, share(ABBREVIATION_RATES, severity), rng)


def _inside(word: str) -> str:
    """`word` as it is written inside a sentence: a capital of the first letter alone is dropped."""
    return word.lower() if word[:1].isupper() and word[1:].islower() else word


def _some(text: str, edits: dict[Word, str], rate: float, rng: np.random.Generator) -> str:
    """`text` with a share of `edits` made, at least one; a higher rate makes those of a lower."""
    spans = list(edits)
    order = rng.permutation(len(spans))
    return replaced(text, {spans[i]: edits[spans[i]] for i in order[: how_many(rate, len(spans))]})


def _without_vowels(word: str) -> str:
    if len(word) < SHORTEST_CUT or not word.isascii() or not word.isalpha():
        return word
    return word[0] + re.sub("[aeiouAEIOU]", "", word[1:-1]) + word[-1]


@cache
def _shorthand() -> dict[str, tuple[str, ...]]:
    """Each word or phrase of the table with its short forms."""
    return {row[0]: row[1:] for row in read_table("abbreviations.tsv")}


@cache
def _longest() -> int:
    """Words in the table's longest phrase."""
    return max(len(phrase.split()) for phrase in _shorthand())
