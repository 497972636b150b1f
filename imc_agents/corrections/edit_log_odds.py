"""What a gain is worth: a word that the model has never met is no error because it surprises.

A gain compares the written word with another, and to a small model every word of a foreign field
is so unlikely that almost any of its own gains ("vulgaris" -> "bulgaria", 24 nats). The noisy
channel's other hypothesis is that a new word was meant. It is as likely whatever the word: so the
word put in must be likely at its place, and what it gains counts for no more than it would gain
over a new word:

    log odds = min(gain, new word + log p(put in | the words before it) - cost of the slip)

Where the model knows the words that people write (`Policy.knows_words`), such a word is not new to
it and its gain counts in full.

An unknown word of four letters or more that is one slip away from a word of the clinic is less
likely to be a new one, whatever the model: it counts for `near_miss` more. So does a word that
dictation is known to write for the one put in ("legion" for "lesion"), unless it is everyday
English.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.noisy_channel import LETTER
from imc_agents.language.vocabulary import EVERYDAY, OBSCURE
from imc_agents.policy import Policy
from imc_agents.state import Edit

CHANCE = 3
"""Letters up to which an unknown word is one slip from a known one by chance ("rna", "ran")."""


@runtime_checkable
class TokenScoresLike(Protocol):
    """A text's log-probability token by token; `imc_agents.chat.scores.TextScore` is one."""

    @property
    def spans(self) -> Sequence[tuple[int, int]]: ...
    @property
    def logprobs(self) -> Sequence[float]: ...


def surprisal(score: TokenScoresLike, start: int, end: int) -> float:
    """-log p of the tokens that reach into `start` to `end`, in nats, given all before them."""
    return -sum(
        logprob
        for (first, last), logprob in zip(score.spans, score.logprobs, strict=True)
        if first < end and start < last
    )


def places_after(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """Where each edit's new text is once all of them are made, in order of position."""
    places, shift = [], 0
    for edit in edits:
        start = edit.start + shift
        places.append((start, start + len(edit.after)))
        shift += len(edit.after) - (edit.end - edit.start)
    return places


SLIPS = (0.1, 9.9)
"""Beta prior of the share of words that have a slip: one in a hundred, known as from ten words."""
FEWEST_SLIPS = 2
"""Other words with a slip from which a text counts as written in haste."""


def haste(slips: int, words: int) -> float:
    """Nats by which another slip is likelier in a text where that many of the other words have one.

    The log of the posterior mean of the share of slips over its prior mean; 0 for fewer than
    `FEWEST_SLIPS`: one alone may be no slip.
    """
    if slips < FEWEST_SLIPS:
        return 0.0
    hit, missed = SLIPS
    return math.log((hit + slips) / (hit + missed + words) / (hit / (hit + missed)))


def edit_log_odds(
    edit: Edit,
    score: object,
    place: tuple[int, int],
    policy: Policy,
    lexicon: LexiconLike,
    hurried: float = 0.0,
) -> float:
    """Log-odds of an edit, in nats; minus infinity where its gain is not known.

    Args:
        edit: the edit.
        score: of the text it leads to. One that does not show its tokens leaves the gain as it is.
        place: where its new text is in it.
        policy: says what a new word costs.
        lexicon: says which words are known, and which are the clinic's.
        hurried: see `haste`.
    """
    if edit.gain is None:
        return -math.inf
    if not edit.after or edit.guess or not isinstance(score, TokenScoresLike):
        return edit.gain  # no word was written there that might be a new one
    if policy.knows_words and people_write(edit.before, lexicon):
        return edit.gain
    over_new = policy.new_word + hurried - surprisal(score, *place) - edit.cost
    if is_near_miss(edit, lexicon):
        over_new += policy.near_miss
    return min(edit.gain, over_new)


def people_write(word: str, lexicon: LexiconLike) -> bool:
    """Not only readers of dictionaries know it: it is new to no pretrained model."""
    return lexicon.frequency(word) >= OBSCURE


def is_near_miss(edit: Edit, lexicon: LexiconLike) -> bool:
    """An unknown word that one slip makes of the clinic's, or one that is written for another."""
    if edit.after.lower() in lexicon.taken_for(edit.before):
        # "risk" is everyday English and meant far more often than "wrist"
        return lexicon.frequency(edit.before) < EVERYDAY
    return (
        len(edit.before) > CHANCE
        and edit.cost <= LETTER
        and edit.before not in lexicon
        and all(word in lexicon.clinical for word in edit.after.lower().split())
    )
