"""What a written word may have been meant as, and what each reading costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.misspellings import misspells
from imc_agents.language.noisy_channel import SOUNDS_ALIKE, slip, sounds_alike_cost
from imc_agents.language.spelling_variants import american
from imc_agents.language.vocabulary import EVERYDAY, OBSCURE
from imc_agents.language.words import is_abbreviation, is_shorthand
from imc_agents.policy import Policy, WordClass
from imc_agents.state import NoiseKind


@dataclass(frozen=True)
class CorrectionCandidate:
    """One reading of a written word."""

    word: str
    """Lower case; two words where a blank was lost."""
    cost: float
    """The channel's, in nats."""
    kind: NoiseKind
    margin: float
    """Nats that it must gain."""


EVERYDAY_SHORT = 500_000_000
"""`EVERYDAY` for one and two letters, where the dictionary counts every abbreviation."""
NEARBY = 24
"""Suggestions that are weighed for one unknown word before the likeliest are scored."""
LOST_SPACE = 3.0
"""Nats of a blank left out or put in, the channel's price of any letter."""
LONG = 4
"""Letters above which a rare word may be two slips away from the one that was meant."""
JUDGED_LENGTH = 3
"""Shorter common words are function words ("is", "in"): too many others are as near."""
JOINED_LENGTH = 5
"""Letters that two words must have together before they may be one that was dictated."""
SHORTHAND = 3.0
"""Nats that speak for shorthand as it is written, beside the margin of an obscure word: "of" gains
much over "od", and a slip of "of" more."""

ASKING = frozenset(
    "what where when who whom whose which why how is are was were do does did can could has have "
    "had this these that those".split()
)
"""Words that questions begin with and point with: one in place of another asks something else."""


def word_class(word: str, lexicon: LexiconLike) -> WordClass:
    """How a word must be treated: the better known it is, the more an edit must gain."""
    if word not in lexicon:
        return "obscure" if is_shorthand(word) else "out_of_lexicon"
    everyday = EVERYDAY if len(word) >= JUDGED_LENGTH else EVERYDAY_SHORT
    count = lexicon.frequency(word)
    plain = word.lower()
    if plain in lexicon.clinical or american(plain) in lexicon.clinical or count >= everyday:
        return "common"
    return "rare" if count >= OBSCURE else "obscure"


def correction_candidates(
    word: str, kind: WordClass, lexicon: LexiconLike, policy: Policy
) -> list[CorrectionCandidate]:
    """What one word may have been meant as, besides itself; in no order.

    An unknown word may be any near one. A word that questions are made of may only be another that
    sounds like it. Any other known word, the clinic's and everyday ones apart, may be one of those
    that questions are made of, one slip away or of the same sound; where hardly anybody writes it,
    one of the clinic's as well. None is ever another form of itself, and a word that asks is never
    changed.
    """
    if kind == "out_of_lexicon":
        return list(_of_unknown(word, lexicon, policy))
    found: dict[str, CorrectionCandidate] = {}
    plain = word.lower()
    if plain in ASKING:
        return []
    wide, strange = policy.margins.homophone, policy.margins.obscure
    usual = plain in lexicon.familiar
    if kind == "obscure":
        for near_one in lexicon.suggest(word, 2 if len(word) > LONG else 1, limit=None):
            meant = near_one.word.lower()
            if meant in lexicon.clinical:
                how = slip(meant, word)
                found[meant] = CorrectionCandidate(meant, how.cost, how.kind, strange)
    if not usual and not (kind == "common" and len(plain) >= JUDGED_LENGTH):
        for meant in lexicon.mistaken(word):
            how = slip(meant, word)
            found[meant] = CorrectionCandidate(meant, how.cost, how.kind, strange)
    if kind != "common" or len(word) >= JUDGED_LENGTH:
        for alike in lexicon.homophones(word):  # dictation writes words, never misspellings
            meant = alike.lower()
            familiar = meant in lexicon.familiar
            if " " not in meant and (familiar or meant in lexicon.clinical):
                margin = strange if familiar and not usual else wide
                found[meant] = CorrectionCandidate(
                    meant, sounds_alike_cost(meant, word), "homophone", margin
                )
    return [
        replace(one, cost=one.cost + meant_as_written(word))
        for one in found.values()
        if not another_form(one.word, plain)
    ]


def meant_as_written(word: str) -> float:
    """Nats by which a slip is dearer in a word that is meant as it is written more often."""
    return SHORTHAND if is_shorthand(word) else 0.0


