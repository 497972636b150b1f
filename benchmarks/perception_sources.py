"""Noise perceived from pixels, from tokens and from both: confusion, reliability, alarms, rounds.

    python benchmarks/perception_sources.py --data DATA [--out FOLDER] [--limit IMAGES]

Noise: SLAKE validation, six core kinds at severities 1 to 5 and the clean images, at the model's
input resolution, seed 0. False alarms: clean images as published, of SLAKE validation, VQA-RAD test
and phantoms.
The perceived noise is what a report says: clean where the gate is shut. The diagram is of the
kind's probability given that there is noise; whether there is any is the gate's question.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText

from imc_bench.report.reliability import Reliability, reliability
from imc_bench.report.reliability_tables import bin_table
from imc_bench.report.table import Table, percent, shown_estimate
from imc_bench.statistics import confusion, false_alarms
from imc_noise import CORE_IMAGE, apply_image, noise_rng
from imc_reference import MODEL_DIR
from imc_reference.architecture import IMAGE_SIZE, load_processor
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from imc_reference.real_data import RealImage, load_slake, load_vqa_rad
from vision.bank.prototype_bank import PrototypeBank
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import ALPHA
from vision.perceive.image_statistics import compute_statistics
from vision.perceive.noise_classifier import SOURCES, Floats
from vision.reading.medical_image import MedicalImage, read_image
from vision.reading.resizing import resize_rgb
from vision.report import CLEAN, UNKNOWN, NoisePerception
from vision.rounds import MAX_ROUNDS, perceive_and_restore

SEVERITIES = (1, 2, 3, 4, 5)
FUSED = "fused"
PHANTOMS = 200
_PHANTOM_SEED = 7_001
"""Phantoms that neither training nor a bank draws."""
_BATCH = 32
_DRAWS = "witnesses"
"""Names the draws of noise: those of the published figures."""


@dataclass
class SourcePerception:
    """Perceives from both sources of statistics and from each alone."""

    encoder: VisionEncoder
    bank: PrototypeBank

    @property
    def names(self) -> tuple[str, ...]:
        """`fused`, then each source that the bank has."""
        return (FUSED, *(name for name in SOURCES if name in self.bank.noise_classifier.scorers))

    def perceive(self, images: Sequence[MedicalImage]) -> dict[str, list[NoisePerception]]:
        """By source: the noise perceived in each image."""
        found: dict[str, list[NoisePerception]] = {name: [] for name in self.names}
        for start in range(0, len(images), _BATCH):
            chunk = images[start : start + _BATCH]
            statistics = compute_statistics(
                self.encoder, chunk, side=self.bank.side, tap=self.bank.perception_tap
            ).by_source
            for name in self.names:
                chosen: Mapping[str, Floats] = (
                    statistics if name == FUSED else {name: statistics[name]}
                )
                found[name] += [
                    self.bank.noise_classifier.report(one, alpha=ALPHA)
                    for one in self.bank.noise_classifier.predict(chosen)
                ]
        return found

    @torch.inference_mode()
    def rounds(self, images: Sequence[MedicalImage]) -> list[int]:
        """How often each image is restored: 0 where the gate is shut or nothing helps."""
        found = []
        for start in range(0, len(images), _BATCH):
            chunk = images[start : start + _BATCH]
            states = perceive_and_restore(self.encoder, self.bank, chunk, alpha=ALPHA, restore=True)
            found += [len(one.rounds) for one in states]
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds vqa-rad/ and slake/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--bank", type=Path, help="default: the model folder's own")
    parser.add_argument("--limit", type=int, help="so many images of each set: to try it")
    parser.add_argument("--out", type=Path, help="folder for perception.md and perception.png")
    args = parser.parse_args()

    model = AutoModelForImageTextToText.from_pretrained(
        args.model, local_files_only=True, use_safetensors=True
    ).eval()
    encoder = VisionEncoder(model, load_processor(str(args.model)))
    path = args.bank or args.model / "prototypes.safetensors"
    sources = SourcePerception(encoder, PrototypeBank.load(path, fingerprint=encoder.fingerprint))
    sets = {
        "SLAKE validation": _read(load_slake(args.data / "slake", "validate")[: args.limit]),
        "VQA-RAD test": _read(load_vqa_rad(args.data / "vqa-rad", "test")[: args.limit]),
        "phantoms": _phantoms(min(PHANTOMS, args.limit or PHANTOMS)),
    }
    clean = {name: sources.perceive(images) for name, images in sets.items()}
    shown = [_at_input(image) for image in sets["SLAKE validation"]]
    truth, perceived = _noisy(sources, shown)
    diagrams = {name: _diagram(truth, perceived[name]) for name in sources.names}
    tables = [
        _alarms(sources, clean),
        *(_confusion(name, truth, perceived[name]) for name in sources.names),
        bin_table(
            "reliability",
            "Probability of the likeliest noise, and how often it is the one",
            diagrams,
        ),
        _rounds(sources, shown),
    ]
    page = "\n".join(table.markdown() for table in tables)
    print(page)
    if args.out is not None:
        from imc_bench.report.reliability_plots import reliability_plot

        args.out.mkdir(parents=True, exist_ok=True)
        head = f"# {(__doc__ or '').splitlines()[0]}\n\n{_about()}\n\n![](perception.png)\n\n"
        (args.out / "perception.md").write_text(head + page, encoding="utf-8")
        picture = reliability_plot(
            diagrams,
            "Reliability diagram: probability of the likeliest noise against how often it is right",
            f"data: SLAKE validation, {len(shown)} images, each with every core noise · model: "
            f"{args.model.name} · severities 1 to 5",
        )
        (args.out / "perception.png").write_bytes(picture.png)


def _about() -> str:
    """The docstring's last paragraph."""
    return (__doc__ or "").strip().split("\n\n")[-1]


