"""One question about one image, as every part of the bench sees it, and where its pixels are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imc_bench.errors import DataRefused
from imc_reference.phantoms import Phantom, make_phantom
from vision.reading.medical_image import MedicalImage, read_image

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


@dataclass(frozen=True)
class TableSource:
    """An image inside a HuggingFace table: file, batch (row group) and row in that batch."""

    file: Path
    batch: int
    row: int


ImageSource = Path | PhantomSource | TableSource


@dataclass(frozen=True)
class BenchItem:
    """One question with its answer, its image by source, and the cluster it belongs to."""

    item_id: str
    """Unique in its set, the same in every run."""
    image: ImageSource
    image_group: str
    """Image, or patient where the set names one: the cluster of every bootstrap."""
    question: str = field(repr=False)
    answer: str = field(repr=False)
    closed: bool
    topic: str
    options: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used: where it stands and why; never its text."""

    where: str
    why: str


@dataclass(frozen=True)
class LoadedSet:
    """The items of one split, and every row left out of it with the reason."""

    name: str
    split: str
    items: tuple[BenchItem, ...]
    bad_rows: tuple[BadRow, ...] = ()


def load_pixels(item: BenchItem) -> MedicalImage:
    """The image of `item`: checked RGB at its native size, any colour space turned into RGB.

    Raises:
        DataRefused: the image is in a table that cannot be read.
        vision.errors.ImageRefused: the file is not a readable image.
    """
    source = item.image
    if isinstance(source, PhantomSource):
        return read_image(source.phantom().image)
    if isinstance(source, TableSource):
        from imc_bench.datasets.tables import table_row  # only sets in tables need pyarrow

        return read_image(cell_bytes(table_row(source).get("image"), str(source.file.name)))
    return read_image(source)


def cell_bytes(cell: object, where: str) -> bytes:
    """The encoded file inside an image cell: raw bytes or HuggingFace's {"bytes", "path"}.

    Raises:
        DataRefused: the cell holds no file.
    """
    inside = cell.get("bytes") if isinstance(cell, Mapping) else cell
    if not isinstance(inside, bytes) or not inside:
        raise DataRefused(
            f"{where}: an image cell holds no file; save the data set with its images embedded"
        )
    return inside
