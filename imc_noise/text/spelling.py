"""Noise inside words: fingers on a keyboard (typo), a scanner's reading of shapes (ocr)."""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np

from imc_noise.data_files import read_table
from imc_noise.text.words import how_many, replaced, share, words_of

RATES = (0.10, 0.20, 0.30, 0.45, 0.60)
"""Share of the words that are hit at severity 1..5 (at least one word)."""

SLIPS = ("neighbour", "transpose", "omit", "double")
SLIP_SHARES = (0.45, 0.20, 0.20, 0.15)
"""How often each slip happens: substitutions lead in studies of typing errors."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_STAGGER = (0.0, 0.25, 0.75)
"""How far right of the row above a QWERTY row starts, in keys."""


def typo(text: str, severity: float, rng: np.random.Generator) -> str:
    """Keyboard slips in a share of the words: QWERTY neighbour, transposition, omission, doubling.

    One slip a word. Words without a letter (numbers) are left alone, as are digits and combining
    marks inside others; letters off the QWERTY keyboard are transposed, dropped or doubled. A
    single letter is never dropped.
    """
    slips = {}
    for word in words_of(text):
        places = letters_of(word.text)
        if places:
            slips[word] = _slip(word.text, places, rng)
    order = rng.permutation(len(slips))
    count = how_many(share(RATES, severity), len(slips))
    hit = list(slips)
    return replaced(text, {hit[i]: slips[hit[i]] for i in order[:count]})


def ocr(text: str, severity: float, rng: np.random.Generator) -> str:
    """Look-alike shapes (`data/ocr_confusions.tsv`: rn/m, l/1, O/0, cl/d ...) in a share of words.

    One confusion a word, among the words that hold a confusable shape; digits are shapes like any
    other, so a number may change. A text without such a shape comes back as it was.
    """
    misread = {}
    for word in words_of(text):
        sites = [
            (place, shape, read)
            for shape, read in _confusions()
            for place in range(len(word.text))
            if word.text.startswith(shape, place)
        ]
        if sites:
            place, shape, read = sites[int(rng.integers(len(sites)))]
            misread[word] = word.text[:place] + read + word.text[place + len(shape) :]
    order = rng.permutation(len(misread))
    count = how_many(share(RATES, severity), len(misread))
    hit = list(misread)
    return replaced(text, {hit[i]: misread[hit[i]] for i in order[:count]})


def letters_of(word: str) -> list[int]:
    """Places of letters that carry no combining mark."""
    marked = [unicodedata.combining(after) != 0 for after in word[1:]] + [False]
    return [i for i, letter in enumerate(word) if letter.isalpha() and not marked[i]]


def _slip(word: str, places: list[int], rng: np.random.Generator) -> str:
    """`word` with one slip at one of `places`; always another word than it was."""
    kind = SLIPS[int(rng.choice(len(SLIPS), p=SLIP_SHARES))]
    swaps = [i for i in places if i + 1 in places and word[i].lower() != word[i + 1].lower()]
    typed = [i for i in places if word[i].lower() in _neighbours()]
    if kind == "transpose" and swaps:
        at = swaps[int(rng.integers(len(swaps)))]
        swapped = in_case(word[at + 1], word[at]) + in_case(word[at], word[at + 1])
        return word[:at] + swapped + word[at + 2 :]
    if kind == "neighbour" and typed:
        at = typed[int(rng.integers(len(typed)))]
        near = _neighbours()[word[at].lower()]
        return word[:at] + in_case(near[int(rng.integers(len(near)))], word[at]) + word[at + 1 :]
    at = places[int(rng.integers(len(places)))]
    if kind == "omit" and len(word) > 1:
        return word[:at] + word[at + 1 :]
    return word[: at + 1] + in_case(word[at], word[at].lower()) + word[at + 1 :]


def in_case(letter: str, model: str) -> str:
    """`letter` in the case of `model`; a letter whose case is no single character stays."""
    turned = letter.upper() if model.isupper() else letter.lower()
    return turned if len(turned) == 1 else letter


@cache
def _neighbours() -> dict[str, str]:
    """Keys that touch each letter's key on a staggered QWERTY keyboard."""
    keys = {
        letter: (column + _STAGGER[row], row)
        for row, letters in enumerate(_ROWS)
        for column, letter in enumerate(letters)
    }
    return {
        letter: "".join(
            other
            for other, (x, y) in keys.items()
            if other != letter and abs(x - at[0]) <= 1.0 and abs(y - at[1]) <= 1
        )
        for letter, at in keys.items()
    }


@cache
def _confusions() -> tuple[tuple[str, str], ...]:
    """(printed shape, what is read) pairs."""
    return tuple((row[0], row[1]) for row in read_table("ocr_confusions.tsv"))
