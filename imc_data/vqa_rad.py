"""VQA-RAD (Lau et al. 2018, CC0): the JSON list of OSF, or the HuggingFace mirror's tables."""

from __future__ import annotations

from pathlib import Path

from imc_bench.datasets import tables
from imc_bench.datasets.rows import (
    Collected,
    Row,
    RowRefused,
    answer_of,
    closed_of,
    identifier_of,
    image_in,
    json_rows,
    label_of,
    text_of,
)
from imc_bench.errors import DataRefused
from imc_bench.items import BenchItem

SPLITS = ("test", "train", "all")
PUBLISHED = "https://osf.io/89kps (doi 10.1038/sdata.2018.251)"
FILE = "VQA_RAD Dataset Public.json"
IMAGES = "VQA_RAD Image Folder"
LAYOUT = f"{FILE!r} beside {IMAGES!r}, or parquet files with image, question, answer"

PHRASES = {"freeform": "train", "para": "train", "test_freeform": "test", "test_para": "test"}
MISSPELLED = {"prse": "pres", "atrib": "attrib"}
"""Question types as they stand in the published file."""


def read(folder: Path, split: str) -> Collected:
    """Items of `split`: test is the two `test_*` phrase types (451 pairs on 203 images).

    Raises:
        DataRefused: neither the JSON file nor tables are in `folder`.
    """
    file = folder / FILE
    if not file.is_file():
        mirrored = _mirrored(folder, ("train", "test") if split == "all" else (split,))
        if mirrored is not None:
            return mirrored
        raise DataRefused(
            f"vqa-rad: no {FILE!r} in {str(folder)!r}; expected {LAYOUT}; published at {PUBLISHED}"
        )
    collected = Collected()
    for where, row in json_rows(file):
        try:
            phrase = PHRASES.get(text_of(row, "phrase_type"))
            if phrase is None:
                raise RowRefused(f"phrase_type is none of {', '.join(PHRASES)}")
            if split in (phrase, "all"):
                collected.items.append(_item(row, folder))
        except RowRefused as why:
            collected.refuse(where, str(why))
    return collected


def _mirrored(folder: Path, splits: tuple[str, ...]) -> Collected | None:
    """The same from the mirror's tables; None where one split's are not there."""
    collected = Collected()
    for split in splits:
        files = tables.table_files(folder, split)
        if not files:
            return None
        part = tables.read(files, split)
        collected.items += part.items
        collected.bad_rows += part.bad_rows
    return collected


def _item(row: Row, folder: Path) -> BenchItem:
    image = text_of(row, "image_name")
    topic = label_of(row, "question_type")
    return BenchItem(
        item_id=identifier_of(row, "qid"),
        image=image_in(folder / IMAGES, image),
        image_group=image,
        question=text_of(row, "question"),
        answer=answer_of(row),
        closed=closed_of(row),
        topic=MISSPELLED.get(topic, topic),
    )
