"""Words of a model's or a hospital's own list that misspell one of the clinic's."""

from __future__ import annotations

from imc_agents.language.lexicon import known_words
from imc_agents.language.word_distance import edit_distance

LONG = 6
"""Letters from which two edits do not make another word of the clinic by chance."""


def misspells(word: str, other: str) -> bool:
    """A long word of a model's own questions, or of a hospital's, is two edits at most from one of
    the clinic's that is shipped ("saggital", "sagittal")."""
    shipped = known_words()
    if word in shipped or len(word) < LONG:
        return False
    return other in shipped.clinical and edit_distance(word, other, 2) <= 2
