"""How a written word becomes another: the cost, in nats, and the kind of each slip.

score(y) = log p(y) - log p(x) - cost(y -> x): the noisy-channel model of spelling correction
(Kernighan, Church and Gale, COLING 1990). The channel is our own and knows nothing of
`imc_noise`'s generators: keys next to one another on a keyboard, glyphs that look alike, letters
that sound alike.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from imc_agents.state import NoiseKind

KNOWN_MECHANISM = 2.6
"""A slip of a known mechanism. FINDINGS used 3 nats for every edit; the known mechanisms are a
little likelier than that and the unknown ones much less so."""
LETTER = 3.0
"""A letter left out or put in: the commonest slips after neighbours, but for no named reason."""
UNEXPLAINED = 4.5
"""A letter replaced by one that is neither next to it nor like it."""
FURTHER_SLIP = 2.0
"""Every further slip in one word, besides its own cost: a word that is hit is nearly always hit
once, so "boness" is "bones" before it is "bone"."""
SOUNDS_ALIKE = 5.0
"""A whole word taken for one that sounds like it, whatever its letters: dictation, once in some
hundred words."""

_ROWS = (("`1234567890-=", 0.0), ("qwertyuiop[]", 1.5), ("asdfghjkl;'", 1.75), ("zxcvbnm,./", 2.25))
_KEYS = {
    key: (offset + column, float(row))
    for row, (keys, offset) in enumerate(_ROWS)
    for column, key in enumerate(keys)
}

_SIMILAR_SHAPES = {
    frozenset(pair)
    for pair in (
        *("0o 0q 0d 1l 1i 1j 1t 2z 3e 3b 4a 5s 6b 6g 7t 8b 9g 9q il ij lt it ft fl".split()),
        *("ce co eo ea nh nu un nr hb bh gq uv vy vu mn cg qg sz".split()),
        ("|", "l"),
        ("!", "i"),
        ("!", "l"),
        ("@", "a"),
        ("$", "s"),
        ("€", "e"),
        ("(", "c"),
    )
}
_SIMILAR_SHAPES_OF_TWO = {
    (pair[:2], pair[2])
    for pair in "rnm nnm nim cld vvw uuw lih iiu rin tin lob old cia fih".split()
}
"""Glyphs that touch and read as one, or one that reads as two."""

_SIMILAR_SOUNDS = {
    frozenset(pair) for pair in "ck cs sz kq fv ei ey iy ea ai ao au ou gj td pb mn xz".split()
}

Op = tuple[float, frozenset[str]]
"""A slip's cost in nats and the mechanisms that explain it."""

_MATCH: Op = (0.0, frozenset())


@dataclass(frozen=True)
class Slip:
    """The cheapest way from a meant word to the written one."""

    cost: float
    """-log p(written | meant), in nats."""
    kind: NoiseKind
    """The noise that explains most of it."""
    slips: int
    """Number of single slips."""


@lru_cache(maxsize=4096)
def _substitution(meant: str, written: str) -> Op:
    mechanisms = set()
    if meant in _KEYS and written in _KEYS:
        (x, y), (u, v) = _KEYS[meant], _KEYS[written]
        if abs(x - u) <= 1.0 and abs(y - v) <= 1.0:
            mechanisms.add("typo")
    if frozenset((meant, written)) in _SIMILAR_SHAPES:
        mechanisms.add("ocr")
    if frozenset((meant, written)) in _SIMILAR_SOUNDS:
        mechanisms.add("homophone")
    if mechanisms & {"typo", "ocr"}:
        return KNOWN_MECHANISM, frozenset(mechanisms)
    if mechanisms:
        return LETTER, frozenset(mechanisms)
    return UNEXPLAINED, frozenset({"typo"})


_TRANSPOSITION: Op = (KNOWN_MECHANISM, frozenset({"typo"}))
_LETTER: Op = (LETTER, frozenset({"typo"}))
_DOUBLED: Op = (KNOWN_MECHANISM, frozenset({"typo"}))
_GLYPHS: Op = (KNOWN_MECHANISM, frozenset({"ocr"}))


@lru_cache(maxsize=65536)
def slip(meant: str, written: str) -> Slip:
    """The cheapest explanation of `written` where `meant` was intended, case left out.

    Damerau-Levenshtein alignment with a cost for each mechanism. Equal words cost nothing.
    """
    y, x = meant.lower(), written.lower()
    best: list[list[tuple[float, tuple[frozenset[str], ...]]]] = [
        [(float("inf"), ())] * (len(x) + 1) for _ in range(len(y) + 1)
    ]
    best[0][0] = (0.0, ())

    def reach(i: int, j: int, source: tuple[int, int], op: Op) -> None:
        cost, path = best[source[0]][source[1]]
        if cost + op[0] < best[i][j][0]:
            best[i][j] = (cost + op[0], path if op is _MATCH else (*path, op[1]))

    for i in range(len(y) + 1):
        for j in range(len(x) + 1):
            if i and j:
                same = y[i - 1] == x[j - 1]
                reach(i, j, (i - 1, j - 1), _MATCH if same else _substitution(y[i - 1], x[j - 1]))
            if i:  # a letter of the meant word was left out
                reach(i, j, (i - 1, j), _DOUBLED if i > 1 and y[i - 1] == y[i - 2] else _LETTER)
            if j:  # a letter was put in
                reach(i, j, (i, j - 1), _DOUBLED if j > 1 and x[j - 1] == x[j - 2] else _LETTER)
            if i > 1 and j > 1 and y[i - 1] == x[j - 2] and y[i - 2] == x[j - 1]:
                reach(i, j, (i - 2, j - 2), _TRANSPOSITION)
            if i > 1 and j and (y[i - 2 : i], x[j - 1]) in _SIMILAR_SHAPES_OF_TWO:
                reach(i, j, (i - 2, j - 1), _GLYPHS)
            if i and j > 1 and (x[j - 2 : j], y[i - 1]) in _SIMILAR_SHAPES_OF_TWO:
                reach(i, j, (i - 1, j - 2), _GLYPHS)
    cost, path = best[len(y)][len(x)]
    cost += FURTHER_SLIP * max(0, len(path) - 1)
    return Slip(cost=cost, kind=_kind(path), slips=len(path))


def _kind(path: tuple[frozenset[str], ...]) -> NoiseKind:
    """The mechanism that explains most slips; a keyboard slip where several do equally."""
    votes = Counter(mechanism for op in path for mechanism in op)
    if votes["ocr"] > votes["typo"] and votes["ocr"] >= votes["homophone"]:
        return "ocr"
    if votes["homophone"] > votes["typo"]:
        return "homophone"
    return "typo" if votes else "unknown"


def sounds_alike_cost(meant: str, written: str) -> float:
    """Cost, in nats, of taking one word for another that sounds like it: never above
    `SOUNDS_ALIKE`, because dictation replaces whole words."""
    return min(slip(meant, written).cost, SOUNDS_ALIKE)
