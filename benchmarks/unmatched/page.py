"""The table of all rows, their means, and the page that holds both."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imc_bench.bootstrap import ClusterBootstrap, Drawn, Estimate, average
from imc_bench.report.table import NOT_SHOWN, Table, percent, points, recovered
from unmatched.noises import Condition

AIM = 0.55
"""Of the mean restored over the rows of the first table."""
HARM = 0.005
"""Accuracy that a row may lose against leaving the images alone."""


@dataclass(frozen=True)
class Way:
    """One way to answer under one condition."""

    right: Drawn
    flipped: Drawn


@dataclass(frozen=True)
class Row:
    """A condition, left alone and treated in each way."""

    condition: Condition
    alone: Way
    treated: dict[str, Way]

    def change(self, way: str) -> Drawn:
        """Of the accuracy, against leaving it alone."""
        return self.treated[way].right - self.alone.right

    def restored(self, way: str) -> float:
        """Share of flipped answers taken back, net of those made; of a row that flips some."""
        return 1.0 - self.treated[way].flipped.value / self.alone.flipped.value


def row_cells(row: Row, bootstrap: ClusterBootstrap) -> tuple[str, ...]:
    """One line of the table."""
    cells = [
        row.condition.name,
        row.condition.new,
        percent(row.alone.right.value),
        percent(row.alone.flipped.value),
    ]
    for way in row.treated:
        cells += [
            points(bootstrap.estimate(row.change(way))),
            recovered(_restored(bootstrap, [row], way)),
        ]
    return tuple(cells)


def make_page(
    rows: Sequence[Row], bootstrap: ClusterBootstrap, *, title: str, ground: str, command: str
) -> str:
    """Markdown."""
    ways = tuple(rows[0].treated)
    columns = ("noise", "what is new", "accuracy %", "flips %") + tuple(
        f"{way}: {what}" for way in ways for what in ("accuracy, points", "restored %")
    )
    table = Table("unmatched", "Rows", columns, tuple(row_cells(row, bootstrap) for row in rows))
    return "\n".join(
        [
            f"# {title}",
            "",
            f"{datetime.date.today().isoformat()}, by `{command}`: {ground}; noise at the model's",
            "input resolution, seed 0. Intervals are 95 %, bootstrapped by image.",
            "",
            "*Flips*: answers unlike the model's own on the clean image; *restored*: the share of",
            "them that is gone, net of those that calibration makes. *Accuracy, points*: against",
            "leaving the noisy image alone.",
            "",
            *(line for way in ways for line in _means(rows, bootstrap, way)),
            "",
            table.markdown(),
        ]
    )


def _means(rows: Sequence[Row], bootstrap: ClusterBootstrap, way: str) -> list[str]:
    first = [row for row in rows if row.condition.first]
    # a dictionary keeps their order
    news = dict.fromkeys(row.condition.new for row in rows)
    by_new = ", ".join(
        f"{new} {_mean([row for row in rows if row.condition.new == new], way)}" for new in news
    )
    pooled = recovered(_restored(bootstrap, rows, way))
    lines = [
        f"- **{way}**: mean restored {_mean(first, way)} over the first table's rows "
        f"({len(first)}; aim {AIM}), {_mean(rows, way)} over all {len(rows)} ({by_new}); of all "
        f"flips of all rows together {pooled} %.",
    ]
    harmed = [row for row in rows if row.change(way).value < -HARM]
    sure = [row for row in harmed if bootstrap.estimate(row.change(way)).high < 0]
    names = ", ".join(f"{row.condition.name} ({100 * row.change(way).value:.1f})" for row in harmed)
    lines.append(
        f"  Rows that lose more than half a point: {len(harmed)} of {len(rows)}"
        + (f" - {names}; the interval leaves out 0 in {len(sure)} of them." if harmed else ".")
    )
    return lines


def _mean(rows: Sequence[Row], way: str) -> str:
    shares = [row.restored(way) for row in rows if row.alone.flipped.value > 0]
    return f"{np.mean(shares):.2f}" if shares else NOT_SHOWN


def _restored(bootstrap: ClusterBootstrap, rows: Sequence[Row], way: str) -> Estimate | None:
    before = average([row.alone.flipped for row in rows])
    after = average([row.treated[way].flipped for row in rows])
    none = Drawn(0.0, np.zeros_like(before.draws))
    return bootstrap.recovered_share(none, none - before, none - after, least_drop=1e-9)
