"""A quicker way through a model, taken once it has given what whole passes give.

Families differ in caches, masks and positions, and a forward that heeds none of them raises
nothing: it answers something else. So every quicker way is tried on the first work it would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["Logprobs", "VerifiedFastPath"]

Logprobs = Mapping[Any, Sequence[float]]
"""What a way gives: log-probabilities in nats, by text."""

_TOLERANCE = 1e-2
"""Nats a token; float32 agrees to 1e-5, bfloat16 to a few 1e-3."""
_UNFIT = (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError)
"""What a model raises that has a cache of another kind, or takes no such mask."""


class VerifiedFastPath:
    """One quicker way through one model.

    Attributes:
        agrees: whether it gives what whole passes give; None until it was tried.
    """

    def __init__(self) -> None:
        self.agrees: bool | None = None

    def rule_out(self) -> None:
        """Never take it: the model is known to be of another kind."""
        self.agrees = False

    def holds(self, quick: Callable[[], Logprobs], plain: Callable[[], Logprobs]) -> bool:
        """Whether it may be taken; the first call tries it.

        Args:
            quick: does some work the quick way.
            plain: does the same work in whole passes.
        """
        if self.agrees is None:
            self.agrees = _agree(quick, plain)
        return self.agrees


def _agree(quick: Callable[[], Logprobs], plain: Callable[[], Logprobs]) -> bool:
    try:
        found = quick()
    except _UNFIT:
        return False
    expected = plain()
    return found.keys() == expected.keys() and all(
        len(found[text]) == len(values)
        and all(abs(a - b) <= _TOLERANCE for a, b in zip(found[text], values, strict=True))
        for text, values in expected.items()
    )
