"""A model half's build on a tower of CLIP-L's size, and what a CPU and a GPU agree on."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from gpu.models import IMAGE_SIDE, LLAVA, Size, build
from gpu.timing import QUESTIONS, np_rng
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from vision.acquisition import AcquisitionHalf
from vision.build.model_half import build_model_half
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.reading.medical_image import MedicalImage


@dataclass
class HalfSteps:
    """The steps of one build."""

    references: int
    of: int = 0
    """Steps in all."""
    finished: bool = False
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """By kind of step, of the finished ones."""


def time_model_half(
    size: Size, device: torch.device, references: int, seed: int, found: HalfSteps
) -> None:
    """Build a model half of the LLaVA's tower; `found` is filled step by step."""
    encoder = VisionEncoder(*build(LLAVA, size, device, seed, language=False))
    images = _phantoms(IMAGE_SIDE[size], references, seed + 1)
    begun: list[tuple[str, float]] = []

    def step(name: str, _done: int, of: int) -> None:
        finish()
        found.of = of
        begun.append((name.split()[0] if name.startswith("class") else name, time.perf_counter()))

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if begun:
            name, start = begun.pop()
            found.seconds.setdefault(name, []).append(time.perf_counter() - start)

    acquisition: Any = AcquisitionHalf.shipped().on(device)
    build_model_half(encoder, images, acquisition, seed=seed, fewest=references, progress=step)
    finish()
    found.finished = True


def _phantoms(side: int, count: int, seed: int) -> list[MedicalImage]:
    return [
        MedicalImage.from_rgb(as_rgb(make_phantom(np_rng(seed, number), size=side).image))
        for number in range(count)
    ]


@dataclass(frozen=True)
class Agreement:
    """One small model in float32 on a CPU and on the device."""

    family: str
    difference: float
    """Largest of a feature, over the largest feature."""
    alike: int
    """Equal answers."""
    asked: int


def compare_devices(device: torch.device, seed: int, found: list[Agreement]) -> None:
    """Features and greedy answers of the tests' tiny models, on the CPU and on the device."""
    from tests.tiny_models import build_tiny

    images = _phantoms(IMAGE_SIDE["tiny"], 2, seed + 2)
    for family in ("llava_576", "qwen2_5_vl"):
        tiny = build_tiny(family)
        moved = copy.deepcopy(tiny.model).to(device)
        (here, said), (there, answers) = (
            _answers(model, tiny.processor, images) for model in (tiny.model, moved)
        )
        most = max(float(one.abs().max()) for one in here)
        apart = max(float((a - b).abs().max()) for a, b in zip(here, there, strict=True))
        alike = sum(a == b for a, b in zip(said, answers, strict=True))
        found.append(Agreement(family, apart / most, alike, len(said)))


def _answers(
    model: Any, processor: Any, images: list[MedicalImage]
) -> tuple[list[torch.Tensor], list[str]]:
    """Projected features of every image, on the CPU, and the answers to every question on it."""
    encoder = VisionEncoder(model, processor)
    chat = ChatLocalMLLM.from_parts(model, processor, max_tokens=8)
    features, said = [], []
    for image in images:
        encoded = encoder.encode(image)
        features.append(_projected(encoded))
        said += [str(chat.invoke(question, features=encoded).text) for question in QUESTIONS]
    return features, said


def _projected(encoded: EncodedImage) -> torch.Tensor:
    parts = encoded.output.pooler_output
    whole = parts if isinstance(parts, torch.Tensor) else torch.cat(list(parts))
    return whole.detach().float().cpu()
