"""Training and evaluation images of VQA-RAD and SLAKE with their pairs, split without a leak."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imc_data import slake, vqa_rad
from imc_data.errors import DataRefused
from imc_data.items import VQAItem
from imc_reference.questions import Pair


@dataclass
class RealImage:
    """One real image with the pairs asked about it."""

    path: Path
    source: str
    pairs: list[Pair] = field(default_factory=list)
    modality: str | None = None
    location: str | None = None


def load_slake(folder: Path, split: str) -> list[RealImage]:
    """English pairs of `split` ("train", "validate" or "test"), grouped by image.

    Raises:
        DataRefused: the split is not in `folder` in its published layout.
    """
    return _by_image("slake", slake.read(folder, split).items)


def load_vqa_rad(folder: Path, split: str) -> list[RealImage]:
    """Pairs of `split` ("train" or "test"), grouped by image.

    Train leaves out every pair whose image and question are also in the test split: the published
    split is by question, and a paraphrase may repeat one word for word.

    Raises:
        DataRefused: the set is not in `folder` in its published layout.
    """
    items = vqa_rad.read(folder, split).items
    if split == "train":
        held_out = {_asked(item) for item in vqa_rad.read(folder, "test").items}
        items = [item for item in items if _asked(item) not in held_out]
    return _by_image("vqa-rad", items)


def _asked(item: VQAItem) -> tuple[str, str]:
    return item.image_group, item.question.lower()


def _by_image(source: str, items: Iterable[VQAItem]) -> list[RealImage]:
    images: dict[str, RealImage] = {}
    for item in items:
        if not isinstance(item.image, Path):
            raise DataRefused(
                f"{source}: images in tables of a mirror are for imc bench; training and its "
                "measurement read the files as published"
            )
        image = images.setdefault(
            item.image_group, RealImage(item.image, source, [], item.modality, item.location)
        )
        # answers are short labels and their case says nothing
        answer = item.answer.lower()
        image.pairs.append(Pair(item.question, answer, item.topic, item.closed))
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
