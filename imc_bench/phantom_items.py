"""Phantoms as a data set: drawn from a seed, with answers known from the simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imc_data.items import VQAItem
from imc_reference.phantoms import Phantom, make_phantom
from imc_reference.questions import phantom_pairs

SPLIT = "test"
IMAGES = 200
"""About 1,300 questions, somewhat more than the test split of SLAKE."""
PHANTOM_SIZE = 112
"""Pixels a side: the input size of the embedded model."""
PHANTOM_STREAM = 0x1_3C_BE_7C
"""Keeps bench phantoms apart from training phantoms, which are drawn from bare small seeds."""


@dataclass(frozen=True)
class PhantomSource:
    """A simulated image, drawn again whenever it is needed: nothing is stored."""

    seed: int
    index: int

    def generator(self) -> np.random.Generator:
        """The generator of this phantom: first the image is drawn from it, then its questions."""
        return np.random.default_rng([PHANTOM_STREAM, self.seed, self.index])

    def phantom(self) -> Phantom:
        """The phantom with its truth."""
        return make_phantom(self.generator(), size=PHANTOM_SIZE)

    def content(self) -> NDArray[np.uint8]:
        """Its pixels, `(PHANTOM_SIZE, PHANTOM_SIZE)` or with three channels."""
        return self.phantom().image


def draw(seed: int, limit: int | None = None) -> list[VQAItem]:
    """All questions of `IMAGES` phantoms, or the first `limit` questions of as many as it takes."""
    items: list[VQAItem] = []
    index = 0
    while index < IMAGES if limit is None else len(items) < limit:
        items += _items(PhantomSource(seed, index))
        index += 1
    return items if limit is None else items[:limit]


def _items(source: PhantomSource) -> list[VQAItem]:
    rng = source.generator()
    phantom = make_phantom(rng, size=PHANTOM_SIZE)
    group = f"phantom-{source.seed}-{source.index}"
    return [
        VQAItem(f"{group}-{p.topic}", source, group, p.question, p.answer, p.closed, p.topic)
        for p in phantom_pairs(phantom, rng)
    ]
