"""Words that a question lost where it begins to ask: guesses, which need a wide margin.

Nothing in a question says which of its words are missing, with one exception: an English question
asks with its first words. "Lungs abnormal?", "There any fracture?", "What the finding?" and "In
plane was this taken?" ask in no way that anybody writes, so a word that asks was lost. It is one of
few, all of them function words: no number, side, negation or finding is ever put in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from imc_agents.language.english import FINITE
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.noisy_channel import LETTER
from imc_agents.language.sentences import ASKING_WORDS, split_sentences
from imc_agents.language.words import Word, is_abbreviation, words_of
from imc_agents.policy import Policy
from imc_agents.state import Edit

LOST_WORD = LETTER
"""Nats of a word left out: the channel's price of any slip."""
FEWEST = 3
"""Words of a question that may have lost one: two ("Normal heart?") are a way to write."""

_OPENINGS: dict[str, tuple[str, ...]] = {
    "yes or no": (
        *("is", "are", "was", "were", "does", "do", "did", "has", "have", "can"),
        *("is there", "are there", "is the", "are the", "does the", "is this", "does this"),
    ),
    "what": ("what", "which", "what is", "what are", "what is the", "which of the"),
    "where": ("where is", "where are", "where is the"),
    "how": ("how", "how many"),
}
"""What a question may begin with, by what it then asks for."""
_VERBS: dict[str, tuple[str, ...]] = {
    "verb": ("is", "are", "was", "were", "does", "do", "did", "has", "can")
}
"""What is between "what" and "the"."""
_OF_WHAT: dict[str, tuple[str, ...]] = {"what": ("what", "which")}
_SUBJECT: dict[str, tuple[str, ...]] = {"what": ("what", "which"), "how": ("how many",)}
"""What asks for the subject of a verb that is there already."""

_POINTING = frozenset("the this these those that a an".split())
_NAMED = frozenset("this these those that it they he she you i we there".split())
"""What nobody asks "what" or "which" of."""
_PARTS = re.compile(r"[^\w\s?!.'’/-]|\s-\s")
"""A question of several parts may begin to ask in a later one; one with an "or" names answers."""
_LEADS = frozenset(
    "and or but if so then please based according compared given unlike like as since while "
    "because although though before after".split()
)
"""What leads up to a question that begins later."""
_ASKED = frozenset("what which where when who whom whose why how".split())
_WITH_A_VERB = frozenset("what where how who why when".split())
_PLACING = frozenset("in on at from to of by with under within during through".split())


def lost_words(question: str, lexicon: LexiconLike, policy: Policy) -> list[Edit]:
    """What may be put in where the question begins to ask; empty for nearly every clean one.

    Edits replace the word that the lost one was beside by both, so that they compete with its own
    repairs. Only a question of one sentence that asks, a question mark at its end, is read so.
    """
    found = _place(question, lexicon)
    if found is None:
        return []
    words, at, readings = found
    edits = []
    for group in readings.values():
        for reading in group:
            edit = _put_in(words, at, reading, policy)
            if edit is not None:
                edits.append(edit)
    return edits


def likeliest(edits: Sequence[Edit], lead: float) -> Edit | None:
    """The best of scored edits of one place, if what it asks for leads all else by `lead` nats.

    "Is" and "are" ask for the same; "what" and "where" do not: between those the question itself
    must decide.
    """
    masses: dict[str, float] = {}
    for edit in edits:
        group = _group(edit)
        gain = edit.gain if edit.gain is not None else -math.inf
        masses[group] = _either(masses.get(group, -math.inf), gain)
    if not masses:
        return None
    ranked = sorted(masses.values(), reverse=True)
    if len(ranked) > 1 and ranked[0] - ranked[1] < lead:
        return None
    best = max(edits, key=lambda edit: (edit.excess, -len(edit.after)))
    return best if best.gain is not None else None


def _place(
    question: str, lexicon: LexiconLike
) -> tuple[list[Word], int, dict[str, tuple[str, ...]]] | None:
    """The words of the asking sentence, before which of them one was lost, and the readings."""
    asking = [one for one in split_sentences(question) if one.text.rstrip().endswith("?")]
    if len(asking) != 1:
        return None
    words = [word for word in words_of(question) if asking[0].holds(word)]
    if len(words) < FEWEST:
        return None
    plain = [word.text.lower() for word in words]
    first, second = plain[0], plain[1]
    has_verb = any(word in FINITE for word in plain)
    if first in _WITH_A_VERB and second in _POINTING and not has_verb:
        return words, 1, _VERBS
    if first in ASKING_WORDS or first in _LEADS or not _ASKED.isdisjoint(plain):
        return None
    if "or" in plain or _PARTS.search(asking[0].text):
        return None
    if first in _PLACING:
        return (words, 1, _OF_WHAT) if has_verb else None
    if first not in lexicon:  # more likely misspelt
        return None
    if has_verb:
        return None if first in _NAMED else (words, 0, _SUBJECT)
    if first in _NAMED:
        return words, 0, {"yes or no": _OPENINGS["yes or no"]}
    # "Grade III tumour in the left lobe?" is how notes ask: only what points asks in no such way
    return (words, 0, _OPENINGS) if first in _POINTING else None


def _put_in(words: Sequence[Word], at: int, reading: str, policy: Policy) -> Edit | None:
    word = words[at]
    if reading.split()[-1] == word.text.lower():
        return None
    if reading.endswith(" the") and word.text.lower() in (*_POINTING, "there"):
        return None
    written, put_in = word.text, reading
    if at == 0 and written[:1].isupper():
        put_in = put_in[:1].upper() + put_in[1:]
        if not is_abbreviation(written) and written[1:].islower():
            written = written.lower()
    return Edit(
        start=word.start,
        end=word.end,
        before=word.text,
        after=f"{put_in} {written}",
        kind="word_drop",
        guess=True,
        cost=LOST_WORD,
        margin=policy.margins.lost,
    )


def _group(edit: Edit) -> str:
    reading = edit.after.lower().rpartition(" ")[0]
    for readings in (_OPENINGS, _VERBS, _OF_WHAT):
        for group, members in readings.items():
            if reading in members:
                return group
    return ""


def _either(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    high, low = max(a, b), min(a, b)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))
