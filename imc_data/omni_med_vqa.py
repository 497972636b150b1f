"""OmniMedVQA (Hu et al. 2024), the open-access part: choices among two to four options."""

from __future__ import annotations

from pathlib import Path

from imc_bench.datasets.rows import (
    Collected,
    Row,
    RowRefused,
    answer_of,
    identifier_of,
    image_in,
    json_rows,
    label_of,
    text_of,
)
from imc_bench.errors import DataRefused
from imc_bench.items import BenchItem

SPLITS = ("test",)
PUBLISHED = "https://huggingface.co/datasets/foreverbeliever/OmniMedVQA (arXiv 2402.09181)"
QUESTIONS = "QA_information/Open-access"
LAYOUT = f"{QUESTIONS}/*.json and the folder Images its image_path fields name"
OPTIONS = ("option_A", "option_B", "option_C", "option_D")


def read(folder: Path, split: str) -> Collected:
    """All rows of all files; the answer is the option's text, and C and D may be missing.

    Raises:
        DataRefused: the folder of question files is not there or empty.
    """
    files = sorted((folder / QUESTIONS).glob("*.json"))
    if not files:
        raise DataRefused(
            f"omni-med-vqa: no {QUESTIONS}/*.json in {str(folder)!r}; expected {LAYOUT}; "
            f"published at {PUBLISHED}"
        )
    collected = Collected()
    for file in files:
        for where, row in json_rows(file):
            try:
                collected.items.append(_item(row, folder, file.stem))
            except RowRefused as why:
                collected.refuse(where, str(why))
    return collected


def _item(row: Row, folder: Path, source: str) -> BenchItem:
    image, answer = text_of(row, "image_path"), answer_of(row, "gt_answer")
    # one published row says `modality` where the others say `modality_type`
    modality = label_of(row, "modality_type", label_of(row, "modality"))
    options = tuple(answer_of(row, name) for name in OPTIONS if row.get(name) not in (None, ""))
    if len(options) < 2:
        raise RowRefused("fewer than two options")
    if answer.lower() not in (option.lower() for option in options):
        raise RowRefused("gt_answer is none of the options")
    return BenchItem(
        item_id=f"{source}/{identifier_of(row, 'question_id')}",
        image=image_in(folder, image),
        image_group=image,
        question=text_of(row, "question"),
        answer=answer,
        closed=True,
        topic=label_of(row, "question_type", modality),
        options=options,
    )
