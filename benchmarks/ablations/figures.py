"""Figures of the rows, with intervals by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from measurement import Measurement, Responses

from ablations.cells import CLEAN, GRID, MIXED, Cell
from ablations.plan import NONE, Part
from imc_bench.metrics.bootstrap import LEAST_DROP, Estimate, Resampled, average
from imc_bench.metrics.statistics import answer_flips, share
from imc_bench.report.table import Table, percent, recovered, shown_estimate
from imc_noise import CORE_IMAGE

COLUMNS = (
    "row",
    "accuracy %",
    "recovered %",
    "flips %",
    "flips restored %",
    "of two noises: restored %",
    "noisy images changed %",
    "clean images changed %",
    "clean answers flipped %",
)


@dataclass
class Figures:
    """Computes the rows of tables from stored answers."""

    measurement: Measurement
    store: Path

    def __post_init__(self) -> None:
        self._rates: dict[tuple[str, str, Cell], Resampled] = {}
        self.bootstrap = self.measurement.bootstrap
        self.images = len(self.measurement.clusters)
        self.own = self._responses(NONE, CLEAN).answers
        right = self._right(NONE, CLEAN)
        self.right_when_clean = right
        self.lost = [
            cell
            for cell in GRID
            if right.value - self._right(NONE, cell).value >= LEAST_DROP - 1e-12
        ]

    def table(self, part: Part) -> Table:
        """A part's rows."""
        rows = tuple(self._row(row) for row in part.rows)
        return Table(part.letter, f"{part.letter}. {part.title}", COLUMNS, rows, part.note)

    def by_kind(self, part: Part) -> Table:
        """Flips restored, by kind."""
        return Table(
            f"{part.letter}-kinds",
            f"{part.letter}. {part.title}: flips restored % by kind",
            ("row", *CORE_IMAGE),
            tuple(
                (row, *(recovered(self._restored(row, of_kind(kind))) for kind in CORE_IMAGE))
                for row in part.rows
                if row != NONE
            ),
        )

    def _row(self, row: str) -> tuple[str, ...]:
        accuracy = average([self._right(row, cell) for cell in GRID])
        flips = average([self._flipped(row, cell) for cell in GRID])
        changed = [self._responses(row, cell).touched for cell in GRID]
        clean = share(self._responses(row, CLEAN).touched, self.images)
        return (
            row,
            shown_estimate(self.bootstrap.estimate(accuracy)),
            recovered(self._recovered(row)),
            shown_estimate(self.bootstrap.estimate(flips)),
            recovered(self._restored(row, GRID)),
            recovered(self._restored(row, MIXED)),
            percent(sum(changed) / (len(changed) * self.images)),
            shown_estimate(clean),
            shown_estimate(self.bootstrap.estimate(self._flipped(row, CLEAN))),
        )

    def _recovered(self, row: str) -> Estimate | None:
        """Of the accuracy lost in those cells that lost at least three points, all together."""
        if row == NONE or not self.lost:
            return None
        noisy = average([self._right(NONE, cell) for cell in self.lost])
        repaired = average([self._right(row, cell) for cell in self.lost])
        return self.bootstrap.recovered_share(self.right_when_clean, noisy, repaired)

    def _restored(self, row: str, cells: Sequence[Cell]) -> Estimate | None:
        """Of the answers that noise flips in those cells, net of those that the row flips."""
        if row == NONE:
            return None
        before = average([self._flipped(NONE, cell) for cell in cells])
        after = average([self._flipped(row, cell) for cell in cells])
        return self.bootstrap.removed_share(before, after)

    def _right(self, row: str, cell: Cell) -> Resampled:
        if ("right", row, cell) not in self._rates:
            given = self._responses(row, cell)
            self._rates["right", row, cell] = self.bootstrap.rate(given.right)
        return self._rates["right", row, cell]

    def _flipped(self, row: str, cell: Cell) -> Resampled:
        if ("flipped", row, cell) not in self._rates:
            flipped = answer_flips(self.own, self._responses(row, cell).answers)
            self._rates["flipped", row, cell] = self.bootstrap.rate(flipped)
        return self._rates["flipped", row, cell]

    def _responses(self, row: str, cell: Cell) -> Responses:
        return self.measurement.responses(self.store, cell.name, row)


def of_kind(kind: str) -> list[Cell]:
    """The grid's cells of one kind."""
    return [cell for cell in GRID if cell.noises[0][0] == kind]
