"""How far one text is from another: in characters, and in protected tokens."""

from __future__ import annotations

import numpy as np

from imc_agents.protected import protected_violations


def character_error(reference: str, text: str) -> float:
    """Levenshtein distance over the reference's length (at least 1): 0 for the same text.

    Rows of the table are filled by NumPy; an insertion costs 1, so a running minimum of
    (cost - position) carries it along the row.
    """
    if reference == text:
        return 0.0
    first = np.array([ord(c) for c in text], dtype=np.int64)
    position = np.arange(len(first) + 1)
    row = position.copy()
    for number, character in enumerate(reference, start=1):
        fresh = np.empty_like(row)
        fresh[0] = number
        fresh[1:] = np.minimum(row[1:] + 1, row[:-1] + (first != ord(character)))
        row = np.minimum.accumulate(fresh - position) + position
    return float(row[-1]) / max(1, len(reference))


def new_violations(clean: str, given: str, asked: str) -> list[str]:
    """Protected tokens that `asked` has wrong against the clean question and `given` had not.

    What the noise did to the question given is not the method's doing, and taking out what the
    noise put in (a foreign sentence with a number in it) is no violation.
    """
    if asked == given:
        return []
    before = protected_violations(clean, given)
    return [why for why in protected_violations(clean, asked) if why not in before]
