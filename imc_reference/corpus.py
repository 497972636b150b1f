"""What the reference model is trained on, held ready in memory."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imc_reference.architecture import GRID, IMAGE_SIZE
from imc_reference.phantoms import Phantom, make_phantom
from imc_reference.questions import PHRASINGS, Pair, phantom_pairs
from imc_reference.real_data import RealImage, load_pixels, load_slake, load_vqa_rad

REAL_SIZE = 128
"""Real images are kept a little larger than the model's input so that augmentation can crop."""

ORGAN_QUESTION = "does the picture contain "
MIN_ORGAN_IMAGES = 12
"""Organs asked about less often give no usable head."""


@dataclass
class RealCorpus:
    """Training images with their pairs and the labels of the auxiliary heads (-1: unknown)."""

    images: list[RealImage]
    pixels: torch.Tensor
    """(n, 3, REAL_SIZE, REAL_SIZE) uint8."""
    modality: torch.Tensor
    location: torch.Tensor
    organs: torch.Tensor
    """(n, organs), 1 present, 0 absent, -1 never asked."""
    modalities: list[str]
    locations: list[str]
    organ_names: list[str]


def load_real_training(data: Path) -> RealCorpus:
    """VQA-RAD train and SLAKE train; nothing of any validation or test split."""
    images = load_slake(data / "slake", "train") + load_vqa_rad(data / "vqa-rad", "train")
    stacked = np.stack([load_pixels(image, REAL_SIZE) for image in images])
    modalities = sorted({i.modality for i in images if i.modality})
    locations = sorted({i.location for i in images if i.location})
    asked: Counter[str] = Counter()
    for image in images:
        for pair in image.pairs:
            if (organ := _organ_asked(pair)) is not None:
                asked[organ] += 1
    organ_names = sorted(o for o, n in asked.items() if n >= MIN_ORGAN_IMAGES)
    organs = torch.full((len(images), len(organ_names)), -1.0)
    for row, image in enumerate(images):
        for pair in image.pairs:
            organ = _organ_asked(pair)
            if organ in organ_names and pair.answer in ("yes", "no"):
                organs[row, organ_names.index(organ)] = float(pair.answer == "yes")
    return RealCorpus(
        images=images,
        pixels=torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous(),
        modality=torch.tensor([modalities.index(i.modality) if i.modality else -1 for i in images]),
        location=torch.tensor([locations.index(i.location) if i.location else -1 for i in images]),
        organs=organs,
        modalities=modalities,
        locations=locations,
        organ_names=organ_names,
    )


def _organ_asked(pair: Pair) -> str | None:
    question = pair.question.lower()
    if not question.startswith(ORGAN_QUESTION):
        return None
    return question.removeprefix(ORGAN_QUESTION).strip(" ?").replace("brian", "brain")


@dataclass
class PhantomCorpus:
    """A pool of phantoms with their truth as tensors."""

    phantoms: list[Phantom]
    pixels: torch.Tensor
    """(n, 3, IMAGE_SIZE, IMAGE_SIZE) uint8."""
    fraction: torch.Tensor
    """(n, patches) share of each patch that is lesion."""
    modality: torch.Tensor
    count: torch.Tensor
    side: torch.Tensor
    extent: torch.Tensor


def as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) view of a grey or colour image."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1)


def draw_phantoms(count: int, seed: int) -> PhantomCorpus:
    """Draw `count` phantoms from `seed`; a second or two per thousand."""
    from imc_reference.phantoms import MODALITIES

    rng = np.random.default_rng(seed)
    phantoms = [make_phantom(rng, size=IMAGE_SIZE) for _ in range(count)]
    pixels = np.stack([as_rgb(p.image) for p in phantoms])
    side = {"left": 0, "right": 1, None: -1}
    extent = {"small": 0, "large": 1, None: -1}
    return PhantomCorpus(
        phantoms=phantoms,
        pixels=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        fraction=torch.from_numpy(np.stack([p.lesion_fraction(GRID).ravel() for p in phantoms])),
        modality=torch.tensor([MODALITIES.index(p.modality) for p in phantoms]),
        count=torch.tensor([p.count for p in phantoms]),
        side=torch.tensor([side[p.side] for p in phantoms]),
        extent=torch.tensor([extent[p.size] for p in phantoms]),
    )


def training_questions(real: RealCorpus, seed: int = 0) -> list[str]:
    """Distinct training questions, real and phantom: the language the text skills learn from."""
    rng = np.random.default_rng(seed)
    questions = {pair.question for image in real.images for pair in image.pairs}
    for _ in range(400):
        phantom = make_phantom(rng, size=16)
        questions.update(p.question for p in phantom_pairs(phantom, rng, tuple(PHRASINGS)))
    return sorted(questions)
