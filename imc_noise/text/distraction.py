"""Noise around the question: clinical sentences that have nothing to do with it (distractor)."""

from __future__ import annotations

from functools import cache

import numpy as np

from imc_noise.data_files import read_table
from imc_noise.text.dictation import FUNCTION_WORDS
from imc_noise.text.words import share, words_of

WORD_BUDGETS = (5.0, 12.0, 19.0, 26.0, 33.0)
"""Words of distraction at severity 1..5: sentences are added until there are as many."""

ENDS = tuple(".?!…。？！")


def distractor(text: str, severity: float, rng: np.random.Generator) -> str:
    """Irrelevant sentences (`data/distractors.tsv`) before or after the question.

    One sentence at severity 1, three to five at severity 5. None shares a content word with the
    question, so none bears on it. A text that does not end like a sentence gets them in front,
    so that it does not run into them. The question itself is not touched.
    """
    asked = _content(text)
    fitting = [line for line, said in _sentences().items() if not asked & said]
    fitting = fitting or list(_sentences())
    order = rng.permutation(len(fitting))
    sides = rng.integers(2, size=len(fitting))
    may_follow = text.rstrip().endswith(ENDS)
    before: list[str] = []
    after: list[str] = []
    words = 0
    for i in order:
        if words >= share(WORD_BUDGETS, severity):
            break
        words += len(words_of(fitting[i]))
        (after if may_follow and sides[i] else before).append(fitting[i])
    return " ".join([*before, text.strip(), *after])


def _content(text: str) -> frozenset[str]:
    """The words of `text` that bear meaning, lower-case."""
    words = (word.text.lower().replace("’", "'").removesuffix("'s") for word in words_of(text))
    return frozenset(words) - FUNCTION_WORDS


@cache
def _sentences() -> dict[str, frozenset[str]]:
    """Each sentence of the table with its content words."""
    return {row[0]: _content(row[0]) for row in read_table("distractors.tsv")}
