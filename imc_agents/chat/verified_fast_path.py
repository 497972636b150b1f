"""A faster computation of a model's outputs, used only after it has reproduced the plain one.

Model families differ in caches, attention masks and positions, and a forward pass that ignores one
of them raises no error but returns other numbers. So a fast path is compared once, on the first
work that it would do, with plain forward passes over whole prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from imc_core.memory import is_out_of_memory

__all__ = ["Logprobs", "VerifiedFastPath"]

Logprobs = Mapping[Any, Sequence[float]]
"""Output of a path: log-probabilities in nats, by text."""

_TOLERANCE = 1e-2
"""Largest difference in nats per token; float32 agrees to 1e-5, bfloat16 to a few 1e-3."""
_UNSUPPORTED = (
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors of a model that has another kind of cache, or does not take such a mask."""


class VerifiedFastPath:
    """Whether one fast path gives the plain results for one model.

    Attributes:
        agrees: the outcome of the comparison; None until it was made.
    """

    def __init__(self) -> None:
        self.agrees: bool | None = None

    def rule_out(self) -> None:
        """Never use the path: the model is known not to support it."""
        self.agrees = False

    def verify(self, fast: Callable[[], Logprobs], plain: Callable[[], Logprobs]) -> bool:
        """Whether the path may be used; the first call compares it with plain passes.

        Args:
            fast: computes some outputs by the fast path.
            plain: computes the same outputs by plain forward passes.
        """
        if self.agrees is None:
            self.agrees = _agree(fast, plain)
        return self.agrees


def _agree(fast: Callable[[], Logprobs], plain: Callable[[], Logprobs]) -> bool:
    try:
        found = fast()
    except _UNSUPPORTED as error:
        if is_out_of_memory(error):
            raise  # it says nothing of the path
        return False
    expected = plain()
    return found.keys() == expected.keys() and all(
        len(found[text]) == len(values)
        and all(abs(a - b) <= _TOLERANCE for a, b in zip(found[text], values, strict=True))
        for text, values in expected.items()
    )
