"""The table of all rows, their means, and the page that holds both."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imc_bench.metrics.bootstrap import ClusterBootstrap, Estimate, Resampled, average
from imc_bench.report.table import NOT_SHOWN, Table, percent, points, recovered
from unmatched.noises import UnmatchedNoise

HARM = 0.005
"""Accuracy that a row may lose against leaving the images alone."""


@dataclass(frozen=True)
class Outcome:
    """One way to answer under one condition."""

    right: Resampled
    flipped: Resampled


@dataclass(frozen=True)
class NoiseRow:
    """A condition, left alone and treated in each way."""

    condition: UnmatchedNoise
    alone: Outcome
    treated: dict[str, Outcome]

    def change(self, way: str) -> Resampled:
        """Of the accuracy, against leaving it alone."""
        return self.treated[way].right - self.alone.right

    def restored(self, way: str) -> float:
        """Share of flipped answers taken back, net of those made; of a row that flips some."""
        return 1.0 - self.treated[way].flipped.value / self.alone.flipped.value


def row_cells(row: NoiseRow, bootstrap: ClusterBootstrap) -> tuple[str, ...]:
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
    rows: Sequence[NoiseRow],
    bootstrap: ClusterBootstrap,
    *,
    title: str,
    ground: str,
    command: str,
    aim: float,
) -> str:
    """Markdown; `aim` is that for the mean restored share of the first table's rows."""
    ways = tuple(rows[0].treated)
    columns = ("noise", "what is new", "accuracy %", "flips %") + tuple(
        f"{way}: {what}" for way in ways for what in ("accuracy, points", "restored %")
    )
    each = tuple(row_cells(row, bootstrap) for row in rows)
    lines = [
        f"# {title}",
        "",
        f"{datetime.date.today().isoformat()}, by `{command}`: {ground}; noise at the model's",
        "input resolution, seed 0. Intervals are 95 %, bootstrapped by image.",
        "",
        "*Flips*: answers unlike the model's own on the clean image; *restored*: the share of",
        "them that is gone, net of those that calibration makes. *Accuracy, points*: against",
        "leaving the noisy image alone.",
        "",
        _means(rows, bootstrap).markdown(),
        f"The aim for the mean restored of the first table's rows is {percent(aim)} %, and that no",
        "row loses more than half a point of accuracy.",
        "",
        *(_harm(rows, bootstrap, way) for way in ways),
        "",
        Table("unmatched", "Rows", columns, each).markdown(),
    ]
    return "\n".join(lines)


def _means(rows: Sequence[NoiseRow], bootstrap: ClusterBootstrap) -> Table:
    """Over rows that have the same thing new, over the first table's, over all."""
    # a dictionary keeps their order
    news = dict.fromkeys(row.condition.new for row in rows)
    groups = {new: [row for row in rows if row.condition.new == new] for new in news}
    first = [row for row in rows if row.condition.first]
    if first:
        groups["the first table's rows"] = first
    groups["all"] = list(rows)
    return Table(
        "unmatched-means",
        "Means over rows",
        ("what is new", "rows", "accuracy %", "flips %")
        + tuple(
            f"{way}: {what}"
            for way in rows[0].treated
            for what in ("accuracy, points", "mean restored %", "of all flips restored %")
        ),
        tuple(_mean_cells(name, some, bootstrap) for name, some in groups.items()),
    )


def _mean_cells(
    name: str, rows: Sequence[NoiseRow], bootstrap: ClusterBootstrap
) -> tuple[str, ...]:
    cells = [
        name,
        str(len(rows)),
        percent(average([row.alone.right for row in rows]).value),
        percent(average([row.alone.flipped for row in rows]).value),
    ]
    for way in rows[0].treated:
        cells += [
            points(bootstrap.estimate(average([row.change(way) for row in rows]))),
            _mean(rows, way),
            recovered(_restored(bootstrap, rows, way)),
        ]
    return tuple(cells)


def _harm(rows: Sequence[NoiseRow], bootstrap: ClusterBootstrap, way: str) -> str:
    harmed = [row for row in rows if row.change(way).value < -HARM]
    sure = [row for row in harmed if bootstrap.estimate(row.change(way)).high < 0]
    names = ", ".join(f"{row.condition.name} ({100 * row.change(way).value:.1f})" for row in harmed)
    named = f": {names}; the interval leaves out 0 in {len(sure)} of them" if harmed else ""
    return f"- {way}: {len(harmed)} of {len(rows)} rows lose more{named}."


def _mean(rows: Sequence[NoiseRow], way: str) -> str:
    shares = [row.restored(way) for row in rows if row.alone.flipped.value > 0]
    return percent(float(np.mean(shares))) if shares else NOT_SHOWN


def _restored(bootstrap: ClusterBootstrap, rows: Sequence[NoiseRow], way: str) -> Estimate | None:
    before = average([row.alone.flipped for row in rows])
    after = average([row.treated[way].flipped for row in rows])
    return bootstrap.removed_share(before, after)
