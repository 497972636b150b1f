"""From nothing to the shipped folder: train, build the model half, measure, write the card."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers import AutoModelForImageTextToText

from imc_reference.architecture import load_processor
from imc_reference.card import write_card
from imc_reference.corpus import as_rgb
from imc_reference.curve import validation_curve
from imc_reference.evaluation import EvaluateConfig, EvaluationReport, evaluate
from imc_reference.phantoms import make_phantom
from imc_reference.real_data import load_slake, load_vqa_rad
from imc_reference.training import TrainConfig, Trainer

if TYPE_CHECKING:
    from vision.reading.medical_image import MedicalImage

BANK_PHANTOMS = 128
"""Phantoms among the model half's references: the model is asked about those too."""
_PHANTOM_SEED = 4_711
"""Phantoms that neither training nor evaluation draws."""

Say = Callable[[str], None]


def train(config: TrainConfig, say: Say = print) -> Path:
    """Run the whole recipe into `config.out`; resumes where it was stopped.

    Raises `DataRefused` when VQA-RAD or SLAKE is not in `config.data` in its published layout.
    """
    say(f"reading the data sets and drawing {config.phantoms} phantoms: about a minute")
    trainer = Trainer(config)
    if trainer.progress.step:
        say(f"resumed in stage {trainer.progress.stage} at step {trainer.progress.step}")
    for line in trainer.run(validation_curve(config.data)):
        say(line)
    build_reference_bank(config.out, config.data, seed=config.seed, say=say)
    report = evaluate(EvaluateConfig(model=config.out, data=config.data), say)
    publish(config.out, config.data, report)
    say(f"written: {config.out}")
    return config.out


def bank_references(data: Path, seed: int) -> list[MedicalImage]:
    """The model half's clean references, unlabelled: SLAKE's training images, those of VQA-RAD that
    its test split does not show, and phantoms."""
    from vision.reading.medical_image import MedicalImage, read_image

    tested = {image.path for image in load_vqa_rad(data / "vqa-rad", "test")}
    images = load_slake(data / "slake", "train")
    images += [i for i in load_vqa_rad(data / "vqa-rad", "train") if i.path not in tested]
    order = np.random.default_rng(seed).permutation(len(images))
    real = [read_image(images[int(i)].path) for i in order]
    return real + [
        MedicalImage.from_rgb(as_rgb(make_phantom(np.random.default_rng([_PHANTOM_SEED, i])).image))
        for i in range(BANK_PHANTOMS)
    ]


def build_reference_bank(
    model_dir: Path, data: Path, *, seed: int, out: Path | None = None, say: Say = print
) -> Path:
    """Build the model half from `bank_references`; `out` None: `prototypes.safetensors` by the
    weights."""
    from vision.acquisition import AcquisitionHalf
    from vision.build.model_half import build_model_half
    from vision.build.workers import LocalWorkers, default_jobs
    from vision.encoder.vision_encoder import VisionEncoder, model_fingerprint

    model = AutoModelForImageTextToText.from_pretrained(
        model_dir, local_files_only=True, use_safetensors=True
    ).eval()
    encoder = VisionEncoder(
        model, load_processor(str(model_dir)), fingerprint=model_fingerprint(model)
    )
    references = bank_references(data, seed)
    say(f"model half from {len(references)} clean images")
    workers, began = LocalWorkers(default_jobs()), time.monotonic()
    half = build_model_half(
        encoder,
        references,
        AcquisitionHalf.shipped(),
        seed=seed,
        workers=workers,
        progress=lambda what, done, of: say(f"model half: {what} ({done} of {of})"),
    )
    path = out if out is not None else model_dir / "prototypes.safetensors"
    half.save(path)
    say(f"built in {(time.monotonic() - began) / 60:.0f} min, by {workers.jobs} jobs")
    return path


def publish(model_dir: Path, data: Path | None, report: EvaluationReport) -> None:
    """Write `evaluation.json` and the model card into the model folder."""
    (model_dir / "evaluation.json").write_text(report.to_json() + "\n", encoding="utf-8")
    if data is None:
        return
    model = AutoModelForImageTextToText.from_pretrained(model_dir, local_files_only=True)
    write_card(
        model_dir,
        report,
        parameters=sum(p.numel() for p in model.parameters()),
        rad_pairs=sum(len(i.pairs) for i in load_vqa_rad(data / "vqa-rad", "train")),
        slake_pairs=sum(len(i.pairs) for i in load_slake(data / "slake", "train")),
    )
