"""Protected tokens: what a repair of a question may never add, drop, change or reorder.

The tables are data (``data/protected.yaml``), for English. A hospital extends them with a file
of the same form. The check knows nothing of a model: it has the last word over every agent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from functools import lru_cache
from pathlib import Path

from imc_agents.language.english import AUXILIARIES
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.sentences import split_sentences
from imc_agents.language.vocabulary import medical_words
from imc_agents.language.words import WORD, may_be_judged, words_of
from imc_agents.safeguards.nonword_repair import repaired_tokens
from imc_agents.safeguards.protected_table import ProtectedTable, ProtectedToken, read_table

__all__ = [
    "ProtectedTable",
    "ProtectedToken",
    "context_of",
    "find_protected",
    "load_protected",
    "protected_tokens",
    "protected_violations",
]

OPTION = "option"
"""The category of answers to choose from: none of them is irrelevant."""

OUTSIDE_THE_CLINIC = frozenset("coffee water bottle glass vaccination".split())
"""Words of the medical list that say nothing of an image by themselves."""

FEWEST_WORDS = 3
"""Words of a sentence that may be left out: less ("No", "- Yes", "L2.") is an answer or a label."""


@lru_cache(maxsize=8)
def load_protected(*own: Path) -> ProtectedTable:
    """The shipped tables with a hospital's own files merged in; read once.

    Raises:
        ProtectedWordsRefused: a file that is missing, no YAML or not of the documented form.
    """
    return read_table(own)


def find_protected(text: str, table: ProtectedTable | None = None) -> list[ProtectedToken]:
    """Every protected token of a text in order, with its span in characters."""
    return (table or load_protected()).find(text)


def context_of(sentence: str, table: ProtectedTable, lexicon: LexiconLike) -> str | None:
    """What makes a sentence context of a question about an image; None: nothing does.

    Context are side, level, negation, number, size, sequence, plane, modality, contrast, age,
    history, findings and earlier studies, and so is every word of radiology and pathology ("The
    oropharynx appears normal."). A misspelt word counts for any word that is one edit away ("lfet
    lung only"). So are fragments: who writes notes ("Hit by a horse.") writes of the case.

    Args:
        sentence: the sentence alone.
        table: the protected words.
        lexicon: the words that may be meant.
    """
    found = table.context_in(sentence)
    if found is not None:
        return found
    for word in words_of(sentence):
        meant = [word.text]
        if may_be_judged(word) and word.text not in lexicon:
            meant += [near.word for near in lexicon.suggest(word.text, 1, limit=None)]
        for one in meant:
            plain = one.lower()
            if plain in medical_words() and plain not in OUTSIDE_THE_CLINIC:
                return plain
            found = table.context_in(one)
            if found is not None:
                return found
    return FRAGMENT if _is_fragment(sentence) else None


FRAGMENT = "a fragment"
"""What makes a fragment context."""
_SUBJECTS = frozenset(
    "a an the this that these those some "
    "i we you he she it they my our your his her its their".split()
)
"""What full sentences begin with."""


def _is_fragment(sentence: str) -> bool:
    """No subject begins it and it has no auxiliary, as in clinicians' notes."""
    words = [word.text.lower().partition("'")[0] for word in words_of(sentence)]
    return bool(words) and words[0] not in _SUBJECTS and AUXILIARIES.isdisjoint(words)


def protected_tokens(text: str, table: ProtectedTable | None = None) -> Counter[tuple[str, str]]:
    """How often each ``(category, normal form)`` occurs in a text."""
    return Counter((token.category, token.normal) for token in find_protected(text, table))


def protected_violations(
    original: str,
    candidate: str,
    *,
    table: ProtectedTable | None = None,
    words: Container[str] | None = None,
    repairs: bool = True,
    irrelevant: Sequence[tuple[int, int]] = (),
) -> list[str]:
    """Why a candidate may not replace the original; an empty list says that it may.

    Every token counts in both directions and in its order: added, dropped, changed, repeated or
    swapped is a violation. Two spellings of one form ("2" and "two", "isn't" and "is not") are
    the same token.

    One narrow exception, for repairable categories only (never numbers, units, negation or
    option letters): a non-word that can only have been one protected word ("lefft" for "left") may
    be repaired to it; see `imc_agents.safeguards.nonword_repair`.

    Args:
        original: the question as it came.
        candidate: what would be used in its place.
        table: another protected table than the shipped one.
        words: what counts as a word for the exception; None is the shipped lexicon.
        repairs: False switches the exception off.
        irrelevant: spans of ``original`` that the candidate removes as irrelevant. Each must be
            one or more whole sentences without context of the image (see `context_of`) and leave a
            question behind. None where there are answers to choose from.

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
    for start, end in left_out:
        context = table.context_in(original[start:end])
        if context is not None:
            return [f"a sentence that holds {context} is left out"]
    before = [
        token
        for token in found
        if not any(start <= token.start and token.end <= end for start, end in left_out)
    ]
    after = table.find(candidate)
    if repairs and [t.key for t in before] != [t.key for t in after]:
        repaired = repaired_tokens(original, candidate, before, after, table, words)
        after = [token for token in after if token not in repaired]
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


def _whole_sentences(text: str, span: tuple[int, int]) -> bool:
    """True when the span begins and ends with sentences and is not all there is."""
    start, end = span
    if not 0 <= start < end <= len(text):
        return False
    core = text[start:end]
    if len(WORD.findall(core)) < FEWEST_WORDS:
        return False
    start += len(core) - len(core.lstrip())
    end -= len(core) - len(core.rstrip())
    sentences = [(sentence.start, sentence.end) for sentence in split_sentences(text)]
    starts, ends = {s for s, _ in sentences}, {e for _, e in sentences}
    rest = text[:start] + text[end:]
    return start in starts and end in ends and any(c.isalpha() for c in rest)
