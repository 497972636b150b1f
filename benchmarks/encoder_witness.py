"""What the encoder's witness finds by itself, by the number of references it was fitted on.

    python benchmarks/encoder_witness.py --data DIR [--tower large|embedded] [--references 60,120]

References are SLAKE training images, judged are SLAKE validation images, each with the six core
kinds at severities 1 to 5, drawn at the tower's input size. `large` is a tower of CLIP-L's patch
embedding (1,024 channels at 14 pixels) with random weights: it keeps what it sees. `embedded` is
the embedded model's. The tokens are read at `--taps`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from large_tower import large_encoder
from numpy.typing import NDArray
from transformers import AutoModelForImageTextToText

from imc_noise import CORE_IMAGE, apply_image, noise_rng
from imc_reference import MODEL_DIR
from imc_reference.architecture import load_processor
from imc_reference.real_data import load_slake
from vision.build.draws import clean_view, noisy_draw
from vision.build.encoder_passes import EncoderPasses
from vision.build.feature_store import FeatureStore
from vision.build.model_half_steps import CLEAN_VIEWS
from vision.build.witness_rows import WitnessRows
from vision.encoder.token_spectrum import TokenSpectrum
from vision.encoder.vision_encoder import VisionEncoder
from vision.perceive.encoder_witness import EncoderWitness, fit_encoder_witness
from vision.reading import read_image
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb
from vision.report import CLEAN

SEVERITIES = (1, 2, 3, 4, 5)
CLASSES = ((CLEAN, 0), *((kind, severity) for kind in CORE_IMAGE for severity in SEVERITIES))
KINDS = np.array([0, *(1 + i // len(SEVERITIES) for i in range(len(CLASSES) - 1))])
DIRECTION_DRAWS = 24
"""References whose draws at each severity from 2 on set the directions of a kind."""
FALSE_ALARMS = 0.01


def tower(name: str) -> VisionEncoder:
    """The encoder of this name."""
    if name == "large":
        return large_encoder(blocks=1)
    model = AutoModelForImageTextToText.from_pretrained(
        MODEL_DIR, local_files_only=True, use_safetensors=True
    ).eval()
    return VisionEncoder(model, load_processor(str(MODEL_DIR)))


def pictures(data: Path, split: str, count: int) -> list[MedicalImage]:
    """Different images of a SLAKE split, in a shuffled order that is always the same."""
    paths = [image.path for image in load_slake(data / "slake", split)]
    order = np.random.default_rng(0).permutation(len(paths))[:count]
    return [read_image(paths[int(i)]) for i in order]


def fitted(passes: EncoderPasses, references: Sequence[MedicalImage], side: int) -> EncoderWitness:
    """A witness of the core kinds."""

    def draws(label: int, number: int, some: Sequence[MedicalImage]) -> list[MedicalImage]:
        kind, severity = CLASSES[label]
        return [noisy_draw(one, kind, severity, number, side=side, seed=0) for one in some]

    clean = passes.second_moments(references)
    few = references[:DIRECTION_DRAWS]
    noisy = [
        passes.second_moments(
            [one for k in np.flatnonzero(kind == KINDS)[1:] for one in draws(int(k), 1, few)]
        )
        for kind in range(1, len(CORE_IMAGE) + 1)
    ]
    for tap in passes.taps:
        passes.spectra[tap] = TokenSpectrum.fit(clean[tap], [one[tap] for one in noisy])
    rows = WitnessRows()
    numbers = range(len(references))
    for view in range(CLEAN_VIEWS):
        views = [clean_view(one, view, side=side, seed=0) for one in references]
        rows.add(passes.statistics(views), None, 0, numbers)
    for label in range(1, len(CLASSES)):
        rows.add(passes.statistics(draws(label, 0, references)), None, label, numbers)
    return fit_encoder_witness(
        rows.statistics(passes.taps),
        np.array(rows.labels),
        np.array(rows.references),
        CLASSES,
        np.random.default_rng(0),
    )


def judged(
    witness: EncoderWitness, passes: EncoderPasses, images: Sequence[MedicalImage], side: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By severity: share of kinds named, gate aside, and of noisy pictures found."""

    def examined(some: Sequence[MedicalImage]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        statistics = passes.statistics(some)
        scores = witness.scores({tap: one.double().numpy() for tap, one in statistics.items()})
        density = witness.densities["encoder"]
        probabilities = density.posterior(scores)[:, :-1]
        by_kind = np.stack([probabilities[:, k == KINDS].sum(axis=1) for k in np.unique(KINDS)], 1)
        return density.nonconformity(scores), 1 + by_kind[:, 1:].argmax(axis=1)

    shown = [MedicalImage.from_rgb(resize_rgb(one.rgb, (side, side))) for one in images]
    views = [
        clean_view(one, view, side=side, seed=0) for one in images for view in range(CLEAN_VIEWS)
    ]
    threshold = np.quantile(examined(views)[0], 1.0 - FALSE_ALARMS)
    named = np.zeros((len(SEVERITIES), len(CORE_IMAGE)))
    found = np.zeros_like(named)
    for label, (kind, severity) in enumerate(CLASSES[1:], start=1):
        noisy = [
            MedicalImage.from_rgb(
                apply_image(kind, one.rgb, severity, noise_rng(f"witness {i}", kind, severity))
            )
            for i, one in enumerate(shown)
        ]
        odds, kinds = examined(noisy)
        place = SEVERITIES.index(severity), CORE_IMAGE.index(kind)
        named[place], found[place] = (kinds == KINDS[label]).mean(), (odds > threshold).mean()
    return named, found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/")
    parser.add_argument("--tower", choices=("large", "embedded"), default="large")
    parser.add_argument("--taps", default="embed", help="comma-separated")
    parser.add_argument("--references", default="60,120", help="comma-separated")
    parser.add_argument("--images", type=int, default=40)
    args = parser.parse_args()
    encoder = tower(args.tower)
    side = encoder.input_side or 336
    images = pictures(args.data, "validate", args.images)
    print("| references | measure | all | " + " | ".join(CORE_IMAGE) + " | severity 1 to 5 |")
    print("| --- " * (len(CORE_IMAGE) + 4) + "|")
    with torch.inference_mode():
        for count in map(int, args.references.split(",")):
            passes = EncoderPasses(encoder, tuple(args.taps.split(",")), FeatureStore())
            witness = fitted(passes, pictures(args.data, "train", count), side)
            for name, shares in zip(
                ("kind named, gate aside", f"found at {FALSE_ALARMS:.0%} of clean"),
                judged(witness, passes, images, side),
                strict=True,
            ):
                cells = [shares.mean(), *shares.mean(axis=0)]
                by_severity = " ".join(f"{100 * share:.0f}" for share in shares.mean(axis=1))
                row = " | ".join(f"{100 * share:.1f}" for share in cells)
                print(f"| {count} | {name} | {row} | {by_severity} |", flush=True)


if __name__ == "__main__":
    main()
