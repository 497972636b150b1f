"""Strict scoring of short answers.

Lower-case, articles and punctuation stripped. Closed: yes or no is looked for at word boundaries
and an answer with both or neither is wrong; other closed answers are exact match. Open: likewise.
"""

import re

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = re.compile(r"[^\w\s]|_")
_YES_NO = re.compile(r"\b(yes|no)\b")


def normalise_answer(answer: str) -> str:
    """Lower-case words without articles or punctuation, joined by single spaces."""
    bare = _PUNCTUATION.sub(" ", answer.lower())
    return " ".join(_ARTICLES.sub(" ", bare).split())


def is_right(predicted: str, expected: str, *, closed: bool) -> bool:
    """Whether `predicted` is right under the strict rule."""
    said, truth = normalise_answer(predicted), normalise_answer(expected)
    if closed and truth in ("yes", "no"):
        return set(_YES_NO.findall(said)) == {truth}
    return said == truth
