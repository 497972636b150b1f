"""Protected tokens: what a repair of a question may never add, drop, change or reorder.

The tables are data (``data/protected.yaml``), for English. A hospital extends them with a file
of the same form. The check knows nothing of a model: it has the last word over every agent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path

from imc_agents.language.lexicon import Lexicon, known_words
from imc_agents.language.noisy_channel import slip
from imc_agents.language.sentences import split_sentences
from imc_agents.language.word_distance import edit_distance
from imc_agents.safeguards.protected_table import ProtectedToken, Table, read_table

__all__ = [
    "ProtectedToken",
    "find_protected",
    "load_protected",
    "protected_tokens",
    "protected_violations",
]

OPTION = "option"
"""The category of answers to choose from: none of them is beside the question."""

SHORT = 4
"""Up to this many letters a mended word may be one edit away, above it two: two edits turn most
four-letter words into most others."""

CLEAR = 0.99
"""Nats by which a protected word must be likelier misspelt so than another one: the slips of one
named mechanism and of another differ by .4, one slip and two by 2.6 or more."""
CLEAR_OF_COMMON = 0.39
"""The same over a common word: letters that changed places ("adn" for "and") are clear of a letter
too many ("an"), two slips of one cost are not."""

EVERYDAY, OBSCURE = 30_000_000, 300_000
"""Counts from which a word of no clinical list is met every day, and below which hardly ever."""
OUTNUMBERED = 20
"""Times as often as a rarer word the protected one must be met to be meant of the two."""

FEWEST_WORDS = 3
"""Words of a sentence that may be left out: less ("No", "- Yes", "L2.") is an answer or a label."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]+)*")


@lru_cache(maxsize=8)
def load_protected(*own: Path) -> Table:
    """The shipped tables with a hospital's own files merged in; read once.

    Raises:
        ValueError: a file that is missing, no YAML or not of the documented form.
    """
    return read_table(own)


def find_protected(text: str, table: Table | None = None) -> list[ProtectedToken]:
    """Every protected token of a text in order, with its span in characters."""
    return (table or load_protected()).find(text)


def protected_tokens(text: str, table: Table | None = None) -> Counter[tuple[str, str]]:
    """How often each ``(category, normal form)`` stands in a text."""
    return Counter((token.category, token.normal) for token in find_protected(text, table))


def protected_violations(
    original: str,
    candidate: str,
    *,
    table: Table | None = None,
    words: Container[str] | None = None,
    repairs: bool = True,
    irrelevant: Sequence[tuple[int, int]] = (),
) -> list[str]:
    """Why a candidate may not replace the original; an empty list says that it may.

    Every token counts in both directions and in its order: added, dropped, changed, repeated or
    swapped is a violation. Two spellings of one form ("2" and "two", "isn't" and "is not") are
    the same token.

    One narrow exception, for repairable categories only (never numbers, units, negation or
    option letters): a token may be added where it replaces, at the same place, something that
    is no word at all and from which nothing else that may have been meant is about as near: no
    other protected word of any category, no common word, no rarer one that is nearer. So "lefft"
    becomes "left", while "lift", a word, does not, nor "hyerdense" or "botom" for "both", which
    could be two things.

    Args:
        original: the question as it came.
        candidate: what would be used in its place.
        table: another protected table than the shipped one.
        words: what counts as a word for the exception; None is the shipped lexicon.
        repairs: False switches the exception off.
        irrelevant: spans of ``original`` that the candidate removes as irrelevant. Each must be
            one or more whole sentences and leave a question behind; tokens in them are not
            counted as dropped. None where there are answers to choose from.

    Returns:
        One short reason per violation. They quote protected words only, never other text.
    """
    table = table or load_protected()
    left_out = [span for span in irrelevant if _whole_sentences(original, span)]
    if len(left_out) != len(irrelevant):
        return ["a removed span is not a whole sentence"]
    found = table.find(original)
    if left_out and any(token.category == OPTION for token in found):
        return ["what may be an answer to choose from is left out"]
    before = [
        token
        for token in found
        if not any(start <= token.start and token.end <= end for start, end in left_out)
    ]
    after = table.find(candidate)
    if repairs and [t.key for t in before] != [t.key for t in after]:
        mended = _mended(original, candidate, before, after, table, words)
        after = [token for token in after if token not in mended]
    return _differences(before, after)


