"""Which dots end a sentence: the one after an abbreviation ("lt.", "q.d.", "approx.") does not.

A dot that wrongly ends a sentence lets a piece of the question be cut off; one that wrongly does
not leaves two sentences as one, and what holds a question is never cut. In doubt it does not.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import lru_cache

from imc_agents.language.lexicon import known_words

ABBREVIATIONS = frozenset(
    # sides, directions, places
    "lt rt bil bilat unilat ant post lat med sup inf prox dist int ext cent periph mid transv obl "
    "asc desc horiz vert sag cor ax jct "
    # people, notes, comparison
    "dr drs mr mrs ms prof st jr sr pt pts fig figs no nos vol ed eds et al etc cf viz resp ca "
    "vs eg ie approx incl excl esp dept hosp tel est max avg temp wt ht amt qty "
    # history, findings, measures
    "hx dx ddx tx rx sx fx cx bx abd neg pos prev susp poss prob indet undet calcif atten dil "
    "sl mod sev acc diff signif "
    # parts
    "vert lig mus art vv aa nn ven abdom thor cerv lumb sacr metas lesn seg segm".split()
)
"""Written with a dot, lower case; a word that no lexicon holds may be one besides, see below."""

UNITS = frozenset("yr yrs mo mos wk wks hr hrs sec secs min mins mm cm ml mg mcg kg in".split())
"""Written with a dot or without: one that ends a sentence is followed by a capital."""

MET = 1_000_000
"""Count from which a word of no clinical list is met by everyone, so that it may end a sentence."""
SHORTENED = range(3, 11)
"""Letters of the beginning of a longer word that counts as shortened ("hemorrh.")."""

_BEFORE = re.compile(r"[^\s(\[{\"'“‘,;:]+$")
_DOTTED = re.compile(r"(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}")
_LETTERS = re.compile(r"[^\W\d_]+$")
_VOWEL = re.compile("[aeiouy]")


def is_abbreviated(word: str) -> bool:
    """A word, or what precedes a dot, is abbreviated: "lt", "q.d", "B", "calcif"."""
    if _DOTTED.fullmatch(word):
        return True
    tail = _LETTERS.search(word)
    if tail is None or word[: tail.start()].endswith("°"):  # "39.2 °C."
        return False
    plain = tail.group().lower()
    return len(plain) == 1 or plain in ABBREVIATIONS or _looks_shortened(plain)


@lru_cache(maxsize=4096)
def _looks_shortened(plain: str) -> bool:
    """Hardly a word, and without a vowel or the beginning of one that everyone has met."""
    lexicon = known_words()
    if plain in lexicon.clinical or lexicon.frequency(plain) >= MET:
        return False
    if not _VOWEL.search(plain):
        return True
    words = _met_words()
    at = bisect_left(words, plain)
    return len(plain) in SHORTENED and at < len(words) and words[at].startswith(plain)


@lru_cache(maxsize=1)
def _met_words() -> list[str]:
    lexicon = known_words()
    return sorted(word for word in lexicon if lexicon.frequency(word) >= MET)


def ends_sentence(text: str, at: int) -> bool:
    """The run of ".", "!" and "?" that begins at `at` ends a sentence.

    Args:
        text: the whole text.
        at: place of the run's first character.
    """
    rest = text[at:]
    run = rest[: len(rest) - len(rest.lstrip(".!?"))]
    if run != ".":
        return True
    before = _BEFORE.search(text[:at])
    if before is None:
        return True
    word = before.group()
    after = rest[1:].lstrip()
    if word[-1].isdecimal() or word.lower() in UNITS:  # "no. 4. left", "40 yrs. old"
        return not (after[:1].islower() or after[:1].isdecimal())
    return not is_abbreviated(word)
