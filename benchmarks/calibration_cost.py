"""What perception and calibration add to a tower of CLIP-L's size, as a share of its own forward.

    python benchmarks/bank_large_tower.py --out BANK.safetensors
    python benchmarks/calibration_cost.py --bank BANK.safetensors [--pairs 5]

Clean images and noisy ones, each encoded plainly and by PDC in alternating pairs, in CPU seconds:
whatever else the machine does falls on both. The share is what PDC takes more than the plain
encoder, over the plain encoder; of noisy images also where one restoration is all they may
have. Below, where the CPU of one noisy image goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from large_tower import large_encoder, phantoms

from imc_noise import apply_image, noise_rng
from vision.build.prototypes import PrototypeBank
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.reading.medical_image import MedicalImage

HELD_OUT = 5_000
"""Number of the first phantom: no bank was built on it."""
PARTS = (
    "grey_image",
    "acquisition_statistics",
    "token_statistics",
    "perceive",
    "restorations",
    "prepare_many",
    "change",
)
"""Functions whose share of a noisy image's calibration is shown."""


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def noisy(image: MedicalImage, kind: str, severity: int) -> MedicalImage:
    rng = noise_rng(f"cost {image.sha256}", kind, severity)
    return MedicalImage.from_rgb(apply_image(kind, image.rgb, severity, rng))


def row(
    name: str, encoder: VisionEncoder, calibrator: Calibrator, images: list[MedicalImage]
) -> str:
    plain, calibrated, rounds, taps = [], [], [], set()
    for image in images:
        plain.append(seconds(lambda image=image: encoder.encode(image)))  # type: ignore[misc]
        start = time.process_time()
        report = calibrator(image).report
        calibrated.append(time.process_time() - start)
        rounds.append(len(report.rounds))
        taps.update(report.taps)
    shares = [with_pdc / without - 1.0 for with_pdc, without in zip(calibrated, plain, strict=True)]
    spread = " / ".join(f"{100 * one:.0f}" for one in (min(shares), max(shares)))
    return (
        f"| {name} | {statistics.median(plain):.2f} | {statistics.median(calibrated):.2f} | "
        f"{100 * (sum(calibrated) / sum(plain) - 1):.1f} % | {spread} | "
        f"{statistics.mean(rounds):.1f} | {', '.join(sorted(taps)) or 'none'} |"
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
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--blocks", type=int, default=24)
    parser.add_argument("--channels", type=int, default=1024)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    encoder = large_encoder(args.blocks, args.channels)
    bank = PrototypeBank.load(args.bank, fingerprint=encoder.fingerprint)
    calibrator = Calibrator(encoder, bank)
    clean = phantoms(args.pairs, start=HELD_OUT)
    calibrator(clean[0])  # the first pass pays for what is made once
    print("| images | encoder, CPU s | PDC, CPU s | more | min / max | rounds | stages |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    print(row("clean", encoder, calibrator, clean))
    for kind in bank.kinds:
        corrupted = [noisy(image, kind, 5) for image in clean]
        once = Calibrator(encoder, bank, max_rounds=1)
        print(row(f"{kind} 5, one round", encoder, once, corrupted))
        print(row(f"{kind} 5", encoder, calibrator, corrupted))
    for name, share in profile(calibrator, corrupted[0]).items():
        print(f"{name}: {100 * share:.1f} % of the whole")


if __name__ == "__main__":
    main()
