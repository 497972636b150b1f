"""Noise of words: dictation hears another one (homophone), haste loses one (word_drop)."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from imc_noise.data_files import read_table
from imc_noise.text.words import Word, cased_like, how_many, replaced, share, words_of

HOMOPHONE_RATES = (0.15, 0.30, 0.50, 0.75, 1.0)
"""Share of the words that have a homophone, exchanged at severity 1..5 (at least one)."""

DROP_RATES = (0.10, 0.20, 0.30, 0.40, 0.50)
"""Share of the words lost at severity 1..5 (at least one, never the last one left)."""

FUNCTION_WORDS = frozenset(
    "a an the is are was were be been do does did has have had of in on at to from by for with and "
    "or this that these those there it its any some which what where how can could would".split()
)
FUNCTION_WEIGHT = 2.0
"""How much sooner a function word is lost than a content word: haste drops small words first."""


def homophone(text: str, severity: float, rng: np.random.Generator) -> str:
    """Dictation hears a word or phrase that sounds the same, in a share of those that have one.

    Sound-alikes are `data/homophones.tsv` (clinical: ileum/ilium, pleural/plural,
    perineal/peroneal ...; general: there/their; across words: a cyst/assist). Where nothing in the
    text has one, the dictation spells the longest word as it sounds (`data/sound_spellings.tsv`:
    pneumo/numo, ph/f); where that changes nothing either, the text comes back as it was. Case is
    kept. A homophone may hide a negation or a side (no/know, right/write).
    """
    heard = _heard(text)
    if not heard:
        return _spelt_by_sound(text)
    chosen: dict[Word, str] = {}
    for span, options in heard.items():
        chosen[span] = cased_like(options[int(rng.integers(len(options)))], span.text)
    order = rng.permutation(len(chosen))
    count = how_many(share(HOMOPHONE_RATES, severity), len(chosen))
    spans = list(chosen)
    return replaced(text, {spans[i]: chosen[spans[i]] for i in order[:count]})


def word_drop(text: str, severity: float, rng: np.random.Generator) -> str:
    """A share of the words is lost, function words twice as readily as content words.

    Punctuation stays (the question mark too), a capital at the start is handed on, doubled spaces
    are closed. At least one word always stays, so a text of one word comes back as it was.
    """
    words = words_of(text)
    if len(words) < 2:
        return text
    weights = np.array(
        [FUNCTION_WEIGHT if word.text.lower() in FUNCTION_WORDS else 1.0 for word in words]
    )
    # Smallest exponential first: weighted sampling without replacement (Efraimidis-Spirakis),
    # whose first k are also among its first k + 1.
    order = np.argsort(rng.exponential(size=len(words)) / weights)
    count = min(how_many(share(DROP_RATES, severity), len(words)), len(words) - 1)
    lost = {words[i] for i in order[:count]}
    left = [word for word in words if word not in lost]
    for word in sorted(lost, key=lambda dropped: dropped.start, reverse=True):
        text = _cut(text, word)
    if words[0] in lost and words[0].text[:1].isupper() and left[0].text.islower():
        at = words_of(text)[0].start
        text = text[:at] + text[at].upper() + text[at + 1 :]
    return text


def _cut(text: str, word: Word) -> str:
    """`text` without `word` and without the space that would then stand double or at an edge."""
    before, after = text[: word.start], text[word.end :]
    if after[:1].isspace() and (not before or before[-1].isspace()):
        after = after[1:]
    elif before[-1:].isspace() and after[:1] in tuple(".,;:?!)"):
        before = before[:-1]
    return before + after


def _heard(text: str) -> dict[Word, tuple[str, ...]]:
    """Words and phrases of `text` that have sound-alikes, longest phrases first, none overlapping.

    Phrases are words parted by spaces only, of up to `_longest()` words.
    """
    words = words_of(text)
    found: dict[Word, tuple[str, ...]] = {}
    first = 0
    while first < len(words):
        taken = 1
        for length in range(min(_longest(), len(words) - first), 0, -1):
            start, end = words[first].start, words[first + length - 1].end
            key = re.sub(r"\s+", " ", text[start:end]).lower()
            if key in _sound_alikes():
                found[Word(start, end, text[start:end])] = _sound_alikes()[key]
                taken = length
                break
        first += taken
    return found


def _spelt_by_sound(text: str) -> str:
    """`text` with its longest word that has one given the spelling it sounds like."""
    for word in sorted(words_of(text), key=lambda w: (-len(w.text), w.start)):
        spelt = word.text.lower()
        for pattern, sound in _sound_spellings():
            spelt = pattern.sub(sound, spelt)
        if spelt not in ("", word.text.lower()):
            return replaced(text, {word: cased_like(spelt, word.text)})
    return text


@cache
def _sound_alikes() -> dict[str, tuple[str, ...]]:
    """Each word or phrase of the table with the others of its rows."""
    alike: dict[str, list[str]] = {}
    for row in read_table("homophones.tsv"):
        for word in row:
            others = alike.setdefault(word, [])
            others.extend(other for other in row if other != word and other not in others)
    return {word: tuple(others) for word, others in alike.items()}


@cache
def _longest() -> int:
    """Words in the table's longest phrase."""
    return max(len(phrase.split()) for phrase in _sound_alikes())


@cache
def _sound_spellings() -> tuple[tuple[re.Pattern[str], str], ...]:
    """(pattern, sound) rules, applied in order to a lower-case word."""
    return tuple((re.compile(row[0]), row[1]) for row in read_table("sound_spellings.tsv"))
