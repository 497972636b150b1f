"""SLAKE 1.0 (Liu et al. 2021, CC BY 4.0), English pairs, in its published layout."""

from __future__ import annotations

from pathlib import Path

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

SPLITS = ("validate", "train", "test")
PUBLISHED = "https://www.med-vqa.com/slake (arXiv 2102.09542; mirror BoKelvin/SLAKE)"
LAYOUT = "train.json, validate.json, test.json and imgs/xmlabN/source.jpg"
LANGUAGES = ("en", "zh")


def read(folder: Path, split: str) -> ReadItems:
    """English items of `split`; Chinese rows are another set, not bad rows.

    Raises:
        DataRefused: the file of the split is not in `folder`.
    """
    file = folder / f"{split}.json"
    if not file.is_file():
        raise DataRefused(
            f"slake {split}: no {file.name} in {str(folder)!r}; expected {LAYOUT}; "
            f"published at {PUBLISHED}"
        )
    found = ReadItems()
    for where, record in json_records(file):
        try:
            # the language first: Chinese pairs are split differently and may lack images
            language = text_of(record, "q_lang").lower()
            if language not in LANGUAGES:
                raise RecordRefused("q_lang is neither en nor zh")
            if language == "en":
                found.items.append(_item(record, folder))
        except RecordRefused as why:
            found.refuse(where, str(why))
    return found


def _item(record: Record, folder: Path) -> VQAItem:
    image = text_of(record, "img_name")
    return VQAItem(
        item_id=identifier_of(record, "qid"),
        image=image_in(folder / "imgs", image),
        image_group=image,
        question=text_of(record, "question"),
        answer=answer_of(record),
        closed=closed_of(record),
        topic=label_of(record, "content_type"),
        modality=optional_text(record, "modality"),
        location=optional_text(record, "location"),
    )
