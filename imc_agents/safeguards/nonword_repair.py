"""The one exception to protection: a non-word that can only have been one protected word.

A protected token of a repairable category may be added where it replaces, at the same place,
something that is no word at all and from which nothing else that may have been meant is about as
near: no other protected word of any category, no common word, no rarer one that is nearer. So
"lefft" becomes "left", while "lift", a word, does not, nor "hyerdense" or "botom" for "both", which
could be two things.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from difflib import SequenceMatcher
from functools import lru_cache

from imc_agents.language.lexicon import Lexicon, known_words
from imc_agents.language.misspellings import misspells
from imc_agents.language.noisy_channel import slip
from imc_agents.language.vocabulary import EVERYDAY, OBSCURE
from imc_agents.language.word_distance import edit_distance
from imc_agents.language.words import WORD
from imc_agents.safeguards.protected_table import ProtectedTable, ProtectedToken

SHORT = 4
"""Up to this many letters a repaired word may be one edit away, above it two: two edits turn most
four-letter words into most others."""

CLEAR = 0.99
"""Nats by which a protected word must be likelier misspelt so than another one: the slips of one
named mechanism and of another differ by .4, one slip and two by 2.6 or more."""
CLEAR_OF_COMMON = 0.39
"""The same over a common word: letters that changed places ("adn" for "and") are clear of a letter
too many ("an"), two slips of one cost are not."""

OUTNUMBERED = 20
"""Times as often as a rarer word the protected one must be met to be meant of the two."""


def repaired_tokens(
    original: str,
    candidate: str,
    before: list[ProtectedToken],
    after: list[ProtectedToken],
    table: ProtectedTable,
    words: Container[str] | None,
) -> set[ProtectedToken]:
    """Tokens of the candidate that a non-word of the original may be repaired to.

    Args:
        original: the question as it came.
        candidate: what would be used in its place.
        before: protected tokens of the original.
        after: those of the candidate.
        table: where they come from.
        words: what counts as a word; None is the shipped lexicon.
    """
    place = _places(original, candidate)
    # A prefix is compared by itself: "posteriro" keeps its "post" while its end is repaired.
    taken = [(token.start, token.end) for token in before if not token.is_prefix]
    kept = {(token.whole, token.normal) for token in before if token.is_prefix}
    known = known_words() if words is None else words
    repaired = set()
    for token in after:
        category = table.categories[token.category]
        source = place.get(token.whole)
        if source is None or not category.repairable:
            continue
        if any(start < source[1] and source[0] < end for start, end in taken):
            continue
        if token.is_prefix and (source, token.normal) in kept:
            continue
        written = original[source[0] : source[1]].lower()
        target = candidate[token.whole[0] : token.whole[1]].lower()
        if written not in known and _only_neighbour(written, target, token, table, known):
            repaired.add(token)
    return repaired


def _only_neighbour(
    written: str, target: str, token: ProtectedToken, table: ProtectedTable, known: Container[str]
) -> bool:
    """Nothing else that may have been meant is about as near as the protected word."""
    most = 1 if len(target) <= SHORT else 2
    near = edit_distance(written, target, most)
    if near > most or len(written) < 2 or len(target) < 3:
        return False
    category = table.categories[token.category]
    alike: Iterable[str]
    if token.is_prefix:
        rest = target[len(token.normal) :]
        alike = [other + rest for other in category.prefixes if other != token.normal]
    else:
        alike = [
            spelling
            for normal, spellings in category.words.items()
            if normal != token.normal
            for spelling in spellings
        ]
    if any(edit_distance(written, other, near) <= near for other in alike):
        return False
    lexicon = known if isinstance(known, Lexicon) else known_words()
    others = (one.word.lower() for one in lexicon.suggest(written, 2, limit=None))
    return not any(is_competing_reading(other, target, written, table, lexicon) for other in others)


def is_competing_reading(
    other: str, target: str, written: str, table: ProtectedTable, lexicon: Lexicon
) -> bool:
    """Another word could have been misspelt so about as well as the protected one."""
    lead = slip(other, written).cost - slip(target, written).cost
    if misspells(other, target):
        return False
    if lead > CLEAR or _tokens_of(other, table) == _tokens_of(target, table):
        return False
    if _tokens_of(other, table):
        return True
    count = lexicon.frequency(other)
    if count >= EVERYDAY or other in lexicon.clinical:
        return lead <= CLEAR_OF_COMMON
    as_likely = lead < 0.0 or OUTNUMBERED * count >= lexicon.frequency(target)
    return count >= OBSCURE and lead <= 0.0 and as_likely


@lru_cache(maxsize=65536)
def _tokens_of(word: str, table: ProtectedTable) -> frozenset[tuple[str, str]]:
    """The protected tokens in one word; most words have none."""
    return frozenset(token.key for token in table.find(word))


def _places(original: str, candidate: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Span of each replaced word of the candidate to the span it replaces, one word by one."""
    old, new = list(WORD.finditer(original)), list(WORD.finditer(candidate))
    matcher = SequenceMatcher(
        None, [m[0].lower() for m in old], [m[0].lower() for m in new], autojunk=False
    )
    return {
        new[b].span(): old[a].span()
        for kind, a0, a1, b0, b1 in matcher.get_opcodes()
        if kind == "replace" and a1 - a0 == b1 - b0
        for a, b in zip(range(a0, a1), range(b0, b1), strict=True)
    }
