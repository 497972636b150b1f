"""The word lists of the lexicon, read from files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

DICTIONARY = "frequency_dictionary_en_82_765.txt"
EVERYDAY = 30_000_000
"""Count in symspell's dictionary from which a word is everyday English (about 2,500 words)."""
OBSCURE = 300_000
"""Count below which a word of that dictionary is met by readers of it only (the rarer half)."""


def english_counts() -> dict[str, int]:
    """Word to count in Google Books, from the dictionary that symspellpy carries."""
    text = files("symspellpy").joinpath(DICTIONARY).read_text("utf-8-sig")
    cells = text.split()
    return dict(zip(cells[::2], map(int, cells[1::2]), strict=True))


@lru_cache(maxsize=1)
def medical_words() -> frozenset[str]:
    """Our list of radiology and pathology, lower case."""
    return frozenset(
        files("imc_agents").joinpath("data/medical_terms.txt").read_text("utf-8").split()
    )


@lru_cache(maxsize=1)
def shorthand() -> frozenset[str]:
    """Clinical shorthand that no dictionary holds ("sah", "ggo", "bilat"), lower case: what notes
    abbreviate, but for what is likelier a slip of a word that questions are made of ("ls", "thr").
    """
    return frozenset(files("imc_agents").joinpath("data/shorthand.txt").read_text("utf-8").split())


def own_counts(path: Path) -> Iterator[tuple[str, int]]:
    """Lines ``word<TAB>count`` of a hospital's file; without a count, 1.

    Raises:
        ValueError: one line with the path and the number of the line.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"vocabulary {path}: cannot be read as UTF-8 text") from None
    for number, line in enumerate(lines, 1):
        word, _, count = line.partition("\t")
        if not word.strip() or line.startswith("#"):
            continue
        if " " in word.strip() or not (count.strip() or "1").isdecimal():
            raise ValueError(f"vocabulary {path}, line {number}: expected word<TAB>count")
        yield word.strip().lower(), int(count.strip() or 1)


def sound_table(text: str) -> dict[str, tuple[str, ...]]:
    """Tab-separated groups of words or phrases, to each one the others of its groups."""
    groups: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            group = [cell.strip() for cell in line.split("\t") if cell.strip()]
            for word in group:
                others = tuple(other for other in group if other != word)
                groups[word] = (*groups.get(word, ()), *others)
    return {word: tuple(dict.fromkeys(others)) for word, others in groups.items()}
