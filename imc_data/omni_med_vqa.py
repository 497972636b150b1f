"""OmniMedVQA (Hu et al. 2024), the open-access part: choices among two to four options."""

from __future__ import annotations

from pathlib import Path

from imc_data.errors import DataRefused, RecordRefused
from imc_data.items import ReadItems, VQAItem
from imc_data.records import (
    Record,
    answer_of,
    identifier_of,
    image_in,
    json_records,
    label_of,
    text_of,
)

SPLITS = ("test",)
PUBLISHED = "https://huggingface.co/datasets/foreverbeliever/OmniMedVQA (arXiv 2402.09181)"
QUESTIONS = "QA_information/Open-access"
LAYOUT = f"{QUESTIONS}/*.json and the folder Images its image_path fields name"
OPTIONS = ("option_A", "option_B", "option_C", "option_D")


def read(folder: Path, split: str) -> ReadItems:
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
    found = ReadItems()
    for file in files:
        for where, record in json_records(file):
            try:
                found.items.append(_item(record, folder, file.stem))
            except RecordRefused as why:
                found.refuse(where, str(why))
    return found


def _item(record: Record, folder: Path, source: str) -> VQAItem:
    image, answer = text_of(record, "image_path"), answer_of(record, "gt_answer")
    # one published row says `modality` where the others say `modality_type`
    modality = label_of(record, "modality_type", label_of(record, "modality"))
    given = (name for name in OPTIONS if record.get(name) not in (None, ""))
    options = tuple(answer_of(record, name) for name in given)
    if len(options) < 2:
        raise RecordRefused("fewer than two options")
    if answer.lower() not in (option.lower() for option in options):
        raise RecordRefused("gt_answer is none of the options")
    return VQAItem(
        item_id=f"{source}/{identifier_of(record, 'question_id')}",
        image=image_in(folder, image),
        image_group=image,
        question=text_of(record, "question"),
        answer=answer,
        closed=True,
        topic=label_of(record, "question_type", modality),
        options=options,
    )
