"""Text in Unicode's composed form (NFC) with the places of its characters in the original."""

from __future__ import annotations

import unicodedata


def composed(text: str) -> tuple[str, list[int]]:
    """A text in NFC, and for each of its characters, and its end, the place in the original.

    A letter and the marks that follow it ("e" and a combining acute) become one character where
    Unicode has one; the place is that of the letter.
    """
    if unicodedata.is_normalized("NFC", text):
        return text, list(range(len(text) + 1))
    parts: list[str] = []
    places: list[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and unicodedata.combining(text[end]):
            continue
        part = unicodedata.normalize("NFC", text[start:end])
        parts.append(part)
        places += [start] * len(part)
        start = end
    return "".join(parts), [*places, len(text)]
