"""The clinical lexicon: which words exist, which are near, which sound alike.

Words come from the frequency dictionary of symspellpy (MIT; 82,834 English words with counts
from Google Books), from our own lists (radiology and pathology; American spellings, names and
abbreviations that the dictionary lacks), from the words of the DICOM data dictionary, and from
a hospital's own files. No index is built, so loading stays quick: a search compares the letters of
all words at once, measures the few that are left, and is remembered, since the same words come
again and again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.resources import files
from pathlib import Path

from imc_agents.language.phonetics import phonetic_key
from imc_agents.language.spelling_variants import american
from imc_agents.language.vocabulary import english_counts, own_counts, sound_table
from imc_agents.language.word_distance import respelled, shape_distance
from imc_agents.language.word_search import Packed, near, pack

CLINICAL = 5_000_000
"""Count given to a word of our clinical list, about that of "kidney": rare in books does not
mean rare in a radiology question."""

SEEN = 100_000
"""Count given per sighting in a hospital's own vocabulary: a thousand sightings weigh as much as
"patient" does in books."""

SHORT = 3
"""Words of up to so many letters are searched one edit away only."""

SOUND_EDITS = 3
"""How far apart the spellings of a familiar word and of one that sounds like it may be."""

MEASURED = 48
"""How many of the most frequent words two edits away are measured by shape as well."""

REMEMBERED = 16_384
"""Searches of each kind that a lexicon keeps: the distinct words of a few thousand questions."""

_AS_IT_IS = re.compile(r"[^\W\d_]|\d+(?:st|nd|rd|th)|[23]d|[ctls][1-9]\d?")
_PART = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Suggestion:
    """A word that could have been meant."""

    word: str
    """In the case of the word asked about."""
    cost: float
    """Edits, where a confusion of shapes (rn/m, 0/o) or a lost space counts half."""
    frequency: int
    """Corpus count, larger is more common."""

    @property
    def distance(self) -> int:
        """The cost in whole edits, rounded up: one confusion is one edit."""
        return math.ceil(self.cost)


class Lexicon:
    """Known words with their counts. Case is ignored throughout."""

    def __init__(
        self,
        counts: dict[str, int],
        *,
        clinical: frozenset[str] = frozenset(),
        familiar: frozenset[str] = frozenset(),
        sounds: dict[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Take words as they are; `load` is the usual way in.

        Args:
            counts: lower-case word to its count.
            clinical: those among them that come from the clinical lists.
            familiar: those among them that questions about images are made of.
            sounds: word or phrase to those that sound like it.
        """
        self._counts = counts
        self.clinical = clinical
        self.familiar = familiar
        self._sounds = sounds or {}
        self._keys: dict[str, str] = {}
        self._suggestions = lru_cache(REMEMBERED)(self._search_near)
        self._sounding = lru_cache(REMEMBERED)(self._search_sounds)
        self._mistaken = lru_cache(REMEMBERED)(self._search_familiar)

    @classmethod
    def load(cls, extra: Sequence[Path] = ()) -> Lexicon:
        """The shipped lexicon and a hospital's own words, in about a tenth of a second.

        Args:
            extra: files of ``word<TAB>count`` (the count may be left out), UTF-8.

        Raises:
            ValueError: a file that cannot be read, or a line without that form.
        """
        counts = english_counts()
        own = files("imc_agents").joinpath("data")
        clinical = set()
        for name in ("medical_terms.txt", "general_terms.txt", "dicom_terms.txt"):
            clinical.update(own.joinpath(name).read_text("utf-8").split())
        familiar = set(own.joinpath("question_words.txt").read_text("utf-8").split())
        for word in clinical:
            counts[word] = max(counts.get(word, 0), CLINICAL)
        for path in extra:
            for word, count in own_counts(path):
                counts[word] = max(counts.get(word, 0), count * SEEN)
                clinical.add(word)
                familiar.add(word)
        sounds = sound_table(own.joinpath("sounds_alike.tsv").read_text("utf-8"))
        known = frozenset(familiar & counts.keys())
        return cls(counts, clinical=frozenset(clinical), familiar=known, sounds=sounds)

    def __len__(self) -> int:
        """How many words are known."""
        return len(self._counts)

    def __iter__(self) -> Iterator[str]:
        """Every known word, lower case."""
        return iter(self._counts)

    def __contains__(self, word: object) -> bool:
        """Known as written, in American spelling, as a possessive, or as known words joined by
        hyphens or slashes.

        A single letter, an ordinal, a vertebra (L4) and what has no letter count as known: there
        is nothing to correct.
        """
        if not isinstance(word, str):
            return False
        plain = word.lower().replace("’", "'")
        stem = plain.removesuffix("'s")
        if plain in self._counts or stem in self._counts or american(stem) in self._counts:
            return True
        parts = _PART.findall(plain)
        if len(parts) > 1 and "'" not in plain:
            return all(part in self._counts or part.isdecimal() for part in parts)
        return _AS_IT_IS.fullmatch(plain) is not None or not any(map(str.isalpha, plain))

    def frequency(self, word: str) -> int:
        """Corpus count of a word, 0 when it is unknown."""
        plain = word.lower()
        return self._counts.get(plain, self._counts.get(american(plain), 0))

    def suggest(self, word: str, max_distance: int = 2, limit: int | None = 12) -> list[Suggestion]:
        """Known words near ``word``, nearest first, then most common first; never itself.

        Args:
            word: one word, in any case.
            max_distance: edits, 1 or 2; words of up to `SHORT` letters are searched at 1.
            limit: at most so many, None for all.
        """
        return [
            Suggestion(like(word, found), cost, self._counts[found])
            for found, cost in self._suggestions(word.lower(), max_distance)[:limit]
        ]

    def _search_near(self, asked: str, max_distance: int) -> tuple[tuple[str, float], ...]:
        """Known words near a lower-case one with their costs, best first."""
        most = min(max_distance, 1) if len(asked) <= SHORT else max_distance
        close = self._near(asked, most)
        distance: dict[str, float] = {found: float(edits) for found, edits in close.items()}
        for found in sorted(close, key=self._most_common)[:MEASURED]:
            distance[found] = min(distance[found], shape_distance(asked, found, most))
        for found, edits in self._by_shape(asked).items():
            distance[found] = min(distance.get(found, edits), edits)
        distance.pop(asked, None)
        best = sorted(distance, key=lambda found: (distance[found], *self._most_common(found)))
        return tuple((found, distance[found]) for found in best)

    def split(self, word: str, limit: int = 4) -> list[Suggestion]:
        """Two known words that were run together ("chestxray"), the most common pair first."""
        asked = word.lower()
        pairs = []
        for at in range(1, len(asked)):
            left, right = asked[:at], asked[at:]
            if all(len(part) > 1 or part == "a" for part in (left, right)):
                rarer = min(self._counts.get(left, 0), self._counts.get(right, 0))
                if rarer >= (CLINICAL if min(len(left), len(right)) < 3 else 1):
                    first = like(word, left) if not word.isupper() else left.upper()
                    second = right.upper() if word.isupper() else right
                    pairs.append(Suggestion(f"{first} {second}", 0.5, rarer))
        return sorted(pairs, key=lambda pair: (-pair.frequency, pair.word))[:limit]

    def joined(self, first: str, second: str) -> str | None:
        """The known word that a stray space cut in two ("ches t"), or None."""
        whole = (first + second).lower()
        return like(first, whole) if whole in self._counts else None

    def homophones(self, word: str, limit: int = 8) -> list[str]:
        """Words that sound like this one: the table's first, then near ones of one phonetic key.

        A familiar word and one of the clinic's have the table's alone.

        Args:
            word: a word, or a phrase of the table ("a symmetric").
            limit: at most so many.
        """
        asked = " ".join(word.lower().split())
        return [like(word, other) for other in self._sounding(asked)[:limit]]

    def taken_for(self, word: str) -> Sequence[str]:
        """Words and phrases of the table that dictation takes for this one, lower case."""
        return self._sounds.get(" ".join(word.lower().split()), ())

    def mistaken(self, word: str) -> Sequence[str]:
        """Familiar words, lower case, of which a word may be a slip: one edit away or, from
        `SHORT` letters, of the same sound; the most common first, never itself.

        Args:
            word: a word, known or not, or two that were one.
        """
        return self._mistaken("".join(word.lower().split()))

    def _search_familiar(self, asked: str) -> tuple[str, ...]:
        close = near(self._familiar, asked, 1 if len(asked) < SHORT else SOUND_EDITS)
        key = phonetic_key(asked)
        found = [
            other
            for other, edits in close.items()
            if edits == 1 or (edits > 1 and self._sounds_as(other) == key)
        ]
        return tuple(sorted(found, key=self._most_common))

    def _search_sounds(self, asked: str) -> tuple[str, ...]:
        """Lower-case words and phrases that sound like this one, best first."""
        found = list(self._sounds.get(asked, ()))
        # Keys leave out vowels ("case", "cause"): a word that questions use needs a true homophone.
        known = asked in self.familiar or asked in self.clinical
        if " " not in asked and len(asked) >= SHORT and not known:
            key = phonetic_key(asked)
            close = self._near(asked, SOUND_EDITS if len(asked) > 5 else 2)
            sounding = [other for other in close if self._sounds_as(other) == key]
            found += sorted(sounding, key=lambda other: (close[other], *self._most_common(other)))
        return tuple(
            other
            for other in dict.fromkeys(found)
            if other != asked and all(part in self for part in other.split())
        )

    def _sounds_as(self, word: str) -> str:
        """The phonetic key of a known word, made when it is first asked for: all of them take
        longer than most questions do."""
        key = self._keys.get(word)
        if key is None:
            key = self._keys[word] = phonetic_key(word)
        return key

    @cached_property
    def _packed(self) -> Packed:
        return pack(self._counts)

    @cached_property
    def _familiar(self) -> Packed:
        return pack(self.familiar)

    def _near(self, asked: str, most: int) -> dict[str, int]:
        """Known words within ``most`` edits."""
        return near(self._packed, asked, most)

    def _by_shape(self, asked: str) -> dict[str, float]:
        """Known words reached by undoing one or two confusions of shapes."""
        found: dict[str, float] = {}
        once = set(respelled(asked))
        for other in once:
            if other in self._counts:
                found[other] = 0.5
        for other in once:
            for again in respelled(other):
                if again in self._counts:
                    found.setdefault(again, 1.0)
        return found

    def _most_common(self, word: str) -> tuple[int, str]:
        return -self._counts[word], word


@lru_cache(maxsize=1)
def known_words() -> Lexicon:
    """The shipped lexicon, loaded once."""
    return Lexicon.load()


def like(original: str, word: str) -> str:
    """``word`` in the case of ``original``: lower, Capital or UPPER."""
    if len(original) > 1 and original.isupper():
        return word.upper()
    return word[:1].upper() + word[1:] if original[:1].isupper() else word
