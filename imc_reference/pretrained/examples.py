"""What the second model is adapted on: questions of one image in one row, behind a chat prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LlavaProcessor

from imc_reference.augment import augment
from imc_reference.corpus import draw_phantoms
from imc_reference.losses import normalise
from imc_reference.packing import Segment
from imc_reference.phantoms import Phantom
from imc_reference.prompting import chat_text
from imc_reference.questions import Pair, phantom_pairs
from imc_reference.real_data import RealImage, load_pixels, load_slake, load_vqa_rad
from prompts import RolePrompt

QUESTIONS_A_ROW = 12
"""Questions that share one image's prefix; half of SLAKE's images have fewer."""
LOWER_CASED = 0.15
"""Share of questions shown without capitals."""
AUGMENTED = 0.8
"""Strength of the shifts, turns, zooms and exposures; see `imc_reference.augment`."""
REAL_SIZE = 128
"""Real images are held a little larger than the model's input, so that they can be shifted."""

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for the question while the prompt around it is cut out."""


class ChatEncoder:
    """Questions and answers as segments of the very prompt that `imc ask` would show the model."""

    def __init__(self, processor: LlavaProcessor, prompt: RolePrompt, image_tokens: int) -> None:
        self.tokenizer: Any = processor.tokenizer
        self.image: int = self.tokenizer.convert_tokens_to_ids(processor.image_token)
        before, after = chat_text(processor, prompt, _PLACE).split(_PLACE)
        before, self._between = before.split(processor.image_token)
        self._after = after
        self.image_prefix = (*self._ids(before), *([self.image] * image_tokens))
        self._end: int = self.tokenizer.eos_token_id

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def question(self, question: str, answer: str, weight: float = 1.0) -> Segment:
        """A question behind the image prefix, and its answer with the token that ends the turn."""
        asked = self._ids(f"{self._between}{question}{self._after}")
        return Segment(asked, (*self._ids(answer), self._end), weight)


@dataclass(frozen=True)
class Row:
    """Questions of one image: a real one, by its place in the corpus, or a phantom."""

    image: int
    pairs: tuple[Pair, ...]
    phantom: bool = False


class Corpus:
    """Images of SLAKE train, of VQA-RAD train that its test split does not show, and phantoms."""

    def __init__(self, images: Sequence[RealImage], phantoms: int, seed: int) -> None:
        """`phantoms` are drawn once; what is asked about them is drawn for each epoch."""
        self.images = list(images)
        self.pixels = stacked_pixels(self.images, REAL_SIZE)
        self.phantoms: list[Phantom] = []
        self._phantom_pixels = torch.empty(0)
        if phantoms:
            drawn = draw_phantoms(phantoms, seed=seed + 1)
            self.phantoms, self._phantom_pixels = drawn.phantoms, drawn.pixels
        self.seed = seed

    @property
    def pairs(self) -> int:
        """Questions about real images in an epoch."""
        return sum(len(image.pairs) for image in self.images)

    def epoch(self, number: int) -> list[Row]:
        """Every pair once, in rows, in an order that the seed and the epoch's number decide."""
        rng = np.random.default_rng([self.seed, number])
        rows = []
        for place, image in enumerate(self.images):
            order = [image.pairs[int(i)] for i in rng.permutation(len(image.pairs))]
            asked = [_lower_cased(p) if rng.random() < LOWER_CASED else p for p in order]
            count = -(-len(asked) // QUESTIONS_A_ROW)
            rows += [Row(place, tuple(asked[part::count])) for part in range(count)]
        for place, phantom in enumerate(self.phantoms):
            rows.append(Row(place, tuple(phantom_pairs(phantom, rng)), phantom=True))
        return [rows[int(i)] for i in rng.permutation(len(rows))]

    def model_pixels(self, rows: Sequence[Row], generator: torch.Generator) -> torch.Tensor:
        """(rows, 3, S, S): augmented and standardised; phantoms are shown as they are drawn."""
        shown = []
        for row in rows:
            if row.phantom:
                shown.append(self._phantom_pixels[row.image : row.image + 1].float() / 255)
            else:
                pixels = self.pixels[row.image : row.image + 1].float() / 255
                shown.append(augment(pixels, generator, AUGMENTED))
        return normalise(torch.cat(shown))


def training_images(data: Path) -> list[RealImage]:
    """SLAKE train, and VQA-RAD train without the images that its test split shows.

    Raises DataRefused where either is not in `data` as published.
    """
    tested = {image.path for image in load_vqa_rad(data / "vqa-rad", "test")}
    seen = [i for i in load_vqa_rad(data / "vqa-rad", "train") if i.path not in tested]
    return load_slake(data / "slake", "train") + seen


def batches(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """`size` rows of about equal length at a time: rows are sorted within windows of eight."""
    window = 8 * size
    for start in range(0, len(rows), window):
        part = sorted(rows[start : start + window], key=lambda row: len(row.pairs))
        yield from (part[at : at + size] for at in range(0, len(part), size))


def stacked_pixels(images: Sequence[RealImage], side: int) -> torch.Tensor:
    """(images, 3, side, side) uint8."""
    stacked = np.stack([load_pixels(image, side) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def _lower_cased(pair: Pair) -> Pair:
    return Pair(pair.question.lower(), pair.answer, pair.topic, pair.closed)
