"""The names of the data sets, where each is published, and how items and images are loaded."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from imc_bench import phantom_items
from imc_data import omni_med_vqa, own_files, path_vqa, slake, vqa_rad
from imc_data.errors import DataRefused
from imc_data.items import LoadedSet, ReadItems, VQAItem
from vision.reading.medical_image import MedicalImage, read_image


@dataclass(frozen=True)
class DatasetInfo:
    """What a data set is called, where it comes from, and what its folder holds."""

    name: str
    splits: tuple[str, ...]
    """The first is the default; empty where the user's own file names decide."""
    published: str
    layout: str
    read: Callable[[Path, str], ReadItems]


OWN = own_files.PUBLISHED

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo("vqa-rad", vqa_rad.SPLITS, vqa_rad.PUBLISHED, vqa_rad.LAYOUT, vqa_rad.read),
        DatasetInfo("slake", slake.SPLITS, slake.PUBLISHED, slake.LAYOUT, slake.read),
        DatasetInfo(
            "path-vqa", path_vqa.SPLITS, path_vqa.PUBLISHED, path_vqa.LAYOUT, path_vqa.read
        ),
        DatasetInfo(
            "omni-med-vqa",
            omni_med_vqa.SPLITS,
            omni_med_vqa.PUBLISHED,
            omni_med_vqa.LAYOUT,
            omni_med_vqa.read,
        ),
        DatasetInfo("jsonl", (), OWN, own_files.JSONL_LAYOUT, own_files.read_jsonl),
        DatasetInfo("csv", (), OWN, own_files.CSV_LAYOUT, own_files.read_csv),
    )
}
"""All sets that are read from a folder; `phantom` is drawn and needs none."""

NAMES = ("phantom", *DATASETS)


def load_dataset(
    name: str,
    folder: Path | None,
    *,
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> LoadedSet:
    """The items of one split of a data set, in the order of its files.

    `name` is one of `NAMES`, or the path of a `.csv` or `.jsonl` file of one's own, which needs no
    `folder`: the set is then called as the file is. `folder` is the set's own folder or one that
    holds it under its name; `phantom` needs none.
    `limit` keeps that many items by a draw from `seed` over item ids: a smaller limit is a part of
    a larger one, and the draw is the same in every process. `seed` also draws the phantoms.

    Raises:
        DataRefused: an unknown name or split, a folder or images that are not there, an item id
            that occurs twice, or nothing usable.
    """
    if limit is not None and limit < 1:
        raise DataRefused(f"limit is {limit}; at least one item is needed")
    if name == "phantom":
        if split not in (None, phantom_items.SPLIT):
            raise DataRefused(f"phantom has the one split {phantom_items.SPLIT!r}, got {split!r}")
        items = phantom_items.draw(seed, limit)
        return LoadedSet(name, phantom_items.SPLIT, tuple(items))
    info = DATASETS.get(name)
    if info is None:
        info, folder = _own_file(name)
        name = folder.name
    chosen = _split(info, split)
    found = info.read(_folder(info, folder), chosen)
    _check(info, chosen, found)
    items = found.items if limit is None else _draw(found.items, limit, seed)
    return LoadedSet(name, chosen, tuple(items), tuple(found.bad_rows))


def load_pixels(item: VQAItem) -> MedicalImage:
    """The image of `item`: checked RGB at its native size, any colour space turned into RGB.

    Raises:
        DataRefused: the image is in a table that cannot be read.
        vision.errors.ImageRefused: the file is not a readable image.
    """
    source = item.image
    return read_image(source if isinstance(source, Path) else source.content())


def _own_file(name: str) -> tuple[DatasetInfo, Path]:
    file = Path(name)
    info = DATASETS.get(file.suffix.lower().removeprefix("."))
    if info is None or info.published != OWN:
        raise DataRefused(
            f"unknown data set {name!r}; choose from {', '.join(NAMES)}, or give a .csv or .jsonl "
            "file"
        )
    if not file.is_file():
        raise DataRefused(f"there is no file {name!r}; expected {info.layout}")
    return info, file


def _split(info: DatasetInfo, split: str | None) -> str:
    if split is None:
        return info.splits[0] if info.splits else ""
    if info.splits and split not in info.splits:
        raise DataRefused(
            f"{info.name} has no split {split!r}; choose from {', '.join(info.splits)}"
        )
    return split


def _folder(info: DatasetInfo, folder: Path | None) -> Path:
    expected = f"expected {info.layout}; published at {info.published}"
    if folder is None:
        raise DataRefused(f"{info.name}: no data folder given; {expected}")
    if not folder.exists():
        raise DataRefused(f"{info.name}: there is no {str(folder)!r}; {expected}")
    inner = folder / info.name
    return inner if inner.is_dir() else folder


def _check(info: DatasetInfo, split: str, found: ReadItems) -> None:
    label = f"{info.name} {split}".strip()
    if not found.items:
        bad = found.bad_rows
        first = f" (first: {bad[0].where}: {bad[0].why})" if bad else ""
        raise DataRefused(
            f"{label} has no usable row, {len(bad)} bad{first}; expected {info.layout}"
        )
    counts = Counter(item.item_id for item in found.items)
    twice = [item_id for item_id, count in counts.items() if count > 1]
    if twice:
        raise DataRefused(
            f"{label}: {len(twice)} item ids occur more than once, first {twice[0]!r}; "
            "each row needs its own id"
        )
    images = {item.image for item in found.items if isinstance(item.image, Path)}
    missing = sorted(str(image) for image in images if not image.is_file())
    if missing:
        raise DataRefused(
            f"{label}: {len(missing)} of {len(images)} images are not there, first {missing[0]!r}; "
            f"expected {info.layout}"
        )


def _draw(items: Sequence[VQAItem], limit: int, seed: int) -> list[VQAItem]:
    def rank(item: VQAItem) -> bytes:
        return hashlib.sha256(f"{seed} {item.item_id}".encode()).digest()

    kept = {item.item_id for item in sorted(items, key=rank)[:limit]}
    return [item for item in items if item.item_id in kept]
