"""What could have been meant: words of the lexicon in place of suspicious ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Literal, Protocol

from imc_agents.noisy_channel import SOUNDS_ALIKE, slip, sounds_alike_cost
from imc_agents.policy import Policy, WordClass
from imc_agents.state import Candidate, Edit, NoiseKind
from imc_agents.words import Word, like_case, may_be_judged, words_of


class SuggestionLike(Protocol):
    """A word of the lexicon near a written one."""

    @property
    def word(self) -> str: ...
    @property
    def frequency(self) -> int: ...


class LexiconLike(Protocol):
    """The words that may be meant; `imc_agents.lexicon.Lexicon` is one."""

    @property
    def clinical(self) -> frozenset[str]:
        """Words of the clinical lists and of the model's own questions, lower case."""
        ...

    def __contains__(self, word: object) -> bool: ...
    def frequency(self, word: str) -> int: ...
    def suggest(
        self, word: str, max_distance: int = 2, limit: int | None = 12
    ) -> Sequence[SuggestionLike]: ...
    def split(self, word: str, limit: int = 4) -> Sequence[SuggestionLike]: ...
    def joined(self, first: str, second: str) -> str | None: ...
    def homophones(self, word: str, limit: int = 8) -> Sequence[str]: ...


EVERYDAY = 30_000_000
"""Count in symspell's dictionary from which a word is everyday English (about 2,500 words)."""
OBSCURE = 300_000
"""Count below which a word of that dictionary is met by readers of it only (the rarer half)."""
EVERYDAY_SHORT = 500_000_000
"""The same for one and two letters, where the dictionary counts every abbreviation."""
NEARBY = 24
"""Suggestions that are weighed for one unknown word before the likeliest are scored."""
LOST_SPACE = 3.0
"""Nats of a blank left out or put in, the channel's price of any letter."""

SUGGESTIONS_PER_WORD = 5
LONG = 4
"""Letters above which a rare word may be two slips away from the one that was meant."""
JUDGED_LENGTH = 3
"""Shorter common words are glue ("is", "in"): too many others are as near."""


def word_class(word: str, lexicon: LexiconLike) -> WordClass:
    """How a word must be treated: the better known it is, the more an edit must gain."""
    if word not in lexicon:
        return "out_of_lexicon"
    everyday = EVERYDAY if len(word) >= JUDGED_LENGTH else EVERYDAY_SHORT
    count = lexicon.frequency(word)
    if word.lower() in lexicon.clinical or count >= everyday:
        return "common"
    return "rare" if count >= OBSCURE else "obscure"


def word_edits(
    question: str,
    lexicon: LexiconLike,
    policy: Policy,
    *,
    limit: int,
    without: Collection[tuple[int, int]] = (),
    focus: Sequence[tuple[int, int]] = (),
) -> list[Edit]:
    """Single-word edits worth scoring, the likeliest first, at most `limit`.

    Unknown words come first, each with its nearest suggestions in turn; then known words that a
    far commoner word resembles or sounds like. `without` holds (start, end) of places to
    leave alone. Words within the spans of `focus` go before all others.
    """
    unknown: list[list[Edit]] = []
    known: list[tuple[float, Edit]] = []
    for word in words_of(question):
        if not may_be_judged(word.text):
            continue
        kind = word_class(word.text, lexicon)
        if kind == "out_of_lexicon":
            unknown.append([edit for _, edit in _edits(word, kind, lexicon, policy)])
        elif kind != "common" or len(word.text) >= JUDGED_LENGTH:
            known += _edits(word, kind, lexicon, policy)
    unknown += _phrases(question, lexicon, policy)
    ordered = [*_in_turn(unknown), *(edit for _, edit in sorted(known, key=_prior, reverse=True))]
    if focus:
        ordered.sort(key=lambda edit: not any(a <= edit.start < b for a, b in focus))
    return [
        edit
        for edit in ordered
        if not any(start < edit.end and edit.start < end for start, end in without)
    ][:limit]


def _phrases(question: str, lexicon: LexiconLike, policy: Policy) -> list[list[Edit]]:
    """Two words where one of the clinic's was meant: cut by a blank, or dictated as two."""
    words = words_of(question)
    found = []
    for first, second in pairwise(words):
        gap = question[first.end : second.start]
        if gap != " " or not (may_be_judged(first.text) and may_be_judged(second.text)):
            continue
        phrase = f"{first.text} {second.text}"
        meant: list[tuple[str, float, NoiseKind]] = [
            (alike.lower(), SOUNDS_ALIKE, "homophone")
            for alike in lexicon.homophones(phrase)
            if " " not in alike and alike.lower() in lexicon.clinical
        ]
        whole = lexicon.joined(first.text, second.text)
        if whole is not None and not (first.text in lexicon and second.text in lexicon):
            meant.append((whole.lower(), LOST_SPACE, "typo"))
        found.append(
            [
                Edit(
                    start=first.start,
                    end=second.end,
                    before=phrase,
                    after=like_case(word, first.text, begins=first.begins),
                    kind=kind,
                    cost=cost,
                    margin=(
                        policy.margins.dictated if kind == "homophone" else policy.margins.obscure
                    ),
                )
                for word, cost, kind in meant
            ]
        )
    return found


