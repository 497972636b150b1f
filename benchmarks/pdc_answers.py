"""What calibration does to answers: accuracy and flips, noisy against calibrated, on real images.

    python benchmarks/pdc_answers.py --data DATA [--model FOLDER] [--severities 3 5] [--native]

Every question of SLAKE validation, the embedded model, strict exact match; noise at the model's
input resolution (or `--native`), seeded by image, kind and severity. A flip is an answer that
differs from the model's own answer on the clean image. Restored: share of the noisy answers'
flips that calibration takes back, net of the flips it makes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from imc_noise import CORE_IMAGE, apply_image, noise_rng
from imc_reference import MODEL_DIR
from imc_reference.architecture import IMAGE_SIZE
from imc_reference.evaluation import Answerer, EvaluateConfig
from imc_reference.real_data import load_slake
from imc_reference.scoring import is_right, normalise_answer
from vision.encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.prototypes import PrototypeBank
from vision.reading import MedicalImage, read_image


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ as published")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--bank", type=Path, help="default: the model folder's own")
    parser.add_argument("--severities", type=int, nargs="+", default=[3, 5])
    parser.add_argument("--native", action="store_true", help="noise at the images' own size")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    images = load_slake(args.data / "slake", "validate")
    asked = [(row, pair) for row, image in enumerate(images) for pair in image.pairs]
    questions = [(row, pair.question) for row, pair in asked]
    answerer = Answerer(EvaluateConfig(model=args.model))
    encoder = VisionEncoder(answerer.model, answerer.processor)
    bank = PrototypeBank.load(
        args.bank or args.model / "prototypes.safetensors", fingerprint=encoder.fingerprint
    )
    calibrator = Calibrator(encoder, bank)
    clean = [read_image(image.path) for image in images]

    def told(pictures: list[MedicalImage], calibrate: bool) -> tuple[list[str], int]:
        results = []
        for start in range(0, len(pictures), 32):
            results += calibrator.calibrate_batch(pictures[start : start + 32], calibrate=calibrate)
        features = [
            torch.cat(
                [part.reshape(-1, part.shape[-1]) for part in r.features.output.pooler_output]
            )
            for r in results
        ]
        touched = sum(r.report.applied for r in results)
        return answerer.answers_from(features, questions), touched

    def accuracy(answers: list[str]) -> float:
        return float(
            np.mean(
                [
                    is_right(a, p.answer, closed=p.closed)
                    for a, (_, p) in zip(answers, asked, strict=True)
                ]
            )
        )

    def flips(answers: list[str]) -> float:
        pairs = zip(answers, own, strict=True)
        return float(np.mean([normalise_answer(a) != normalise_answer(b) for a, b in pairs]))

    own, _ = told(clean, False)
    cleaned, touched = told(clean, True)
    print(
        f"SLAKE validation, {len(asked)} questions on {len(images)} images, noise at "
        f"{'native' if args.native else 'input'} resolution, seed {args.seed}"
    )
    print(
        f"clean: accuracy {accuracy(own):.3f}, calibrated {accuracy(cleaned):.3f}, "
        f"touched {touched} of {len(images)} images, flips {flips(cleaned):.4f}"
    )
    print(
        "| noise | severity | accuracy noisy | calibrated | flips noisy | calibrated | restored |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    totals: dict[int, list[tuple[float, float]]] = {}
    for kind in CORE_IMAGE:
        for severity in args.severities:
            noisy = [_spoilt(image, kind, severity, args) for image in clean]
            before, after = told(noisy, False)[0], told(noisy, True)[0]
            lost, left = flips(before), flips(after)
            totals.setdefault(severity, []).append((lost, left))
            print(
                f"| {kind} | {severity} | {accuracy(before):.3f} | {accuracy(after):.3f} | "
                f"{lost:.3f} | {left:.3f} | {1 - left / lost if lost else float('nan'):.2f} |",
                flush=True,
            )
    for severity, cells in totals.items():
        lost, left = (float(np.mean([cell[i] for cell in cells])) for i in (0, 1))
        share = 1 - left / lost
        print(f"severity {severity}: mean flips {lost:.3f} -> {left:.3f}, {share:.2f} restored")


def _spoilt(
    image: MedicalImage, kind: str, severity: int, args: argparse.Namespace
) -> MedicalImage:
    rgb = image.rgb
    if not args.native:
        small = Image.fromarray(rgb).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
        rgb = np.asarray(small)
    rng = noise_rng(image.sha256, kind, severity, args.seed)
    return MedicalImage.from_rgb(apply_image(kind, rgb, severity, rng))


if __name__ == "__main__":
    main()
