"""The words of a list within a few edits of another word: filtered by letters, then measured."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist


@dataclass(frozen=True)
class Packed:
    """Words ready to be searched, the shortest first."""

    words: list[str]
    lengths: NDArray[np.int16]
    held: NDArray[np.uint64]  # which letters, see `_letters_held`


def pack(words: Iterable[str]) -> Packed:
    """Prepare words for `near`."""
    ordered = sorted(words, key=len)
    stacked = np.array(ordered, dtype=np.str_)
    letters = stacked.view(np.uint32).reshape(len(ordered), stacked.itemsize // 4)
    lengths = np.strings.str_len(stacked).astype(np.int16)
    return Packed(ordered, lengths, _letters_held(letters))


def near(among: Packed, asked: str, most: int) -> dict[str, int]:
    """Words within ``most`` edits: an edit takes one letter and gives one at most."""
    if not asked or not among.words:
        return {}
    first, end = np.searchsorted(among.lengths, [len(asked) - most, len(asked) + most + 1])
    own = _letters_held(np.array([asked]).view(np.uint32).reshape(1, -1))
    apart = np.bitwise_count(among.held[first:end] ^ own)
    close = [among.words[first + at] for at in np.flatnonzero(apart <= 2 * most)]
    edits = cdist([asked], close, scorer=OSA.distance, score_cutoff=most, dtype=np.uint8)[0]
    return {word: int(edit) for word, edit in zip(close, edits, strict=True) if edit <= most}


def _letters_held(letters: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Which letters each row holds, and which it holds twice, as 32 bits each; code points that
    are equal modulo 32 count as one letter. A letter more or less changes one bit at most."""
    once = np.zeros(len(letters), np.uint32)
    twice = np.zeros(len(letters), np.uint32)
    for column in np.ascontiguousarray(letters.T):
        bit = np.uint32(1) << (column & np.uint32(31))
        twice |= once & bit
        once |= bit
    filled = ~np.uint64(1)  # bit 0 is the filling after the last letter
    return (once & filled) | (twice & filled) << np.uint64(32)