def _differences(before: list[ProtectedToken], after: list[ProtectedToken]) -> list[str]:
    had, has = Counter(t.key for t in before), Counter(t.key for t in after)
    dropped, added = had - has, has - had
    reasons = []
    for (category, normal), times in sorted(dropped.items()):
        new = next((k for k in sorted(added) if k[0] == category), None)
        if new is not None:
            reasons.append(f"{category} changed: {normal} to {new[1]}")
            added -= Counter({new: 1})
            times -= 1
        if times:
            reasons.append(f"{category} dropped: {normal}")
    reasons += [f"{category} added: {normal}" for category, normal in sorted(added)]
    if not reasons and [t.key for t in before] != [t.key for t in after]:
        reasons.append("protected words changed their order")
    return reasons


def _mended(
    original: str,
    candidate: str,
    before: list[ProtectedToken],
    after: list[ProtectedToken],
    table: Table,
    words: Container[str] | None,
) -> set[ProtectedToken]:
    """Tokens of the candidate that fall under the exception."""
    place = _places(original, candidate)
    # A prefix is compared by itself: "posteriro" keeps its "post" while its end is mended.
    taken = [(token.start, token.end) for token in before if not token.is_prefix]
    kept = {(token.whole, token.normal) for token in before if token.is_prefix}
    known = known_words() if words is None else words
    mended = set()
    for token in after:
        category = table.categories[token.category]
        source = place.get(token.whole)
        if source is None or not category.repairable:
            continue
        if any(start < source[1] and source[0] < end for start, end in taken):
            continue
        if token.is_prefix and (source, token.normal) in kept:
            continue
        broken = original[source[0] : source[1]].lower()
        target = candidate[token.whole[0] : token.whole[1]].lower()
        if broken not in known and _only_neighbour(broken, target, token, table, known):
            mended.add(token)
    return mended


def _only_neighbour(
    broken: str, target: str, token: ProtectedToken, table: Table, known: Container[str]
) -> bool:
    """Nothing else that may have been meant is about as near as the protected word."""
    most = 1 if len(target) <= SHORT else 2
    near = edit_distance(broken, target, most)
    if near > most or len(broken) < 2 or len(target) < 3:
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
    if any(edit_distance(broken, rival, near) <= near for rival in alike):
        return False
    lexicon = known if isinstance(known, Lexicon) else known_words()
    others = (one.word.lower() for one in lexicon.suggest(broken, 2, limit=None))
    return not any(_is_competing_reading(other, target, broken, table, lexicon) for other in others)


def _is_competing_reading(
    other: str, target: str, broken: str, table: Table, lexicon: Lexicon
) -> bool:
    """Another word could have been misspelt so about as well as the protected one."""
    lead = slip(other, broken).cost - slip(target, broken).cost
    if lead > CLEAR or _meaning(other, table) == _meaning(target, table):
        return False
    if _meaning(other, table):
        return True
    count = lexicon.frequency(other)
    if count >= EVERYDAY or other in lexicon.clinical:
        return lead <= CLEAR_OF_COMMON
    as_likely = lead < 0.0 or OUTNUMBERED * count >= lexicon.frequency(target)
    return count >= OBSCURE and lead <= 0.0 and as_likely


@lru_cache(maxsize=65536)
def _meaning(word: str, table: Table) -> frozenset[tuple[str, str]]:
    """The protected tokens in one word; most words have none."""
    return frozenset(token.key for token in table.find(word))


def _places(original: str, candidate: str) -> dict[tuple[int, int], tuple[int, int]]:
    """Span of each replaced word of the candidate to the span it replaces, one word by one."""
    old, new = list(_WORD.finditer(original)), list(_WORD.finditer(candidate))
    matcher = SequenceMatcher(
        None, [m[0].lower() for m in old], [m[0].lower() for m in new], autojunk=False
    )
    return {
        new[b].span(): old[a].span()
        for kind, a0, a1, b0, b1 in matcher.get_opcodes()
        if kind == "replace" and a1 - a0 == b1 - b0
        for a, b in zip(range(a0, a1), range(b0, b1), strict=True)
    }


def _whole_sentences(text: str, span: tuple[int, int]) -> bool:
    """True when the span begins and ends with sentences and is not all there is."""
    start, end = span
    if not 0 <= start < end <= len(text):
        return False
    core = text[start:end]
    if len(_WORD.findall(core)) < FEWEST_WORDS:
        return False
    start += len(core) - len(core.lstrip())
    end -= len(core) - len(core.rstrip())
    sentences = [(sentence.start, sentence.end) for sentence in split_sentences(text)]
    starts, ends = {s for s, _ in sentences}, {e for _, e in sentences}
    rest = text[:start] + text[end:]
    return start in starts and end in ends and any(c.isalpha() for c in rest)
