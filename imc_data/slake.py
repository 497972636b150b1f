"""SLAKE 1.0 (Liu et al. 2021, CC BY 4.0), English pairs, in its published layout."""

from __future__ import annotations

from pathlib import Path

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

SPLITS = ("validate", "train", "test")
PUBLISHED = "https://www.med-vqa.com/slake (arXiv 2102.09542; mirror BoKelvin/SLAKE)"
LAYOUT = "train.json, validate.json, test.json and imgs/xmlabN/source.jpg"
LANGUAGES = ("en", "zh")


def read(folder: Path, split: str) -> Collected:
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
    collected = Collected()
    for where, row in json_rows(file):
        try:
            # the language first: Chinese pairs are split differently and may lack images
            language = text_of(row, "q_lang").lower()
            if language not in LANGUAGES:
                raise RowRefused("q_lang is neither en nor zh")
            if language == "en":
                collected.items.append(_item(row, folder))
        except RowRefused as why:
            collected.refuse(where, str(why))
    return collected


def _item(row: Row, folder: Path) -> BenchItem:
    image = text_of(row, "img_name")
    return BenchItem(
        item_id=identifier_of(row, "qid"),
        image=image_in(folder / "imgs", image),
        image_group=image,
        question=text_of(row, "question"),
        answer=answer_of(row),
        closed=closed_of(row),
        topic=label_of(row, "content_type"),
    )
