"""VQA-RAD (Lau et al. 2018, CC0): the JSON list of OSF, or the HuggingFace mirror's tables."""

from __future__ import annotations

from pathlib import Path

from imc_data import table_files
from imc_data.errors import DataRefused, RecordRefused
from imc_data.items import ReadItems, VQAItem
from imc_data.records import (
    Record,
    answer_of,
    closed_of,
    identifier_of,
    image_in,
    json_records,
    label_of,
    optional_text,
    text_of,
)

SPLITS = ("test", "train", "all")
PUBLISHED = "https://osf.io/89kps (doi 10.1038/sdata.2018.251)"
FILE = "VQA_RAD Dataset Public.json"
IMAGES = "VQA_RAD Image Folder"
LAYOUT = f"{FILE!r} beside {IMAGES!r}, or parquet files with image, question, answer"

PHRASES = {"freeform": "train", "para": "train", "test_freeform": "test", "test_para": "test"}
MISSPELLED = {"prse": "pres", "atrib": "attrib"}
"""Question types as in the published file."""


def read(folder: Path, split: str) -> ReadItems:
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
    found = ReadItems()
    for where, record in json_records(file):
        try:
            phrase = PHRASES.get(text_of(record, "phrase_type"))
            if phrase is None:
                raise RecordRefused(f"phrase_type is none of {', '.join(PHRASES)}")
            if split in (phrase, "all"):
                found.items.append(_item(record, folder))
        except RecordRefused as why:
            found.refuse(where, str(why))
    return found


def _mirrored(folder: Path, splits: tuple[str, ...]) -> ReadItems | None:
    """The same from the mirror's tables; None where one split's are not there."""
    found = ReadItems()
    for split in splits:
        files = table_files.find_files(folder, split)
        if not files:
            return None
        part = table_files.read(files, split)
        found.items += part.items
        found.bad_rows += part.bad_rows
    return found


def _item(record: Record, folder: Path) -> VQAItem:
    image = text_of(record, "image_name")
    topic = label_of(record, "question_type")
    return VQAItem(
        item_id=identifier_of(record, "qid"),
        image=image_in(folder / IMAGES, image),
        image_group=image,
        question=text_of(record, "question"),
        answer=answer_of(record),
        closed=closed_of(record),
        topic=MISSPELLED.get(topic, topic),
        location=optional_text(record, "image_organ"),
    )
