"""Words of a text with their places, in any script, and the choice of which to corrupt."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

import numpy as np

# A script written without spaces (Thai, kana, Han, Hangul syllables) counts each character a word.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_LINKS = ".,:/-"
_JOINERS = "'’\u200c\u200d"


@dataclass(frozen=True)
class Word:
    """A run of letters and digits: `text` is what lies at [start, end)."""

    start: int
    end: int
    text: str


def words_of(text: str) -> list[Word]:
    """The words of `text` in order: letters and digits with their combining marks.

    Apostrophes and joiners count inside a word; punctuation, spaces and emoji belong to none.
    """
    kinds = [unicodedata.category(letter)[0] for letter in text]
    words = []
    at = 0
    while at < len(text):
        start = at
        if kinds[start] in "LN":
            alone = _UNSPACED.match(text[start]) is not None
            at += 1
            while at < len(text) and (kinds[at] == "M" or not alone and _goes_on(text, kinds, at)):
                at += 1
            words.append(Word(start, at, text[start:at]))
        else:
            at += 1
    return words


def units_of(text: str) -> list[Word]:
    """The words of `text`, those written together as one ("1.5", "120/80", "x-ray", "w/o")."""
    units: list[Word] = []
    for word in words_of(text):
        between = text[units[-1].end : word.start] if units else ""
        if len(between) == 1 and between in _LINKS:
            start = units.pop().start
            units.append(Word(start, word.end, text[start : word.end]))
        else:
            units.append(word)
    return units


def _goes_on(text: str, kinds: list[str], at: int) -> bool:
    """Whether the character at `at` carries on a word begun before it."""
    if text[at] in _JOINERS:
        return at + 1 < len(text) and kinds[at + 1] == "L"
    return kinds[at] in "LN" and _UNSPACED.match(text[at]) is None


def share(rates: tuple[float, ...], severity: float) -> float:
    """The rate at `severity` 1..5, linear between the five `rates`."""
    return float(np.interp(severity, range(1, 6), rates))


def how_many(rate: float, total: int) -> int:
    """How many of `total` a rate corrupts: at least one, where there is one."""
    return min(total, max(1, math.floor(rate * total + 0.5)))


def replaced(text: str, edits: dict[Word, str]) -> str:
    """`text` with each word of `edits` (which do not overlap) exchanged for its new spelling."""
    for word in sorted(edits, key=lambda edited: edited.start, reverse=True):
        text = text[: word.start] + edits[word] + text[word.end :]
    return text


def cased_like(new: str, old: str) -> str:
    """`new` in the case of `old`: CAPITALS, Capitalised or as it is."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    if old[:1].isupper():
        return new[:1].upper() + new[1:]
    return new
