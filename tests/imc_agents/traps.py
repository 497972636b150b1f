"""Clinical questions with what a correction must not touch, clean and with one typo elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imc_agents.language.lexicon import known_words
from imc_agents.language.words import may_be_judged, words_of
from imc_agents.safeguards.protected import find_protected
from imc_noise import apply_text, noise_rng

FILE = Path(__file__).parent / "data" / "traps.tsv"
SHORTEST = 5
"""Letters of a word that gets a typo: a shorter one may become another word."""


@dataclass(frozen=True)
class Trap:
    """One question of the list."""

    kind: str
    """What it holds: grade, abbreviation, dosing, context, ..."""
    question: str


def read_traps() -> list[Trap]:
    """The list of `data/traps.tsv`, in order."""
    lines = FILE.read_text("utf-8").splitlines()
    return [Trap(*line.split("\t")) for line in lines if line and not line.startswith("#")]


def with_one_typo(question: str) -> str | None:
    """The question with one word misspelt that is not protected; None where there is none."""
    lexicon = known_words()
    taken = [(token.start, token.end) for token in find_protected(question)]
    for word in reversed(words_of(question)):
        free = not any(start < word.end and word.start < end for start, end in taken)
        if free and may_be_judged(word) and len(word.text) >= SHORTEST and word.text in lexicon:
            rng = noise_rng(question, "typo", 1, 0)
            slip = apply_text("typo", word.text, 1, rng)
            if slip not in lexicon:
                return question[: word.start] + slip + question[word.end :]
    return None
