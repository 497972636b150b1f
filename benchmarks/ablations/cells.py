"""The noises that the ablations put on: a grid, mixtures, and severities that a bank may lack."""

from __future__ import annotations

from dataclasses import dataclass

from imc_noise import CORE_IMAGE


@dataclass(frozen=True)
class Cell:
    """Noises put on one after the other; none for clean."""

    noises: tuple[tuple[str, float], ...] = ()
    """(kind, severity) each."""

    @property
    def name(self) -> str:
        """`gaussian 3`, `low_contrast 3 then gaussian 4`, or `clean`."""
        return " then ".join(f"{kind} {severity:g}" for kind, severity in self.noises) or "clean"


def _grid(severities: tuple[float, ...]) -> tuple[Cell, ...]:
    return tuple(Cell(((kind, severity),)) for kind in CORE_IMAGE for severity in severities)


CLEAN = Cell()
GRID = _grid((3, 5))
MIXED = (
    Cell((("low_contrast", 3), ("gaussian", 4))),
    Cell((("bias_field", 3), ("ghosting", 3))),
)
BETWEEN = _grid((2, 4))
"""Severities that a bank of 1, 3 and 5 lacks."""
OFF_GRID = _grid((1.5, 2.5, 3.5, 4.5))
EVERY = (CLEAN, *GRID, *MIXED)
"""What a row is measured on unless it says otherwise."""


def of_kind(kind: str) -> tuple[Cell, ...]:
    """The grid's cells of one kind."""
    return tuple(cell for cell in GRID if cell.noises[0][0] == kind)
