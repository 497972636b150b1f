"""Building a prototype bank: clean references, noisy draws, closed-form fits. No labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from imc_noise import CORE_IMAGE, get_noise
from imc_noise.registry import own_noise_digests
from vision.bank.prototype_bank import PrototypeBank
from vision.build.draws import BEYOND, MIN_IMAGES, check_references
from vision.build.finished_steps import FinishedSteps
from vision.build.references import References
from vision.build.residual_training import SecondSight
from vision.build.steps import BuildSteps, Progress
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage
from vision.report import CLEAN, PIXELS

__all__ = ["MIN_IMAGES", "PrototypeBank", "build_bank", "calibration_taps"]

DEFAULT_RANK = 48
"""Most rank of each map: with every map kept at it, those of a 128-dim, 5-tap tower take 14 MB."""

MORE_KINDS = (
    "speckle",
    "impulse",
    "gamma_up",
    "gamma_down",
    "contrast_up",
    "contrast_down",
    "brightness_up",
    "kspace_spike",
    "defocus",
    "motion_blur",
    "zoom",
    "pixelate",
    "jpeg",
    "gibbs",
    "undersampling",
    "shading",
)
"""Kinds beside the core six that a bank knows, coarsely: those that the core six do not cover
(less light, `brightness_down`, is a low contrast without fog), and that would be taken for one of
these and made worse."""

_COARSE = (2, 4)
_COARSE_SPREAD = 1.0
"""Grid points of those kinds, and how far around them strengths are drawn."""

_DEPTHS = (0.15, 0.3, 0.65)
"""Depths of the block taps as shares of the tower: blocks 0, 1 and 3 of five."""


def calibration_taps(encoder: VisionEncoder) -> tuple[str, ...]:
    """Where the cascade may have maps: the embedding, three blocks at set depths, the projector.

    Of these, a bank keeps those at which a map brings back held-out references.
    """
    blocks = sum(tap.startswith("block.") for tap in encoder.taps)
    chosen = {f"block.{min(int(depth * blocks), blocks - 1)}" for depth in _DEPTHS if blocks}
    return tuple(tap for tap in encoder.taps if tap in chosen or tap in ("embed", "projector"))


def bank_classes(
    kinds: Sequence[str], severities: Sequence[int], more_kinds: Sequence[str] = MORE_KINDS
) -> list[tuple[str, int]]:
    """(kind, severity) of every noisy class: `kinds` on the grid, then `more_kinds` coarsely."""
    further = [kind for kind in more_kinds if kind not in kinds]
    noisy = [(kind, severity) for kind in kinds for severity in severities]
    return noisy + [(kind, severity) for kind in further for severity in _COARSE]


def build_bank(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    *,
    kinds: Sequence[str] = CORE_IMAGE,
    severities: Sequence[int] = (1, 2, 3, 4, 5, BEYOND),
    more_kinds: Sequence[str] = MORE_KINDS,
    seed: int = 0,
    rank: int = DEFAULT_RANK,
    fewest: int = MIN_IMAGES,
    unfinished: Path | None = None,
    progress: Progress | None = None,
) -> PrototypeBank:
    """Build the bank of the encoder's model from clean, unlabelled `images` of its domain.

    Args:
        encoder: the model's.
        images: clean references.
        kinds: kinds of noise that are known by every severity of the grid.
        severities: the grid, 1 to 5 and `BEYOND`.
        more_kinds: kinds that are known in two coarse steps.
        seed: of every draw.
        rank: most rank of a calibration map.
        fewest: different images that there must be; under 64, for experiments alone.
        unfinished: folder that keeps finished steps, so that a killed build goes on where it was;
            the same bank comes of it. `vision.build.finished_steps.remove_steps` it once that is
            saved.
        progress: is told of every step begun.

    Raises BankRefused for too few different images, near-duplicates of a few, an encoder that gives
    no finite features, or an `unfinished` build of something else; imc_noise.UnknownNoise for an
    unknown kind.
    """
    _check_images(images, fewest)
    if rank < 1:
        raise BankRefused(f"rank {rank}: a calibration map has a rank of at least 1")
    noisy = bank_classes(kinds, severities, more_kinds)
    further = [kind for kind in more_kinds if kind not in kinds]
    for kind in (*kinds, *further):
        get_noise(kind, "image")
    classes = [(CLEAN, 0), *noisy]
    taps = calibration_taps(encoder)
    finished = FinishedSteps(unfinished, _identity(encoder, images, classes, taps, seed, rank))
    with torch.inference_mode():
        references = References(encoder, list(images), taps, seed)
        references.spreads = dict.fromkeys(further, _COARSE_SPREAD)
        work = BuildSteps(references, noisy, rank, finished, progress)
        work.look()
        perceiver = references.rows.fit(classes, seed)
        restorer, folded = work.restorers()
        second = SecondSight(references, folded, perceiver)
        fits, shares = work.cascade(second)
        work.next("mixtures")
        again = second.fit(kinds, [s for s in severities if s < BEYOND], classes, seed)
        maps = fits.maps(work.noisy_means())
    return PrototypeBank(
        fingerprint=encoder.fingerprint,
        kinds=(*kinds, *further),
        severities=tuple(severities),
        images=len({image.sha256 for image in images}),
        seed=seed,
        side=references.side,
        perception_tap=references.perception_tap,
        perceiver=perceiver,
        maps=maps,
        restored={PIXELS: shares, **fits.restored()},
        restorer=restorer,
        again=again,
    )


def _check_images(images: Sequence[MedicalImage], fewest: int) -> None:
    different = len({image.sha256 for image in images})
    if different >= MIN_IMAGES or fewest >= MIN_IMAGES:
        check_references(images)
    elif different < fewest:
        raise BankRefused(
            f"this bank needs at least {fewest} different clean images, got {different}"
        )


def _identity(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    classes: Sequence[tuple[str, int]],
    taps: Sequence[str],
    seed: int,
    rank: int,
) -> dict[str, object]:
    """What the steps of an unfinished build are of: a finished step serves no other."""
    digest = hashlib.sha256("".join(image.sha256 for image in images).encode())
    own = own_noise_digests(dict.fromkeys(kind for kind, _ in classes))
    return {
        **({"own_noises": own} if own else {}),
        "format": "imc-unfinished-1",
        "fingerprint": encoder.fingerprint,
        "images": digest.hexdigest(),
        "classes": [list(pair) for pair in classes],
        "taps": list(taps),
        "seed": seed,
        "rank": rank,
    }
