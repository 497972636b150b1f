"""Builds a prototype bank from clean, unlabelled images and noisy draws of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch

from imc_noise import CORE_IMAGE, get_noise
from imc_noise.registry import own_noise_digests
from vision.bank.prototype_bank import PrototypeBank
from vision.build.draws import MIN_IMAGES, SEVERITY_ABOVE_MAX, check_references
from vision.build.finished_steps import FinishedSteps
from vision.build.references import References
from vision.build.residual_training import ResidualTrainingSet
from vision.build.steps import BuildSteps, Progress
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage
from vision.report import CLEAN, PIXELS

__all__ = ["MIN_IMAGES", "PrototypeBank", "build_bank", "calibration_taps"]

DEFAULT_RANK = 48
"""Largest rank of a map; at this rank all maps of a 128-dim, 5-tap encoder would take 14 MB."""

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
"""Kinds beside the core six, each at two severities: noises that the core six do not cover and that
would otherwise be classified as one of these and corrected wrongly. `brightness_down` is covered:
it is `low_contrast` without fog."""

_COARSE = (2, 4)
_COARSE_SPREAD = 1.0
"""Severities of those kinds, and the half width of the strengths drawn around them."""

_DEPTHS = (0.15, 0.3, 0.65)
"""Depths of the block taps as shares of the encoder: blocks 0, 1 and 3 of five."""


def calibration_taps(encoder: VisionEncoder) -> tuple[str, ...]:
    """Taps at which maps are fitted: the embedding, three blocks at set depths, the projector.

    A bank keeps those at which a map explains enough of the residual of held-out references.
    """
    blocks = sum(tap.startswith("block.") for tap in encoder.taps)
    chosen = {f"block.{min(int(depth * blocks), blocks - 1)}" for depth in _DEPTHS if blocks}
    return tuple(tap for tap in encoder.taps if tap in chosen or tap in ("embed", "projector"))


def bank_classes(
    kinds: Sequence[str], severities: Sequence[int], more_kinds: Sequence[str] = MORE_KINDS
) -> list[tuple[str, int]]:
    """(kind, severity) of every noisy class: `kinds` on the grid, `more_kinds` at two."""
    further = [kind for kind in more_kinds if kind not in kinds]
    noisy = [(kind, severity) for kind in kinds for severity in severities]
    return noisy + [(kind, severity) for kind in further for severity in _COARSE]


def build_bank(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    *,
    kinds: Sequence[str] = CORE_IMAGE,
    severities: Sequence[int] = (1, 2, 3, 4, 5, SEVERITY_ABOVE_MAX),
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
        kinds: kinds of noise that have a class at every severity of the grid.
        severities: the grid, 1 to 5 and `SEVERITY_ABOVE_MAX`.
        more_kinds: kinds that have classes at two severities.
        seed: of every draw.
        rank: largest rank of a calibration map.
        fewest: least number of different images; below 64 for experiments only.
        unfinished: folder for the results of finished steps, from which a stopped build resumes to
            the same bank; remove it with `vision.build.finished_steps.remove_steps` once the bank
            is saved.
        progress: called before every step.

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
        work.compute_statistics()
        noise_classifier = references.rows.fit(classes, seed)
        restorer, folded = work.restorers()
        residual = ResidualTrainingSet(references, folded, noise_classifier)
        fits, shares = work.cascade(residual)
        work.next("mixtures")
        grid = [severity for severity in severities if severity < SEVERITY_ABOVE_MAX]
        residual_classifier = residual.fit(kinds, grid, classes, seed)
        maps = fits.maps(work.noisy_means())
    return PrototypeBank(
        fingerprint=encoder.fingerprint,
        kinds=(*kinds, *further),
        severities=tuple(severities),
        images=len({image.sha256 for image in images}),
        seed=seed,
        side=references.side,
        perception_tap=references.perception_tap,
        noise_classifier=noise_classifier,
        maps=maps,
        restored={PIXELS: shares, **fits.restored()},
        restorer=restorer,
        blocks=encoder.blocks,
        residual_classifier=residual_classifier,
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
    """Identity of a build: stored results of its steps are used by no other build."""
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
        **({"blocks": encoder.blocks} if encoder.blocks else {}),
    }