def _read(images: Sequence[RealImage]) -> list[MedicalImage]:
    return [read_image(image.path) for image in images]


def _phantoms(count: int) -> list[MedicalImage]:
    drawn = (make_phantom(np.random.default_rng([_PHANTOM_SEED, i])) for i in range(count))
    return [MedicalImage.from_rgb(as_rgb(phantom.image)) for phantom in drawn]


def _at_input(image: MedicalImage) -> MedicalImage:
    return MedicalImage.from_rgb(resize_rgb(image.rgb, (IMAGE_SIZE, IMAGE_SIZE)))


def _noisy(
    sources: SourcePerception, images: Sequence[MedicalImage]
) -> tuple[list[str], dict[str, list[NoisePerception]]]:
    """The true kind of every picture, clean ones first, and what was perceived by source."""
    truth, perceived = [CLEAN] * len(images), sources.perceive(images)
    for kind in CORE_IMAGE:
        for severity in SEVERITIES:
            truth += [kind] * len(images)
            corrupted = [
                _corrupted(image, number, kind, severity) for number, image in enumerate(images)
            ]
            for name, perceptions in sources.perceive(corrupted).items():
                perceived[name] += perceptions
    return truth, perceived


def _corrupted(image: MedicalImage, number: int, kind: str, severity: int) -> MedicalImage:
    rng = noise_rng(f"{_DRAWS} {number}", kind, severity)
    return MedicalImage.from_rgb(apply_image(kind, image.rgb, severity, rng))


def _named(one: NoisePerception) -> tuple[str, float]:
    """The likeliest noise, gate aside, and its probability given that there is noise."""
    noisy = {kind: share for kind, share in one.posterior.items() if kind != CLEAN}
    kind = max(noisy, key=lambda name: noisy[name])
    total = sum(noisy.values())
    # a posterior that is all clean to the last digit names no noise more than another
    return kind, min(noisy[kind] / total, 1.0) if total > 0.0 else 1.0 / len(noisy)


def _diagram(truth: Sequence[str], perceived: Sequence[NoisePerception]) -> Reliability:
    named = [
        (_named(one), kind) for one, kind in zip(perceived, truth, strict=True) if kind != CLEAN
    ]
    return reliability(
        [probability for (_, probability), _ in named], [name == kind for (name, _), kind in named]
    )


def _alarms(
    sources: SourcePerception, clean: Mapping[str, Mapping[str, Sequence[NoisePerception]]]
) -> Table:
    return Table(
        "alarms",
        f"Clean images called noisy, % (gate at {ALPHA:g})",
        ("data", "images", *sources.names),
        tuple(
            (
                name,
                str(len(perceived[FUSED])),
                *(
                    shown_estimate(false_alarms([one.kind for one in perceived[source]]))
                    for source in sources.names
                ),
            )
            for name, perceived in clean.items()
        ),
        "The bank holds training images of SLAKE and VQA-RAD and other phantoms.",
    )


def _rounds(sources: SourcePerception, images: Sequence[MedicalImage]) -> Table:
    most = MAX_ROUNDS + 1  # stripes go first, in a round of their own
    counts = {}
    for kind in CORE_IMAGE:
        corrupted = [
            _corrupted(image, number, kind, severity)
            for severity in SEVERITIES
            for number, image in enumerate(images)
        ]
        counts[kind] = np.bincount(sources.rounds(corrupted), minlength=most + 1)
    total = np.sum(list(counts.values()), axis=0)
    restored, twice = int(total[1:].sum()), int(total[2:].sum())
    return Table(
        "rounds",
        "How often a noisy picture is restored (images)",
        ("kind", *(f"{count}" for count in range(most + 1))),
        tuple((kind, *map(str, row.tolist())) for kind, row in counts.items()),
        f"Of {restored} that are restored, {percent(1 - twice / max(restored, 1))} % are restored "
        "once; what was tried and not kept does not count.",
    )


def _confusion(name: str, truth: Sequence[str], perceived: Sequence[NoisePerception]) -> Table:
    kinds = [CLEAN, *CORE_IMAGE]
    others = sorted({one.kind for one in perceived} - {*kinds, UNKNOWN})
    labels = [*kinds, *others, UNKNOWN]
    counts = confusion(truth, [one.kind for one in perceived], labels)[: len(kinds)]
    named = counts.diagonal() / counts.sum(axis=1)
    aside = [
        _named(one)[0] == kind for one, kind in zip(perceived, truth, strict=True) if kind != CLEAN
    ]
    return Table(
        f"confusion-{name}",
        f"Perceived noise (images): {name}",
        ("true kind", *labels),
        tuple((kind, *map(str, row)) for kind, row in zip(kinds, counts.tolist(), strict=True)),
        f"Kind named rightly: {percent(float(named[1:].mean()))} % of noisy images with the gate, "
        f"{percent(float(np.mean(aside)))} % gate aside, all severities together.",
    )


if __name__ == "__main__":
    main()