def _of_unknown(word: str, lexicon: LexiconLike, policy: Policy) -> Iterator[CorrectionCandidate]:
    margin = policy.margins.out_of_lexicon
    if is_abbreviation(word) and word.isalpha():  # unknown capitals: a slip in another's
        for other in lexicon.suggest(word, 1, limit=NEARBY):
            meant = other.word.lower()
            if len(meant) == len(word) and meant in lexicon.clinical:
                how = slip(meant, word)
                yield CorrectionCandidate(meant, how.cost, how.kind, policy.margins.obscure)
        return
    stem, ending = _possessive(word)
    near = [one.word.lower() for one in lexicon.suggest(stem, 2, limit=NEARBY)]
    seen = set()
    for one in near:
        if _is_misspelling(one, near) or _declined(one, stem.lower()):
            continue
        meant = one + ending
        seen.add(meant)
        how = slip(meant, word)
        yield CorrectionCandidate(meant, how.cost, how.kind, margin)
    for other_word in lexicon.mistaken(stem):
        meant = other_word + ending
        if meant not in seen and not _is_misspelling(other_word, near):  # spelled as it sounds
            yield CorrectionCandidate(meant, sounds_alike_cost(meant, word), "homophone", margin)
    for two in lexicon.split(word, limit=2):
        yield CorrectionCandidate(two.word.lower(), LOST_SPACE, "typo", margin)


_ENDINGS = tuple(map(frozenset, (("us", "is"), ("ae", "a"), ("um", "a"), ("us", "i"), ("a", "e"))))


def _declined(word: str, written: str) -> bool:
    """Two forms of a Latin word, or a Latin and an English one ("fibrosus" and "fibrosis", "acuta"
    and "acute"): names are written in either."""
    for pair in _ENDINGS:
        for one, other in permutations(pair):
            stem = word.removesuffix(one)
            if len(stem) >= STEM and word == stem + one and written == stem + other:
                return True
    return False


def _is_misspelling(word: str, others: Sequence[str]) -> bool:
    """It misspells another reading: known, so that it is left alone, but nothing to correct to."""
    return any(misspells(word, other) for other in others)


def _possessive(word: str) -> tuple[str, str]:
    """A word and its possessive ending, if it has one."""
    stem = word[:-2]
    return (stem, word[-2:]) if word[-2:].lower() in ("'s", "’s") and stem else (word, "")


def joint_candidates(
    first: str, second: str, lexicon: LexiconLike, policy: Policy
) -> list[CorrectionCandidate]:
    """One word where two are written: split by a blank, or dictated as two."""
    wide, strange = policy.margins.homophone, policy.margins.obscure
    found: dict[str, CorrectionCandidate] = {}
    unusual = not {first.lower(), second.lower()} <= lexicon.familiar
    whole = (first + second).lower()
    if unusual and len(whole) >= JOINED_LENGTH:
        for meant in lexicon.mistaken(whole):
            if not any(_is_part(part.lower(), meant) for part in (first, second)):
                cost = min(LOST_SPACE + slip(meant, whole).cost, SOUNDS_ALIKE)
                found[meant] = CorrectionCandidate(meant, cost, "homophone", strange)
        if whole in lexicon.familiar:
            found[whole] = CorrectionCandidate(whole, LOST_SPACE, "homophone", strange)
    for alike in lexicon.homophones(f"{first} {second}"):
        meant = alike.lower()
        if " " not in meant and meant in lexicon.clinical:
            found[meant] = CorrectionCandidate(
                meant, SOUNDS_ALIKE, "homophone", strange if unusual else wide
            )
    joined = lexicon.joined(first, second)
    if joined is not None and not (first in lexicon and second in lexicon):
        found[joined.lower()] = CorrectionCandidate(joined.lower(), LOST_SPACE, "typo", strange)
    return list(found.values())


def _is_part(part: str, meant: str) -> bool:
    """The word was there already, with another beside it."""
    return part == meant or another_form(part, meant)


STEM = 4
"""Letters two words begin with, when what follows is no more than an ending."""
ENDING = 3
"""Longest ending of a form: -ers, -ing, -ies."""
_NEGATING = ("in", "un", "non", "ab", "dis", "im", "ir", "il", "a")


def another_form(a: str, b: str) -> bool:
    """Two forms of one word ("lung" and "lungs", "marker" and "marks", "oedema" and "edema") or a
    word and its opposite ("appropriately" and "inappropriately"): both are choices, never slips of
    each other."""
    if american(a) == american(b):
        return True
    short, long = sorted((a, b), key=len)
    if short == "the":  # which has no other form: "thee" may be a slip of it
        return False
    if any(long == prefix + short for prefix in _NEGATING):
        return True
    stem = 0
    while stem < len(short) and short[stem] == long[stem]:
        stem += 1
    if stem == len(short) >= ENDING and len(long) - stem <= ENDING:
        return True
    return stem >= STEM and len(long) - stem <= ENDING
