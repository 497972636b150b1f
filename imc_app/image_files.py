"""Which image files a command takes: files and folders in an order, or paths on stdin."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from pathlib import Path

from imc_app.refusals import InputRefused

STDIN = "-"
BATCH = 16
"""Images perceived together; those of a stream are answered one by one, as they come."""


class Order(StrEnum):
    """In which order images are taken."""

    NAME = "name"
    TIME = "time"


def image_batches(sources: Sequence[str], order: Order | None = None) -> Iterator[list[Path]]:
    """Yield the paths of images in batches.

    Args:
        sources: image files; folders, searched in depth; or `-` alone: a path a line from stdin.
        order: of the images of all sources together; None: as the sources are given, a folder's
            images by name.

    Raises InputRefused where nothing is named, a folder holds no image, or `-` is not alone.
    """
    if STDIN not in sources:
        return _batches(_ordered(sources, order), BATCH)
    if len(sources) > 1:
        raise InputRefused("-: stdin is read alone; name either - or folders and images")
    return _batches(_lines(), 1)


def images_in(folder: Path, *, place: str = "") -> list[Path]:
    """The image files under `folder`, whatever their names end in, sorted by path.

    `place` opens the message: the option that named the folder. Raises InputRefused for no image.
    """
    from vision.reading.sources import may_be_image

    found = [path for path in folder.rglob("*") if path.is_file() and may_be_image(path)]
    if not found:
        raise InputRefused(
            f"{place}{folder}: holds no image; PNG, JPEG, TIFF, WebP and DICOM are read"
        )
    return sorted(found)


def _batches(paths: Iterator[Path], size: int) -> Iterator[list[Path]]:
    while batch := list(islice(paths, size)):
        yield batch


def _lines() -> Iterator[Path]:
    """A path a line, as it comes. A file name may be any bytes."""
    for line in getattr(sys.stdin, "buffer", sys.stdin):
        yield Path(os.fsdecode(line).rstrip("\r\n"))


def _ordered(sources: Sequence[str], order: Order | None) -> Iterator[Path]:
    paths: list[Path] = []
    for source in sources:
        path = Path(source)
        paths += sorted(images_in(path), key=_name_key) if path.is_dir() else [path]
    if order is None:
        return iter(paths)
    by_name = sorted(paths, key=_name_key)
    return iter(sorted(by_name, key=_written) if order is Order.TIME else by_name)


def _name_key(path: Path) -> list[tuple[int, str]]:
    """Numbers inside names in the order of counting: 9 comes before 10."""
    parts = re.split(r"([0-9]+)", path.as_posix())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _written(path: Path) -> float:
    """When the file was last written; one that does not exist comes last, to be refused."""
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")
