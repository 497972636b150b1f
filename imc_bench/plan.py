"""How a run is cut: items in chunks of whole images, a unit for each chunk and condition.

The cut depends on the items alone, never on the batch size or on who works: that is what lets a
killed run go on, and two processes share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imc_bench.conditions import Condition, RunRefused
from imc_data.items import ImageSource, VQAItem

CHUNK_ITEMS = 64
"""Questions in a unit: with four methods a few seconds of the embedded model, so little is lost."""
CHUNK_IMAGES = 16
"""Images in a unit: a bound of the memory it takes."""


@dataclass(frozen=True)
class Unit:
    """One chunk of items under one condition."""

    number: int
    condition: Condition
    chunk: int
    items: tuple[VQAItem, ...]


class Plan:
    """All units of a run; those of one chunk follow each other, so that they share clean images."""

    def __init__(
        self, items: Sequence[VQAItem], conditions: Sequence[Condition], seed: int
    ) -> None:
        """Raises RunRefused: no items, an id that occurs twice, or nothing to swap images with."""
        if not items:
            raise RunRefused("the data set has no items; give another --data, --split or --limit")
        seen: set[str] = set()
        for item in items:
            if item.item_id in seen:
                raise RunRefused(f"item id {item.item_id!r} occurs twice; ids must be unique")
            seen.add(item.item_id)
        self.items = tuple(items)
        self.conditions = tuple(conditions)
        self.chunks = _chunks(items)
        self.swapped = (
            _swapped(items, seed) if any(c.image_noise == "swapped" for c in conditions) else {}
        )
        """Each image's replacement under `swapped`: an item with the image of another group."""

    def __len__(self) -> int:
        """How many units there are."""
        return len(self.chunks) * len(self.conditions)

    def unit(self, number: int) -> Unit:
        """The unit of this number, 0 to `len(plan)` - 1."""
        chunk, condition = divmod(number, len(self.conditions))
        return Unit(number, self.conditions[condition], chunk, self.chunks[chunk])


def _chunks(items: Sequence[VQAItem]) -> list[tuple[VQAItem, ...]]:
    by_image: dict[ImageSource, list[VQAItem]] = {}
    for item in items:
        by_image.setdefault(item.image, []).append(item)
    chunks: list[tuple[VQAItem, ...]] = []
    current: list[VQAItem] = []
    images = 0
    for asked in by_image.values():
        too_many = len(current) + len(asked) > CHUNK_ITEMS or images == CHUNK_IMAGES
        if current and too_many:
            chunks.append(tuple(current))
            current, images = [], 0
        current += asked
        images += 1
        while len(current) > CHUNK_ITEMS:  # one image with very many questions
            chunks.append(tuple(current[:CHUNK_ITEMS]))
            current = current[CHUNK_ITEMS:]
    if current:
        chunks.append(tuple(current))
    return chunks


def _swapped(items: Sequence[VQAItem], seed: int) -> dict[ImageSource, VQAItem]:
    """For every image one of another group: a random cycle through all groups."""
    groups: dict[str, dict[ImageSource, VQAItem]] = {}
    for item in items:
        groups.setdefault(item.image_group, {}).setdefault(item.image, item)
    if len(groups) < 2:
        raise RunRefused("'swapped' needs images of at least two groups; leave it out of --noises")
    names = sorted(groups)
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    other: dict[ImageSource, VQAItem] = {}
    for name, following in zip(order, order[1:] + order[:1], strict=True):
        donors = list(groups[following].values())
        for position, image in enumerate(groups[name]):
            other[image] = donors[position % len(donors)]
    return other
