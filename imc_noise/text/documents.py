"""Noise of documents: a scanned page's line ends (ocr_line_breaks), a censor (redaction)."""

from __future__ import annotations

import numpy as np

from imc_noise.text.dictation import FUNCTION_WORDS
from imc_noise.text.words import Word, how_many, replaced, share, units_of, words_of

BREAK_RATES = (0.10, 0.20, 0.30, 0.45, 0.60)
"""Share of the places where a line may end that become one at severity 1..5."""

REDACTION_RATES = (0.10, 0.20, 0.30, 0.40, 0.50)
"""Share of the words blacked out at severity 1..5 (at least one, never the last one left)."""

CONTENT_WEIGHT = 3.0
"""How much sooner a content word is blacked out than a function word."""

SHORTEST_DIVIDED = 6
"""Letters from which a word may be divided at a line's end."""

BLACKED_OUT = "___"
"""What stands for a removed word in de-identified notes (as in MIMIC-IV)."""


def ocr_line_breaks(text: str, severity: float, rng: np.random.Generator) -> str:
    """A scanned column read line by line: line ends between words, and hyphens that divide words.

    A place is a space (which becomes a line end) or a word of six letters or more (which is divided
    after its second letter or later, "effu-" and "sion"). Nothing else changes.
    """
    breaks: dict[Word, str] = {}
    for word in words_of(text):
        if len(word.text) >= SHORTEST_DIVIDED and word.text.isalpha():
            cut = int(rng.integers(2, len(word.text) - 1))
            breaks[word] = f"{word.text[:cut]}-\n{word.text[cut:]}"
    inner = text.strip()
    start = text.index(inner)
    for at in range(start, start + len(inner)):
        if text[at] == " ":
            breaks[Word(at, at + 1, " ")] = "\n"
    spans = list(breaks)
    order = rng.permutation(len(spans))
    count = how_many(share(BREAK_RATES, severity), len(spans))
    return replaced(text, {spans[i]: breaks[spans[i]] for i in order[:count]})


def redaction(text: str, severity: float, rng: np.random.Generator) -> str:
    """An over-zealous de-identification blacks out words ("___"), content words first.

    At least one word always stays, so a text of one word comes back as it was.
    """
    words = units_of(text)
    if len(words) < 2:
        return text
    weights = np.array(
        [1.0 if word.text.lower() in FUNCTION_WORDS else CONTENT_WEIGHT for word in words]
    )
    # Smallest exponential first: weighted sampling without replacement (Efraimidis-Spirakis).
    order = np.argsort(rng.exponential(size=len(words)) / weights)
    count = min(how_many(share(REDACTION_RATES, severity), len(words)), len(words) - 1)
    return replaced(text, {words[i]: BLACKED_OUT for i in order[:count]})
