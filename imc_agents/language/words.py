"""The words of a question: their places, which may be judged, and how they are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from imc_agents.language.codes import ABBREVIATED, is_code
from imc_agents.language.full_stops import ABBREVIATIONS, ends_sentence
from imc_agents.language.lexicon import known_words
from imc_agents.language.vocabulary import shorthand


@dataclass(frozen=True)
class Word:
    """One word of a question and its place."""

    start: int
    end: int
    text: str
    begins: bool = False
    """It is the first of its sentence."""
    abbreviated: bool = False
    """A dot that ends no sentence follows it: "lt." is meant as it is written."""
    named: bool = False
    """It stands alone in brackets or quotation marks: "(IFs)" is meant as it is written."""
    repeated: bool = False
    """It is written more than once."""

    def begins_within(self, spans: Iterable[tuple[int, int]]) -> bool:
        """Its first character lies in one of the spans."""
        return any(start <= self.start < end for start, end in spans)


_LETTER = r"[^\W_][\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]*"
"""A letter or digit with the combining marks on it: a decomposed accent parts no word."""
WORD = re.compile(rf"(?:{_LETTER})+(?:['’](?:{_LETTER})+)*")
"""A word: letters and digits, and what follows an apostrophe in it."""
_UNTOUCHABLE = re.compile(
    r"\S*(?:https?:|www\.|@|//)\S*|[\w-]+(?:\.[\w-]+)+/\S*|\w+(?:\.\w+){2,}|`[^`]*`|<[^>]*>|\{[^}]*\}|\S*[_\\=]\S*|\S+\(\S*\)|\w+-\n\s*\w+"
    r"|(?<![\w/])\w{1,2}(?:/\w{1,2})+(?![\w/])|(?<!\w)(?:[^\W\d_]\.){2,}|[+\-−–±]\s?ve(?!\w)",
    re.I,
)
"""Addresses, mail, code and mark-up: a slip in them cannot be distinguished from their own
spelling. Neither can one in short notes: "i/s/o", "b.i.d.", "-ve". A word that a line's end has
parted is no slip either."""


BRIEF = 3
"""Letters up to which an unknown word that stands alone in brackets, or is written twice, is an
abbreviation."""
SHORTHAND_JUDGED = 2
"""Letters of the shorthand that may be a slip of a word that questions are made of."""


def words_of(question: str) -> list[Word]:
    """Words that may be judged, in order: runs of letters and digits outside addresses and code."""
    closed = [match.span() for match in _UNTOUCHABLE.finditer(question)]
    matches = list(WORD.finditer(question))
    times = Counter(match.group().lower() for match in matches)
    return [
        Word(
            match.start(),
            match.end(),
            match.group(),
            begins_sentence(question, match.start()),
            _is_abbreviated(question, match),
            _is_named(question, match),
            times[match.group().lower()] > 1,
        )
        for match in matches
        if not any(start < match.end() and match.start() < end for start, end in closed)
    ]


def begins_sentence(question: str, start: int) -> bool:
    """A word at `start` is the first of its sentence."""
    before = question[:start].rstrip()
    stop = len(before.rstrip(".?!"))
    return stop == 0 or (stop < len(before) and ends_sentence(question, stop))


def _is_abbreviated(question: str, word: re.Match[str]) -> bool:
    after = question[word.end() :]
    if not after.startswith(".") or after.startswith(".."):
        return False
    if not after[1:].strip():  # a question's last dot: only what is always written with one
        return word.group().lower() in ABBREVIATIONS
    return not ends_sentence(question, word.end())


_BRACKETS = frozenset(("()", "[]", "''", '""', "‘’", "“”"))


def _is_named(question: str, word: re.Match[str]) -> bool:
    around = question[max(0, word.start() - 1) : word.start()] + question[word.end() :][:1]
    text = word.group()
    short = len(text) <= BRIEF or (len(text) <= ABBREVIATED and text != text.lower())
    return short and around in _BRACKETS


def is_shorthand(word: str) -> bool:
    """Clinical shorthand, in any case."""
    return word.lower() in shorthand()


def may_be_judged(word: Word) -> bool:
    """Words that may be a corrupted English word: no numbers, abbreviations, other scripts.

    Where a sentence begins, a capital and a digit may be a word of which a letter was misread
    ("I5 there"). Shorthand of two letters is judged, for it is near many of the words that
    questions are made of ("what os the").
    """
    text = word.text
    if word.abbreviated or word.named or is_code(text, begins=word.begins):
        return False
    if is_shorthand(text) and len(text) > SHORTHAND_JUDGED:
        return False
    if word.repeated and len(text) <= BRIEF and text not in known_words():
        return False  # nobody slips twice alike in a word so short: it is an abbreviation
    if not text.isascii() or not any(character.isalpha() for character in text):
        return False
    sure = text.replace("I", "").replace("l", "")  # two that are misread for each other
    if sure.isalpha() and not sure.isupper() and sure[1:] != sure[1:].lower():
        return False  # "hAFS": capitals inside are meant
    return not (text.isalpha() and len(text) <= 2 and is_abbreviation(text))


def is_abbreviation(word: str) -> bool:
    """CT, MRI, FLAIR, T2: capitals say that it is meant as it is written."""
    letters = [character for character in word if character.isalpha()]
    return 0 < len(letters) <= ABBREVIATED and all(character.isupper() for character in letters)


def like_case(word: str, model: str, *, begins: bool = False) -> str:
    """`word` in the case of `model`: capitals, a capital first letter, or unchanged.

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
