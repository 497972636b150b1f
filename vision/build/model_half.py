"""Builds the model half of PDC from clean, unlabelled images and noisy draws of them.

Class after class, each in one step: draws of references, one pass of the encoder for the witness'
statistics and for the maps of pictures as they came, then the acquisition half's restorations of
the same draws and the maps of what those leave.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from imc_noise import get_noise
from imc_noise.registry import own_noise_digests
from vision.bank.model_half import RESTORED, UNRESTORED, ModelHalf
from vision.build.acquisition_source import AcquisitionSource
from vision.build.draws import MIN_IMAGES, check_references
from vision.build.finished_steps import FinishedSteps
from vision.build.model_half_steps import ModelHalfSteps
from vision.build.workers import IN_PROCESS, Workers
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import BankRefused
from vision.perceive.encoder_witness import fit_encoder_witness
from vision.reading.medical_image import MedicalImage

__all__ = ["build_model_half", "shallow_blocks", "witness_taps"]

Progress = Callable[[str, int, int], None]
"""(name of the step, steps done, steps in all)."""

DEFAULT_RANK = 6
"""Largest rank of a map: with 72 classes and three taps of 128 channels, the maps of unrestored
pictures take 1.7 MB at most, and the file with the domain's restorer about 6 MB."""

_DEPTHS = (0.05, 0.2)
"""Depths of the block taps as shares of the encoder: blocks 0 and 1 of five, 1 and 4 of 24. Deeper
ones cost more of every pass and know less of the grain."""


def witness_taps(encoder: VisionEncoder) -> tuple[str, ...]:
    """Taps that the model half reads: the embedding and two shallow blocks.

    The projector alone where the blocks are not found.
    """
    blocks = sum(tap.startswith("block.") for tap in encoder.taps)
    if not blocks:
        return encoder.taps[-1:]
    chosen = {f"block.{number}" for number in shallow_blocks(blocks)}
    return tuple(tap for tap in encoder.taps if tap == "embed" or tap in chosen)


def shallow_blocks(blocks: int) -> tuple[int, ...]:
    """Numbers of the blocks that are read in a tower of so many blocks."""
    return tuple(dict.fromkeys(min(int(depth * blocks), blocks - 1) for depth in _DEPTHS))


def build_model_half(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    acquisition: AcquisitionSource | None,
    *,
    classes: Sequence[tuple[str, int]] | None = None,
    taps: Sequence[str] | None = None,
    seed: int = 0,
    rank: int = DEFAULT_RANK,
    fewest: int = MIN_IMAGES,
    unfinished: Path | None = None,
    workers: Workers = IN_PROCESS,
    progress: Progress | None = None,
) -> ModelHalf:
    """Build the model half of the encoder's model from clean, unlabelled `images` of its domain.

    Args:
        encoder: the model's.
        images: clean references.
        acquisition: the half that it will work beside; None: the witness knows tokens alone, and
            there are no maps of restored pictures.
        classes: (kind, severity), clean first, where there is no acquisition half to have them.
        taps: of the encoder; None: `witness_taps`.
        seed: of every draw.
        rank: largest rank of a calibration map.
        fewest: least number of different images; below 64 for experiments only.
        unfinished: folder for the results of finished steps, from which a stopped build resumes to
            the same result; remove it with `vision.build.finished_steps.remove_steps`.
        workers: for what needs no model: fits and restorations. The file does not depend on how
            many there are.
        progress: called before every step.

    Raises BankRefused for too few different images, near-duplicates of a few, an encoder that has
    no readable tap or gives no finite features, a full disk, or an `unfinished` build of something
    else; imc_noise.UnknownNoise for an unknown kind; ValueError where classes are not given once.
    """
    known = classes if acquisition is None else acquisition.classes
    if known is None or (classes is not None and acquisition is not None):
        raise ValueError("give either classes or an acquisition half, whose classes are used")
    _check(images, fewest, rank)
    for kind in dict.fromkeys(kind for kind, _ in known[1:]):
        get_noise(kind, "image")
    chosen = tuple(witness_taps(encoder) if taps is None else taps)
    digest = "" if acquisition is None else acquisition.digest
    identity = _identity(encoder, images, known, chosen, seed, rank, digest)
    finished = FinishedSteps(unfinished, identity)
    with torch.inference_mode():
        steps = ModelHalfSteps(
            encoder,
            list(images),
            chosen,
            known,
            acquisition,
            finished,
            seed,
            rank,
            workers,
            progress,
        )
        steps.run()
        steps.next("witness")
        witness = fit_encoder_witness(
            steps.rows.statistics(steps.passes.taps),
            np.array(steps.rows.labels),
            np.array(steps.rows.references),
            known,
            np.random.default_rng(seed),
            steps.rows.acquisition_scores(),
        )
        distances = steps.distances()
        steps.next("maps of all classes")
        maps = {stage: fit.maps() for stage, fit in steps.fits.items()}
    return ModelHalf(
        fingerprint=encoder.fingerprint,
        acquisition=digest,
        images=len({image.sha256 for image in images}),
        seed=seed,
        spectra=steps.passes.spectra,
        witness=witness,
        distances=distances,
        maps={stage: by_tap for stage, by_tap in maps.items() if by_tap},
        domain=None if steps.domain is None else steps.domain.domain,
        gains={stage: fit.mean_gains() for stage, fit in steps.fits.items()},
        blocks=encoder.blocks,
    )


def _check(images: Sequence[MedicalImage], fewest: int, rank: int) -> None:
    different = len({image.sha256 for image in images})
    if different >= MIN_IMAGES or fewest >= MIN_IMAGES:
        check_references(images)
    elif different < fewest:
        raise BankRefused(
            f"this model half needs at least {fewest} different clean images, got {different}"
        )
    if rank < 1:
        raise BankRefused(f"rank {rank}: a calibration map has a rank of at least 1")


def _identity(
    encoder: VisionEncoder,
    images: Sequence[MedicalImage],
    classes: Sequence[tuple[str, int]],
    taps: Sequence[str],
    seed: int,
    rank: int,
    acquisition: str,
) -> dict[str, object]:
    """Identity of a build: stored results of its steps are used by no other build."""
    digest = hashlib.sha256("".join(image.sha256 for image in images).encode())
    own = own_noise_digests(dict.fromkeys(kind for kind, _ in classes))
    return {
        **({"own_noises": own} if own else {}),
        "format": "imc-unfinished-model-half-2",
        "fingerprint": encoder.fingerprint,
        "acquisition": acquisition,
        "images": digest.hexdigest(),
        "classes": [list(pair) for pair in classes],
        "taps": list(taps),
        "seed": seed,
        "rank": rank,
        "blocks": encoder.blocks,
        "stages": [RESTORED, UNRESTORED],
    }
