"""Figures of the rows, with intervals by image, and the page that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from measurement import Responses

from ablations.cells import CLEAN, Cell
from ablations.plan import NONE, Line, Part, Run, store_of
from ablations.setup import Setup
from imc_bench.bootstrap import LEAST_DROP, Estimate, Resampled, average
from imc_bench.report.table import NOT_SHOWN, Table, recovered, shown_estimate
from imc_bench.statistics import answer_flips, share
from imc_noise import CORE_IMAGE

COLUMNS = (
    "row",
    "accuracy %",
    "recovered %",
    "flips %",
    "flips restored %",
    "of two noises: restored %",
    "clean images touched %",
    "clean answers flipped %",
)


@dataclass
class Figures:
    """Computes the rows of tables from stored answers."""

    setup: Setup
    runs: Mapping[str, Run]

    def __post_init__(self) -> None:
        self._rates: dict[tuple[str, str, Cell], Resampled] = {}
        self.bootstrap = self.setup.measurement.bootstrap
        self.own = self._responses(NONE, CLEAN)
        self.right_when_clean = self._right(NONE, CLEAN)

    def table(self, part: Part) -> Table:
        """A part's rows."""
        return Table(
            part.letter,
            f"{part.letter}. {part.title}",
            COLUMNS,
            tuple(self._row(line) for line in part.lines),
            part.note,
        )

    def by_kind(self, part: Part) -> Table:
        """Flips restored, by kind: of a part whose rows hold every kind."""
        lines = [
            line
            for line in part.lines
            if len(_kinds(line)) == len(CORE_IMAGE) and not _is_plain(line)
        ]
        return Table(
            f"{part.letter}-kinds",
            f"{part.letter}. {part.title}: flips restored % by kind",
            ("row", *CORE_IMAGE),
            tuple(
                (
                    line.label,
                    *(
                        recovered(self._restored(line, [c for c in _single(line) if _of(c, kind)]))
                        for kind in CORE_IMAGE
                    ),
                )
                for line in lines
            ),
        )

    def _row(self, line: Line) -> tuple[str, ...]:
        single = _single(line)
        mixed = [cell for cell in line.runs if len(cell.noises) > 1]
        accuracy = average([self._right(line.runs[cell], cell) for cell in single])
        flips = average([self._flipped(line.runs[cell], cell) for cell in single])
        return (
            line.label,
            shown_estimate(self.bootstrap.estimate(accuracy)),
            recovered(self._recovered(line, single)),
            shown_estimate(self.bootstrap.estimate(flips)),
            recovered(self._restored(line, single)),
            recovered(self._restored(line, mixed)),
            *self._clean(line),
        )

    def _recovered(self, line: Line, cells: Sequence[Cell]) -> Estimate | None:
        """Of the accuracy lost in those cells that lost at least three points, all together."""
        if _is_plain(line):
            return None
        lost = [
            cell
            for cell in cells
            if self.right_when_clean.value - self._right(NONE, cell).value >= LEAST_DROP - 1e-12
        ]
        if not lost:
            return None
        noisy = average([self._right(NONE, cell) for cell in lost])
        repaired = average([self._right(line.runs[cell], cell) for cell in lost])
        return self.bootstrap.recovered_share(self.right_when_clean, noisy, repaired)

    def _restored(self, line: Line, cells: Sequence[Cell]) -> Estimate | None:
        """Of the answers that noise flips in those cells, net of those that the row flips."""
        if not cells or _is_plain(line):
            return None
        before = average([self._flipped(NONE, cell) for cell in cells])
        after = average([self._flipped(line.runs[cell], cell) for cell in cells])
        return self.bootstrap.removed_share(before, after)

    def _clean(self, line: Line) -> tuple[str, str]:
        if not line.clean:
            return NOT_SHOWN, NOT_SHOWN
        touched = self._responses(line.clean, CLEAN).touched
        flips = self.bootstrap.estimate(self._flipped(line.clean, CLEAN))
        images = len(self.setup.measurement.clusters)
        return shown_estimate(share(touched, images)), shown_estimate(flips)

    def _right(self, run: str, cell: Cell) -> Resampled:
        if ("right", run, cell) not in self._rates:
            given = self._responses(run, cell)
            self._rates["right", run, cell] = self.bootstrap.rate(given.right)
        return self._rates["right", run, cell]

    def _flipped(self, run: str, cell: Cell) -> Resampled:
        if ("flipped", run, cell) not in self._rates:
            flipped = answer_flips(self.own.answers, self._responses(run, cell).answers)
            self._rates["flipped", run, cell] = self.bootstrap.rate(flipped)
        return self._rates["flipped", run, cell]

    def _responses(self, run: str, cell: Cell) -> Responses:
        store = store_of(self.setup, run, self.runs[run])
        return self.setup.measurement.responses(store, cell.name, run)


def _is_plain(line: Line) -> bool:
    return set(line.runs.values()) == {NONE}


def _single(line: Line) -> list[Cell]:
    return [cell for cell in line.runs if len(cell.noises) == 1]


def _of(cell: Cell, kind: str) -> bool:
    return cell.noises[0][0] == kind


def _kinds(line: Line) -> set[str]:
    return {cell.noises[0][0] for cell in _single(line)}
