"""Phantoms as a data set: drawn from a seed, with answers known from the simulation."""

from __future__ import annotations

from imc_bench.items import PHANTOM_SIZE, BenchItem, PhantomSource
from imc_reference.phantoms import make_phantom
from imc_reference.questions import phantom_pairs

SPLIT = "test"
IMAGES = 200
"""About 1,300 questions, somewhat more than the test split of SLAKE."""


def draw(seed: int, limit: int | None = None) -> list[BenchItem]:
    """All questions of `IMAGES` phantoms, or the first `limit` questions of as many as it takes."""
    items: list[BenchItem] = []
    index = 0
    while index < IMAGES if limit is None else len(items) < limit:
        items += _items(PhantomSource(seed, index))
        index += 1
    return items if limit is None else items[:limit]


def _items(source: PhantomSource) -> list[BenchItem]:
    rng = source.generator()
    phantom = make_phantom(rng, size=PHANTOM_SIZE)
    group = f"phantom-{source.seed}-{source.index}"
    return [
        BenchItem(f"{group}-{p.topic}", source, group, p.question, p.answer, p.closed, p.topic)
        for p in phantom_pairs(phantom, rng)
    ]
