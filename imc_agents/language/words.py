"""The words of a question: where they stand, which may be judged, and how they are written."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """One word of a question and its place."""

    start: int
    end: int
    text: str
    begins: bool = False
    """It is the first of its sentence."""


_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_UNTOUCHABLE = re.compile(
    r"\S*(?:https?:|www\.|@|//)\S*|[\w-]+(?:\.[\w-]+)+/\S*|\w+(?:\.\w+){2,}|`[^`]*`|<[^>]*>|\{[^}]*\}|\S*[_\\=]\S*|\S+\(\S*\)|\w+-\n\s*\w+",
    re.I,
)
"""Addresses, mail, code and mark-up: a slip in them cannot be told from their own spelling. A word
that a line's end has parted is no slip either."""


def words_of(question: str) -> list[Word]:
    """Words that may be judged, in order: runs of letters and digits outside addresses and code."""
    closed = [match.span() for match in _UNTOUCHABLE.finditer(question)]
    return [
        Word(match.start(), match.end(), match.group(), _begins(question, match.start()))
        for match in _WORD.finditer(question)
        if not any(start < match.end() and match.start() < end for start, end in closed)
    ]


def _begins(question: str, start: int) -> bool:
    before = question[:start].rstrip()
    return not before or before[-1] in ".?!"


ABBREVIATED = 5
"""Letters of the longest abbreviation, FLAIR among them."""


def may_be_judged(word: Word) -> bool:
    """Words that may be a corrupted English word: no numbers, short abbreviations, other scripts.

    Where a sentence begins, a capital and a digit may be a word of which a letter was misread
    ("I5 there").
    """
    text = word.text
    if not text.isascii() or not any(character.isalpha() for character in text):
        return False
    letters = sum(character.isalpha() for character in text)
    digits = len(text) - letters
    if is_abbreviation(text) and (digits or letters <= 2) and not (digits and word.begins):
        return False
    return digits <= 1 and digits <= letters


def is_abbreviation(word: str) -> bool:
    """CT, MRI, FLAIR, T2: capitals say that it is meant as it stands."""
    letters = [character for character in word if character.isalpha()]
    return 0 < len(letters) <= ABBREVIATED and all(character.isupper() for character in letters)


def like_case(word: str, model: str, *, begins: bool = False) -> str:
    """`word` in the case of `model`: capitals, a capital first letter, or as it stands.

    Where it begins a sentence, a capital may have been read as a digit, or I as l; elsewhere, l
    as I.
    """
    if len(model) > 1 and model.isupper() and (model.isalpha() or not is_abbreviation(model)):
        return word.upper()
    if begins and (model[:1].isdigit() or model[:1] in "l|!" and word[:1] == "i"):
        return word[:1].upper() + word[1:]
    if not begins and model[:1] == "I" and word[:1] == "l":
        return word
    if model[:1].isupper():
        return word[:1].upper() + word[1:]
    return word
