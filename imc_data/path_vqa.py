"""PathVQA (He et al. 2020): the HuggingFace mirror's tables (image, question, answer)."""

from __future__ import annotations

from pathlib import Path

from imc_bench.datasets import tables
from imc_bench.datasets.rows import (
    Collected,
    RowRefused,
    answer_of,
    image_in,
    is_yes_no,
    json_rows,
    text_of,
)
from imc_bench.errors import DataRefused
from imc_bench.items import BenchItem

SPLITS = ("test", "validation", "train")
PUBLISHED = "https://huggingface.co/datasets/flaviagiammarino/path-vqa (arXiv 2003.10286)"
LAYOUT = (
    "parquet or arrow files named by split with image, question, answer, "
    "or SPLIT.json with the same fields beside images/"
)


def read(folder: Path, split: str) -> Collected:
    """Items of `split`; no answer type is published, so yes and no are the closed answers.

    Raises:
        DataRefused: `folder` holds the split in neither layout.
    """
    found = tables.table_files(folder, split)
    if found:
        return tables.read(found, split)
    file = folder / f"{split}.json"
    if not file.is_file():
        raise DataRefused(
            f"path-vqa {split}: no table and no {file.name} in {str(folder)!r}; expected {LAYOUT}; "
            f"published at {PUBLISHED}"
        )
    collected = Collected()
    for number, (where, row) in enumerate(json_rows(file)):
        try:
            image, answer = text_of(row, "image"), answer_of(row)
            path = image_in(folder / "images", image)
            closed = is_yes_no(answer)
            collected.items.append(
                BenchItem(
                    item_id=f"{split}-{number}",
                    # the original release names images without their ending
                    image=path if path.suffix else path.with_suffix(".jpg"),
                    image_group=image,
                    question=text_of(row, "question"),
                    answer=answer,
                    closed=closed,
                    topic="yes/no" if closed else "open",
                )
            )
        except RowRefused as why:
            collected.refuse(where, str(why))
    return collected
