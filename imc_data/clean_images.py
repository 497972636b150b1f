"""Clean images by origin: a folder with an index, and the training images of the public sets."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from imc_data import slake, vqa_rad
from imc_data.errors import DataRefused, RecordRefused
from imc_data.items import ReadItems
from imc_data.records import Record, image_in, text_of

CLEAN, INDEX = "clean", "index.csv"
"""Folder of images of further origins, and the table in it that names `file` and `origin`."""

VQA_SETS = (("vqa-rad", vqa_rad.read), ("slake", slake.read))
"""Folder, which is the origin's name, and reader of each public set."""


def clean_origins(root: Path, *, most: int | None = None, seed: int = 0) -> dict[str, list[Path]]:
    """Image files by origin: those of `root/clean`, and of VQA-RAD's and SLAKE's training pairs.

    Args:
        root: holds at least one of `clean` (with `index.csv`), `vqa-rad` and `slake`, the latter
            two as published.
        most: at most this many of an origin, a seeded draw; None takes all.
        seed: of that draw; each origin's depends on its own files alone.

    Returns:
        Origins in alphabetical order, the files of each sorted; every file exists.

    Raises:
        DataRefused: none of the three is there, the index lacks a column, a row names no file of
            the folder, or `most` is below 1.
    """
    if most is not None and most < 1:
        raise DataRefused(f"{most} images of an origin: take at least 1")
    found: dict[str, set[Path]] = {}
    if (root / CLEAN).is_dir():
        for origin, file in _indexed(root / CLEAN):
            found.setdefault(origin, set()).add(file)
    for name, read in VQA_SETS:
        if (root / name).is_dir():
            files = _training_files(read(root / name, "train"))
            if files:
                found[name] = files
    if not found:
        raise DataRefused(
            f"no clean images in {str(root)!r}; expected {CLEAN}/{INDEX}, "
            + " or ".join(f"{name}/" for name, _ in VQA_SETS)
        )
    return {origin: _drawn(sorted(found[origin]), most, seed) for origin in sorted(found)}


def _indexed(folder: Path) -> list[tuple[str, Path]]:
    """(origin, file) of every row of the folder's index.

    Raises:
        DataRefused: the index is not there or not a table of UTF-8 text, or a row is unusable.
    """
    index = folder / INDEX
    try:
        with index.open(encoding="utf-8", newline="") as opened:
            rows: list[Record] = list(csv.DictReader(opened))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataRefused(
            f"{str(index)!r} cannot be read ({type(error).__name__}); expected a CSV table in "
            "UTF-8 with the columns file and origin"
        ) from error
    found = []
    for number, row in enumerate(rows, 2):
        try:
            file = image_in(folder, text_of(row, "file"))
            found.append((text_of(row, "origin"), file))
        except RecordRefused as why:
            raise DataRefused(f"{INDEX}, line {number}: {why}") from why
        if not file.is_file():
            raise DataRefused(f"{INDEX}, line {number}: no such file in {str(folder)!r}")
    return found


def _training_files(items: ReadItems) -> set[Path]:
    """The image files of the items; images held in a table, and missing files, are left out."""
    images = {item.image for item in items.items}
    return {image for image in images if isinstance(image, Path) and image.is_file()}


def _drawn(files: list[Path], most: int | None, seed: int) -> list[Path]:
    if most is None or most >= len(files):
        return files
    chosen = np.random.default_rng(seed).permutation(len(files))[:most]
    return [files[number] for number in sorted(chosen)]
