"""Two branches of one thread: where they part, what ran on each, and what differs at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphs.debugging.history import Checkpoint, lineage
from graphs.debugging.values import Change, changes

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True)
class Comparison:
    """Two checkpoints of one thread, compared."""

    first: Checkpoint
    second: Checkpoint
    common: Checkpoint | None
    """The last checkpoint that led to both; None where their runs began apart."""
    first_path: tuple[Checkpoint, ...]
    """What led from there to the first."""
    second_path: tuple[Checkpoint, ...]
    """What led from there to the second."""
    differing: tuple[Change, ...]
    """Keys whose values differ: `before` is the first's value, `after` the second's."""


def compare(history: Sequence[Checkpoint], first: Checkpoint, second: Checkpoint) -> Comparison:
    """Compare two checkpoints of a history."""
    one, other = lineage(history, first), lineage(history, second)
    shared = 0
    while shared < min(len(one), len(other)) and one[shared].id == other[shared].id:
        shared += 1
    return Comparison(
        first=first,
        second=second,
        common=one[shared - 1] if shared else None,
        first_path=tuple(one[shared:]),
        second_path=tuple(other[shared:]),
        differing=changes(first.values, second.values),
    )
