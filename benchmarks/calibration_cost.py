"""What PDC adds to the passes of a tower of CLIP-L's size, as a share of one plain pass.

    python benchmarks/calibration_cost.py [--pairs 5] [--threads 1] [--acquisition FILE]

Clean images and noisy ones, each encoded plainly and by PDC in alternating pairs, in CPU seconds:
whatever else the machine does falls on both. A clean image takes one pass; with a model half a
noisy one takes two, without one it is restored before its only pass. *Beside the passes*: what PDC
takes more than those. For noisy images gate and decision are set aside, so that each is restored.
Below, the parts of one noisy image's time.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from large_tower import large_encoder, large_model_half, noisy, phantoms

from vision.acquisition import AcquisitionHalf
from vision.acquisition.benefit import BenefitPredictor, Floats
from vision.acquisition.half import MAX_ROUNDS
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage
from vision.report import CLEAN

HELD_OUT = 5_000
"""Number of the first phantom: no model half was made with it."""
NOISE = ("low_contrast", 5)
PARTS = (
    "picture_statistics",
    "weighted_context",
    "evidence",
    "restore_batch",
    "observe",
    "calibrate_features",
    "statistics",
    "predict",
    "prepare_many",
)
"""Functions whose share of a noisy image's time is shown."""
COLUMNS = (
    "images",
    "encoder, CPU s",
    "PDC, CPU s",
    "passes",
    "beside the passes",
    "min / max",
    "rounds",
)
_OPEN = 1.0 - 1e-9
"""Significance level at which no image counts as clean."""


@dataclass(frozen=True)
class SureBenefit(BenefitPredictor):
    """Computes what the predictor computes, and keeps every restoration."""

    def __call__(self, vectors: Floats) -> tuple[Floats, Floats]:
        """No risk of harm, and at least half of the error removed."""
        harm, share = super().__call__(vectors)
        return np.zeros_like(harm), np.maximum(share, 0.5)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds, all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


def row(
    name: str,
    encoder: VisionEncoder,
    calibrator: Calibrator,
    images: Sequence[MedicalImage],
    *,
    passes: int,
) -> str:
    """One line of the table."""
    plain, calibrated, rounds = [], [], []
    for image in images:
        plain.append(seconds(lambda image=image: encoder.encode(image)))  # type: ignore[misc]
        start = time.process_time()
        report = calibrator(image).report
        calibrated.append(time.process_time() - start)
        rounds.append(len(report.rounds))
    shares = [
        with_pdc / without - passes for with_pdc, without in zip(calibrated, plain, strict=True)
    ]
    spread = " / ".join(f"{100 * one:.1f}" for one in (min(shares), max(shares)))
    return (
        f"| {name} | {statistics.median(plain):.2f} | {statistics.median(calibrated):.2f} | "
        f"{passes} | {100 * (sum(calibrated) / sum(plain) - passes):.1f} % | {spread} | "
        f"{statistics.mean(rounds):.1f} |"
    )


def profile(calibrator: Calibrator, image: MedicalImage) -> dict[str, float]:
    """Share of the whole that functions of `PARTS` take, calls from them included."""
    watched = cProfile.Profile()
    watched.runcall(calibrator, image)
    found = pstats.Stats(watched).get_stats_profile()
    return {
        name: found.func_profiles[name].cumtime / found.total_tt
        for name in PARTS
        if name in found.func_profiles
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--acquisition", type=Path, help="acquisition half; default: the shipped")
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encoder = large_encoder(args.blocks, args.channels)
    given = args.acquisition
    own = AcquisitionHalf.shipped() if given is None else AcquisitionHalf.load(given)
    kept = replace(own, benefit=SureBenefit(**vars(own.benefit)))
    clean = phantoms(args.pairs, start=HELD_OUT)
    encoder.encode(clean[0])  # the first pass pays for what is made once
    print(f"{args.blocks} blocks of {args.channels} channels, {args.threads} threads\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    whole = large_model_half(encoder, own)
    halves = {
        "no model half": None,
        "model half without maps": replace(whole, maps={}),
        "model half with all maps": whole,
    }
    kind, severity = NOISE
    images = [noisy(one, kind, severity) for one in clean]
    for name, half in halves.items():
        usual = Calibrator(encoder, half, acquisition=own)
        unsuspected = [one for one in clean if usual.perceive(one).kind == CLEAN]
        if unsuspected:
            print(row(f"clean, {name}", encoder, usual, unsuspected, passes=1))
        for most in (1, MAX_ROUNDS):
            restoring = Calibrator(encoder, half, acquisition=kept, alpha=_OPEN, max_rounds=most)
            title = f"{kind} {severity}, rounds up to {most}, {name}"
            passes = 1 if half is None else 2
            print(row(title, encoder, restoring, images, passes=passes))
    for part, share in profile(restoring, images[-1]).items():
        print(f"{part}: {100 * share:.1f} % of the whole")


if __name__ == "__main__":
    main()
