"""Horizontal positions in a layered drawing: each node near its neighbours, none over another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SWEEPS = 24
"""Passes over the rows; positions of the graphs that were tried moved by under a pixel after 12."""


def place_columns(
    rows: Sequence[Sequence[str]],
    links: Sequence[tuple[str, str]],
    widths: Mapping[str, float],
    gap: float,
) -> dict[str, float]:
    """The centre of each node; the leftmost edge of all is at 0.

    Each row in turn is placed so that the squared distances to the mean of each node's neighbours
    are least, in the given order and with `gap` between two nodes.

    Args:
        rows: ids, left to right.
        links: pairs in adjacent rows.
        widths: of each id.
        gap: least distance between two nodes of a row.
    """
    near: dict[str, list[str]] = {}
    for one, other in links:
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    centres: dict[str, float] = {}
    for row in rows:
        left = 0.0
        for node in row:
            centres[node] = left + widths[node] / 2
            left += widths[node] + gap
        middle = (left - gap) / 2
        for node in row:
            centres[node] -= middle
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for node in row:
                beside = [centres[other] for other in near.get(node, ())]
                wanted.append(sum(beside) / len(beside) if beside else centres[node])
            centres.update(zip(row, _apart(row, wanted, widths, gap), strict=True))
    leftmost = min((centres[node] - widths[node] / 2 for row in rows for node in row), default=0.0)
    return {node: centre - leftmost for node, centre in centres.items()}


def _apart(
    row: Sequence[str], wanted: Sequence[float], widths: Mapping[str, float], gap: float
) -> list[float]:
    """The positions nearest to `wanted` that keep order and distances (pool adjacent violators)."""
    offsets = [0.0]
    for left, right in zip(row, row[1:], strict=False):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + gap)
    pools: list[tuple[float, int]] = []  # mean of (wanted - offset), and how many nodes share it
    for position, offset in zip(wanted, offsets, strict=True):
        mean, count = position - offset, 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean = (before * many + mean * count) / (many + count)
            count += many
        pools.append((mean, count))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