def _prior(scored: tuple[float, Edit]) -> float:
    return scored[0]


def _in_turn(groups: Sequence[Sequence[Edit]]) -> Iterable[Edit]:
    """The first of every group, then the second of every group, and so on."""
    for rank in range(max((len(group) for group in groups), default=0)):
        yield from (group[rank] for group in groups if rank < len(group))


def _edits(
    word: Word, kind: WordClass, lexicon: LexiconLike, policy: Policy
) -> list[tuple[float, Edit]]:
    """Edits of one word with their prior (log frequency less cost, in nats), best first."""
    here = math.log(1 + lexicon.frequency(word.text)) if kind != "out_of_lexicon" else 0.0
    edits = []
    for meant, cost, explains in _meant(word.text, kind, lexicon):
        margin = policy.margin(kind, dictated=explains == "homophone")
        if margin is None:
            continue
        edit = Edit(
            start=word.start,
            end=word.end,
            before=word.text,
            after=like_case(meant, word.text, begins=word.begins),
            kind=explains,
            cost=cost,
            margin=margin,
        )
        rarest = min(math.log(1 + lexicon.frequency(part)) for part in meant.split())
        edits.append((rarest - here - cost, edit))
    return sorted(edits, key=_prior, reverse=True)[:SUGGESTIONS_PER_WORD]


def _meant(word: str, kind: WordClass, lexicon: LexiconLike) -> list[tuple[str, float, NoiseKind]]:
    """Words that may have been meant, lower case, with the channel's cost and kind.

    An unknown word may be any near one. A known word may only be one of the clinic's that sounds
    like it, or is near it where hardly anybody writes it; never another form of itself.
    """
    if kind == "out_of_lexicon":
        found: list[tuple[str, float, NoiseKind]] = []
        for one in lexicon.suggest(word, 2, limit=NEARBY):
            how = slip(one.word, word)
            found.append((one.word.lower(), how.cost, how.kind))
        found += [(two.word.lower(), LOST_SPACE, "typo") for two in lexicon.split(word, limit=2)]
        return found
    meant_words: dict[str, tuple[float, NoiseKind]] = {}
    if kind == "obscure":
        for near_one in lexicon.suggest(word, 2 if len(word) > LONG else 1, limit=None):
            meant = near_one.word.lower()
            if meant in lexicon.clinical and not another_form(meant, word.lower()):
                how = slip(meant, word)
                meant_words[meant] = (how.cost, how.kind)
    for alike in lexicon.homophones(word):  # dictation writes words, never misspellings
        meant = alike.lower()
        if " " in meant or another_form(meant, word.lower()):
            continue
        if meant in lexicon.clinical:
            meant_words[meant] = (sounds_alike_cost(meant, word), "homophone")
    return [(meant, cost, explains) for meant, (cost, explains) in meant_words.items()]


STEM = 4
"""Letters two words begin with, when what follows is no more than an ending."""
ENDING = 3
"""Longest ending of a form: -ers, -ing, -ies."""


_NEGATING = ("in", "un", "non", "ab", "dis", "im", "ir", "il", "a")


def another_form(a: str, b: str) -> bool:
    """Two forms of one word ("lung" and "lungs", "marker" and "marks") or a word and its opposite
    ("appropriately" and "inappropriately"): both are choices, never slips of each other."""
    short, long = sorted((a, b), key=len)
    if any(long == prefix + short for prefix in _NEGATING):
        return True
    stem = 0
    while stem < len(short) and short[stem] == long[stem]:
        stem += 1
    if stem == len(short) >= ENDING and len(long) - stem <= ENDING:
        return True
    return stem >= STEM and len(long) - stem <= ENDING


def apply_edits(question: str, edits: Iterable[Edit]) -> str:
    """The question with non-overlapping edits made; their places are those of the original."""
    text = question
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.after + text[edit.end :]
    return text


def candidate_of(
    question: str,
    edits: Sequence[Edit],
    *,
    gain: float,
    source: Literal["lexicon", "generation", "sentences", "asked", "original"] = "lexicon",
) -> Candidate:
    """The candidate those edits lead to; no edits: the original itself."""
    ordered = sorted(edits, key=lambda edit: edit.start)
    heaviest = max(ordered, key=lambda edit: edit.end - edit.start, default=None)
    return Candidate(
        text=apply_edits(question, ordered),
        edits=ordered,
        kind=heaviest.kind if heaviest is not None else "unknown",
        gain=gain,
        source=source if ordered else "original",
    )
