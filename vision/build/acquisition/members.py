"""Members while fitting: each without one fold of the references, or without two.

A fit without two folds serves trial restorations of references that neither member of it has met.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Pairs = Sequence[tuple[int, int]]


def pairs_of(folds: int) -> list[tuple[int, int]]:
    """The folds that each member leaves out: (a, a) for one alone, (a, b) for two."""
    return [(a, b) for a in range(folds) for b in range(a, folds)]


def single(pairs: Pairs) -> Tensor:
    """Indices of the members without one fold alone, in the order of the folds."""
    return torch.tensor([i for i, (a, b) in enumerate(pairs) if a == b])


def without_two(pairs: Pairs, fold: int) -> Tensor:
    """Indices of the members without a fold and one other."""
    return torch.tensor([i for i, (a, b) in enumerate(pairs) if a != b and fold in (a, b)])
