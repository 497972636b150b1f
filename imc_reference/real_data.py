"""VQA-RAD and SLAKE in their published layouts, split for training without a leak.

VQA-RAD: Lau et al. 2018 (CC0). SLAKE: Liu et al. 2021 (CC BY 4.0).
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imc_core.errors import IMCError
from imc_reference.questions import Pair

VQA_RAD_FILE = "VQA_RAD Dataset Public.json"
VQA_RAD_IMAGES = "VQA_RAD Image Folder"
TEST_PHRASES = ("test_freeform", "test_para")


class DataMissing(IMCError):
    """A data set is not where it was looked for; the message says what layout is expected."""


@dataclass
class RealImage:
    """One real image with the pairs asked about it."""

    path: Path
    source: str
    pairs: list[Pair] = field(default_factory=list)
    modality: str | None = None
    location: str | None = None


def tidy_answer(answer: object) -> str:
    """Lower-case with single spaces: answers are short labels and their case says nothing."""
    return " ".join(str(answer).lower().split())


def tidy_question(question: str) -> str:
    """Single spaces, no blanks at the ends; spelling and case stay as published."""
    return " ".join(question.split())


def load_slake(folder: Path, split: str) -> list[RealImage]:
    """English pairs of `split` ("train" or "validate"), grouped by image."""
    file = folder / f"{split}.json"
    if not file.is_file():
        raise DataMissing(
            f"SLAKE {split}: no {file.name} in {folder.name!r}; expected train.json, "
            "validate.json and imgs/xmlabN/source.jpg as published (arXiv 2102.09542)"
        )
    images: dict[str, RealImage] = {}
    for row in json.loads(file.read_text(encoding="utf-8")):
        if row["q_lang"] != "en":
            continue
        image = images.setdefault(
            row["img_name"],
            RealImage(
                folder / "imgs" / row["img_name"], "slake", [], row["modality"], row["location"]
            ),
        )
        image.pairs.append(
            Pair(
                tidy_question(row["question"]),
                tidy_answer(row["answer"]),
                row["content_type"],
                row["answer_type"].strip() == "CLOSED",
            )
        )
    return list(images.values())


def load_vqa_rad(folder: Path, split: str) -> list[RealImage]:
    """Pairs of `split` ("train" or "test"), grouped by image.

    Train leaves out every pair whose image and question also stand in the test split: the published
    split is by question, and a paraphrase may repeat one word for word.
    """
    file = folder / VQA_RAD_FILE
    if not file.is_file():
        raise DataMissing(
            f"VQA-RAD: no {VQA_RAD_FILE!r} in {folder.name!r}; expected it beside "
            f"{VQA_RAD_IMAGES!r} as published (doi 10.1038/sdata.2018.251)"
        )
    rows = json.loads(file.read_text(encoding="utf-8"))
    held_out = {
        (row["image_name"], tidy_question(row["question"]).lower())
        for row in rows
        if row["phrase_type"] in TEST_PHRASES
    }
    images: dict[str, RealImage] = {}
    for row in rows:
        is_test = row["phrase_type"] in TEST_PHRASES
        question = tidy_question(row["question"])
        if is_test != (split == "test"):
            continue
        if not is_test and (row["image_name"], question.lower()) in held_out:
            continue
        image = images.setdefault(
            row["image_name"],
            RealImage(
                folder / VQA_RAD_IMAGES / row["image_name"],
                "vqa-rad",
                [],
                None,
                row["image_organ"].strip(),
            ),
        )
        image.pairs.append(
            Pair(
                question,
                tidy_answer(row["answer"]),
                str(row["question_type"]),
                row["answer_type"].strip() == "CLOSED",
            )
        )
    return list(images.values())


def load_pixels(image: RealImage, size: int) -> NDArray[np.uint8]:
    """(size, size, 3) pixels, squashed to a square as the model's processor does."""
    with Image.open(image.path) as opened:
        resized = opened.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)


def question_prior(images: list[RealImage]) -> tuple[dict[str, str], dict[bool, str]]:
    """Most common training answer of each question, and of closed and open questions overall."""
    by_question: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    overall: dict[bool, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for image in images:
        for pair in image.pairs:
            by_question[pair.question.lower()][pair.answer] += 1
            overall[pair.closed][pair.answer] += 1

    def best(counts: dict[str, int]) -> str:
        return max(sorted(counts), key=lambda answer: counts[answer])

    return {q: best(c) for q, c in by_question.items()}, {k: best(c) for k, c in overall.items()}
