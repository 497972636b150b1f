"""One question about one image with its answer, and where the image is: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class ImageContent(Protocol):
    """An image that is no file of its own: a cell of a table, or a simulation. Hashable."""

    def content(self) -> bytes | NDArray[np.uint8]:
        """The encoded file, or pixels `(H, W)` or `(H, W, 3)`; made anew at every call.

        Raises:
            DataRefused: it cannot be read any more.
        """


ImageSource = Path | ImageContent


@dataclass(frozen=True)
class VQAItem:
    """One question with its answer, its image by source, and the group it belongs to."""

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
    modality: str | None = None
    """As the set publishes it; None where it does not."""
    location: str | None = None
    """Part of the body, likewise."""


@dataclass(frozen=True)
class BadRow:
    """A row that could not be used: where it is and why; never its text."""

    where: str
    why: str


@dataclass
class ReadItems:
    """Items and bad rows in the order of the file."""

    items: list[VQAItem] = field(default_factory=list)
    bad_rows: list[BadRow] = field(default_factory=list)

    def refuse(self, where: str, why: str) -> None:
        """List a row that is left out."""
        self.bad_rows.append(BadRow(where, why))


@dataclass(frozen=True)
class LoadedSet:
    """The items of one split, and every row left out of it with the reason."""

    name: str
    split: str
    items: tuple[VQAItem, ...]
    bad_rows: tuple[BadRow, ...] = ()
