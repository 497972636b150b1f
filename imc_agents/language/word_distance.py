"""How far apart two words are: keyboard slips, confusions of optical character recognition."""

from __future__ import annotations

from collections.abc import Iterator

from rapidfuzz.distance import OSA

CONFUSED = (
    ("0", "o"), ("1", "l"), ("1", "i"), ("l", "i"), ("5", "s"), ("8", "b"), ("6", "b"), ("9", "g"),
    ("6", "g"), ("2", "z"), ("4", "a"), ("3", "e"), ("7", "t"), ("|", "l"), ("|", "i"), ("!", "l"),
    ("!", "i"), ("$", "s"), ("@", "a"), ("rn", "m"), ("cl", "d"), ("vv", "w"), ("nn", "m"),
    ("ii", "u"), ("li", "h"), ("fi", "h"), ("ri", "n"), ("lo", "b"), ("ol", "d"), ("in", "m"),
    ("c", "e"), ("c", "o"), ("e", "o"), ("u", "v"), ("h", "b"), ("n", "h"), ("f", "t"), ("q", "g"),
    ("y", "v"), ("1n", "m"), ("c1", "d"), ("(", "c"), ("{", "c"), ("€", "e"), ("£", "e"),
)  # fmt: skip
"""Pairs of shapes that scanners mistake for each other, either way round. Collected from the
general literature on OCR errors, not from the noises that `imc_bench` measures with."""

LIKELY = 0.5
"""Cost of one confusion: half a slip, because a confusion is one event and a common one."""

_SHAPES = {
    shape: frozenset(
        other for pair in CONFUSED if shape in pair for other in pair if other != shape
    )
    for pair in CONFUSED
    for shape in pair
}


def edit_distance(first: str, second: str, most: int = 3) -> int:
    """Optimal string alignment: insert, delete, replace, or swap two neighbours, each 1.

    Args:
        first: a word.
        second: another.
        most: above this the exact value does not matter, and ``most + 1`` is given.
    """
    return OSA.distance(first, second, score_cutoff=most)


def shape_distance(first: str, second: str, most: float = 3.0) -> float:
    """Edit distance in which a confusion of shapes (rn/m, 0/o, cl/d) costs `LIKELY`.

    Args:
        first: a word, lower case.
        second: another.
        most: above this the exact value does not matter, and infinity is given.
    """
    if first == second:
        return 0.0
    if abs(len(first) - len(second)) > 2 * most / LIKELY:
        return float("inf")
    pairs = [second[j - 2 : j] for j in range(len(second) + 1)]  # the two letters before j
    before: list[float] = []
    above = [float(j) for j in range(len(second) + 1)]
    for i, a in enumerate(first, 1):
        one, two = _SHAPES.get(a), _SHAPES.get(first[i - 2 : i]) if i > 1 else None
        row = [float(i)]
        for j, b in enumerate(second, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and b == first[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            if one:
                if b in one:
                    cost = min(cost, above[j - 1] + LIKELY)
                if j > 1 and pairs[j] in one:
                    cost = min(cost, above[j - 2] + LIKELY)
            if two:
                if b in two:
                    cost = min(cost, before[j - 1] + LIKELY)
                if j > 1 and pairs[j] in two:
                    cost = min(cost, before[j - 2] + LIKELY)
            row.append(cost)
        if min(row) > most and min(above) > most:
            return float("inf")  # no step is taller than two rows
        before, above = above, row
    return above[-1] if above[-1] <= most else float("inf")


def respelled(word: str) -> Iterator[str]:
    """Every word that undoes one confusion of shapes in ``word``, or all its digits at once."""
    for start in range(len(word)):
        for width in (2, 1):
            shape = word[start : start + width]
            if len(shape) == width:
                for other in sorted(_SHAPES.get(shape, ())):
                    yield word[:start] + other + word[start + width :]
    if any(letter.isdigit() for letter in word):
        for letters in ("olsbg", "oisbg"):
            yield word.translate(str.maketrans("01589", letters))
