"""SLAKE's validation images, corrupted at the model's input resolution, and their questions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from langchain_core.messages import HumanMessage

from ablations.cells import Cell
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_noise import apply_image, noise_rng
from imc_reference.architecture import IMAGE_SIZE
from imc_reference.questions import Pair
from imc_reference.real_data import load_slake
from vision.encoder.vision_encoder import EncodedImage
from vision.reading.medical_image import MedicalImage, read_image
from vision.reading.resizing import resize_rgb

_ANSWER_TOKENS = 16
"""Where answers are cut."""
_BATCH = 128
"""Questions answered together."""


class Ground:
    """What every row is measured on."""

    def __init__(self, data: Path, limit: int | None) -> None:
        images = load_slake(data / "slake", "validate")[:limit]
        self.names = [image.path.parent.name for image in images]
        self.pairs: list[list[Pair]] = [image.pairs for image in images]
        self.clean = [
            MedicalImage.from_rgb(resize_rgb(read_image(image.path).rgb, (IMAGE_SIZE, IMAGE_SIZE)))
            for image in images
        ]
        self._corrupted: dict[Cell, list[MedicalImage]] = {}

    @property
    def asked(self) -> list[Pair]:
        """Every question, image after image."""
        return [pair for pairs in self.pairs for pair in pairs]

    @property
    def groups(self) -> list[str]:
        """The image of every question: the bootstrap's clusters."""
        return [name for name, pairs in zip(self.names, self.pairs, strict=True) for _ in pairs]

    def pictures(self, cell: Cell) -> list[MedicalImage]:
        """Every image under the noises of a cell, seed 0; drawn once, for every row the same."""
        if cell not in self._corrupted:
            self._corrupted[cell] = [
                _corrupted(image, name, cell)
                for image, name in zip(self.clean, self.names, strict=True)
            ]
        return self._corrupted[cell]


def _corrupted(image: MedicalImage, name: str, cell: Cell) -> MedicalImage:
    if not cell.noises:
        return image
    rgb = image.rgb
    for kind, severity in cell.noises:
        rgb = apply_image(kind, rgb, severity, noise_rng(f"ablation {name}", kind, severity))
    return MedicalImage.from_rgb(rgb)


class Asker:
    """Answers every question of the ground; features that were shown before are not asked again."""

    def __init__(self, chat: ChatLocalMLLM, pairs: Sequence[Sequence[Pair]]) -> None:
        self._chat = chat
        self._questions = [[pair.question for pair in of_image] for of_image in pairs]
        self._known: dict[tuple[int, str], list[str]] = {}

    def answers(self, features: Sequence[EncodedImage]) -> list[str]:
        """Greedy answers, image after image, from the features of each image."""
        keys = [(number, _digest(one)) for number, one in enumerate(features)]
        waiting = [
            (number, question)
            for number, key in enumerate(keys)
            if key not in self._known
            for question in self._questions[number]
        ]
        told: list[str] = []
        for start in range(0, len(waiting), _BATCH):
            batch = waiting[start : start + _BATCH]
            replies = self._chat.generate_batch(
                [[HumanMessage(question)] for _, question in batch],
                features=[features[number] for number, _ in batch],
                max_new_tokens=_ANSWER_TOKENS,
            )
            told += [str(reply.text).strip() for reply in replies]
        for (number, _), answer in zip(waiting, told, strict=True):
            self._known.setdefault(keys[number], []).append(answer)
        return [answer for key in keys for answer in self._known[key]]


def _digest(encoded: EncodedImage) -> str:
    projected = encoded.output.pooler_output
    parts = [projected] if isinstance(projected, torch.Tensor) else projected
    made = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        made.update(part.detach().contiguous().numpy().tobytes())
    return made.hexdigest()
