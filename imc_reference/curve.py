"""Points of the learning curve: validation, its control and phantoms, measured while training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imc_reference.architecture import IMAGE_SIZE
from imc_reference.corpus import draw_phantoms
from imc_reference.exact_match import exact_matches
from imc_reference.questions import PHRASINGS, Pair, phantom_pairs
from imc_reference.real_data import RealImage, load_pixels, load_slake
from imc_reference.training import Trainer

CURVE_PHANTOMS, CURVE_SEED = 150, 991
SWAP_SHIFT = 7
"""The curve's quick control shows the image this many places on; `evaluation` draws at random."""
TRAIN_SHARE = 6
"""Every sixth training image shows how far training is fitted."""


def validation_curve(data: Path) -> Callable[[Trainer], dict[str, float]]:
    """A function that measures the trainer's averaged weights on SLAKE validation and phantoms."""
    images = load_slake(data / "slake", "validate")
    pixels = _stack(images)
    pool = draw_phantoms(CURVE_PHANTOMS, seed=CURVE_SEED)
    rng = np.random.default_rng(CURVE_SEED)
    phantom_questions = [phantom_pairs(p, rng) for p in pool.phantoms]

    def measure(trainer: Trainer) -> dict[str, float]:
        model, encoder = trainer.averaged_model(), trainer.encoder
        asked = [image.pairs for image in images]
        right = _flat(asked, exact_matches(model, encoder, pixels, asked))
        other = _flat(asked, exact_matches(model, encoder, pixels.roll(SWAP_SHIFT, 0), asked))
        point = {
            "slake_val": _mean([hit for _, hit in right]),
            "closed": _mean([hit for pair, hit in right if pair.closed]),
            "open": _mean([hit for pair, hit in right if not pair.closed]),
            "other": _mean([hit for _, hit in other]),
        }
        phantom = _flat(
            phantom_questions, exact_matches(model, encoder, pool.pixels, phantom_questions)
        )
        for topic in PHRASINGS:
            point[f"ph_{topic}"] = _mean([hit for pair, hit in phantom if pair.topic == topic])
        subset = trainer.real.images[::TRAIN_SHARE]
        pairs = [image.pairs for image in subset]
        trained = exact_matches(model, encoder, _stack(subset), pairs)
        point["train"] = _mean([hit for row in trained for hit in row])
        return point

    return measure


def _stack(images: list[RealImage]) -> torch.Tensor:
    stacked: NDArray[np.uint8] = np.stack([load_pixels(image, IMAGE_SIZE) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2)


def _flat(asked: list[list[Pair]], hits: list[list[bool]]) -> list[tuple[Pair, bool]]:
    return [
        (pair, hit)
        for pairs, row in zip(asked, hits, strict=True)
        for pair, hit in zip(pairs, row, strict=True)
    ]


def _mean(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 4) if hits else float("nan")
