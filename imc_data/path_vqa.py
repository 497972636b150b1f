"""PathVQA (He et al. 2020): the HuggingFace mirror's tables (image, question, answer)."""

from __future__ import annotations

from pathlib import Path

from imc_data import table_files
from imc_data.errors import DataRefused, RecordRefused
from imc_data.items import ReadItems, VQAItem
from imc_data.records import (
    answer_of,
    image_in,
    is_yes_no,
    json_records,
    text_of,
)

SPLITS = ("test", "validation", "train")
PUBLISHED = "https://huggingface.co/datasets/flaviagiammarino/path-vqa (arXiv 2003.10286)"
LAYOUT = (
    "parquet or arrow files named by split with image, question, answer, "
    "or SPLIT.json with the same fields beside images/"
)


def read(folder: Path, split: str) -> ReadItems:
    """Items of `split`; no answer type is published, so yes and no are the closed answers.

    Raises:
        DataRefused: `folder` holds the split in neither layout.
    """
    tables = table_files.find_files(folder, split)
    if tables:
        return table_files.read(tables, split)
    file = folder / f"{split}.json"
    if not file.is_file():
        raise DataRefused(
            f"path-vqa {split}: no table and no {file.name} in {str(folder)!r}; expected {LAYOUT}; "
            f"published at {PUBLISHED}"
        )
    found = ReadItems()
    for number, (where, record) in enumerate(json_records(file)):
        try:
            image, answer = text_of(record, "image"), answer_of(record)
            path = image_in(folder / "images", image)
            closed = is_yes_no(answer)
            found.items.append(
                VQAItem(
                    item_id=f"{split}-{number}",
                    # the original release names images without their ending
                    image=path if path.suffix else path.with_suffix(".jpg"),
                    image_group=image,
                    question=text_of(record, "question"),
                    answer=answer,
                    closed=closed,
                    topic="yes/no" if closed else "open",
                )
            )
        except RecordRefused as why:
            found.refuse(where, str(why))
    return found
