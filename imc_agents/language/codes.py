"""Words of letters and digits: codes that are meant as written, or words with a misread letter.

"4a", "T1a", "M1", "10x", "5F", "S1Q3T3" are codes: the digit carries the meaning. "1eft", "0f" and
"le5ion" are words in which optical character recognition took a letter for a digit.
"""

from __future__ import annotations

import re
from functools import lru_cache

from imc_agents.language.lexicon import known_words
from imc_agents.language.word_distance import CONFUSED

_MISREAD = {
    digit: tuple(other for pair in CONFUSED if digit in pair for other in pair if other.isalpha())
    for digit in "0123456789"
}
"""Letters that each digit is mistaken for."""

_GLUE = frozenset("is it in if of on or to so as us do go".split())
"""Two-letter words that a misread letter leaves recognisable: "0f", "1s", "a5", "t0"."""
_GLUE_DIGITS = frozenset("015")
_STAGE = re.compile(r"[tnmgc]\d[a-d]?|\d[a-dx]", re.I)
_NUMBERED = re.compile(
    r"(?:grade|stage|type|class|level|zone|segment|station|category|phase|group|part)s?\d", re.I
)
ABBREVIATED = 5
"""Letters of the longest abbreviation, FLAIR among them."""
_ENDS = re.compile(r"\d?(\D+)\d?")


def is_code(word: str, *, begins: bool = False) -> bool:
    """A word that mixes letters and digits and is meant as it is written.

    Args:
        word: one word, in any case.
        begins: it is the first of its sentence, where a capital may belong to a misread word.
    """
    digits = sum(character.isdecimal() for character in word)
    letters = sum(character.isalpha() for character in word)
    if not digits or not letters:
        return False
    if digits > 1 or not word.isascii():
        return True
    capitals = word.upper() == word
    if not capitals and word not in (word.lower(), word.capitalize()):  # "HbA1c", "SpO2"
        return True
    if _NUMBERED.fullmatch(word) or (capitals and letters <= ABBREVIATED and not begins):
        return True
    if len(word) <= 3 and _STAGE.fullmatch(word):
        return capitals or not _is_glue(word)
    if len(word) == 2:
        return not _is_glue(word)
    if any(reading in known_words() for reading in _readings(word.lower())):
        return False
    ends = _ENDS.fullmatch(word)
    whole_word = ends is not None and letters >= 4 and ends.group(1) in known_words()
    return whole_word or letters < 4


@lru_cache(maxsize=4096)
def _readings(plain: str) -> tuple[str, ...]:
    """The word with its one digit read as each letter that looks like it."""
    at = next(place for place, character in enumerate(plain) if character.isdecimal())
    return tuple(plain[:at] + letter + plain[at + 1 :] for letter in _MISREAD[plain[at]])


def _is_glue(word: str) -> bool:
    plain = word.lower()
    misread = any(character in _GLUE_DIGITS for character in plain)
    return len(plain) == 2 and misread and any(one in _GLUE for one in _readings(plain))
