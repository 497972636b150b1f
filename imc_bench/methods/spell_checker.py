"""A dictionary spell checker, as the text baseline: symspellpy with its own English words."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

_WORD = re.compile(r"(?<!\w)[A-Za-z]+(?:'[A-Za-z]+)?(?!\w)")
"""Letters alone: "T2" is no word of any dictionary, and no checker's user would want it changed."""
MOST_EDITS = 2  # symspellpy's own default


class SpellChecker:
    """Replaces each word that the dictionary lacks by its nearest, most frequent neighbour."""

    def __init__(self) -> None:
        from symspellpy import SymSpell

        self._speller: Any = SymSpell(max_dictionary_edit_distance=MOST_EDITS)
        words = resources.files("symspellpy") / "frequency_dictionary_en_82_765.txt"
        with resources.as_file(words) as path:
            self._speller.load_dictionary(str(path), term_index=0, count_index=1)

    def __call__(self, text: str) -> str:
        """The text with its words checked; everything between words stays as it is."""
        return _WORD.sub(lambda match: self._nearest(match.group()), text)

    def _nearest(self, word: str) -> str:
        from symspellpy import Verbosity

        found = self._speller.lookup(
            word,
            Verbosity.TOP,
            max_edit_distance=MOST_EDITS,
            include_unknown=True,
            transfer_casing=True,
        )
        return str(found[0].term) if found else word
