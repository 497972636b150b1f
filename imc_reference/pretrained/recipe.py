"""From the installed package to a model folder, with the shipped trained parts or new ones."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from imc_reference import MODEL_DIR
from imc_reference.architecture import IMAGE_SIZE, IMAGE_TOKENS
from imc_reference.card import card_text, results_section, write_lines
from imc_reference.evaluation import EvaluateConfig, EvaluationReport, evaluate
from imc_reference.exact_match import exact_matches
from imc_reference.packed_answers import PackedAnswerer
from imc_reference.pretrained.assembly import assembled, embedded_model, tower_digest
from imc_reference.pretrained.examples import (
    QUESTIONS_A_ROW,
    ChatEncoder,
    Corpus,
    stacked_pixels,
    training_images,
)
from imc_reference.pretrained.gguf_llama import read_gguf
from imc_reference.pretrained.lora import merge_low_rank
from imc_reference.pretrained.package import MARK, LanguageFile, PretrainedRefused, language_file
from imc_reference.pretrained.parts import SHIPPED, TrainedParts
from imc_reference.pretrained.training import AdaptConfig, Adapter, Measure
from imc_reference.prompting import answer_prompt
from imc_reference.real_data import RealImage, load_slake

PARTS_FILE = "trained_parts.safetensors"
"""The trained parts in the folder that was trained: what is shipped of it."""
CURVE_IMAGES = 20
"""Images of SLAKE validation behind a point of the learning curve, evenly spaced."""
CARD_PHANTOMS = 100
"""Phantoms behind the card's figures."""
_ROOM = 1.1
"""Times the weights' size that must be free for the folder."""

Say = Callable[[str], None]


def build(
    out: Path, *, weights: Path | None = None, parts: Path | None = None, say: Say = print
) -> Path:
    """Write the second model into a folder from the package and trained parts, in a minute or two.

    Args:
        out: the folder.
        weights: the GGUF file; None: the installed package's.
        parts: the trained parts' file; None: the shipped ones.
        say: called with each line of progress.

    Raises:
        PretrainedRefused: the package is missing, damaged or of another version; no trained parts;
            no room for the folder.
    """
    if parts is None and not SHIPPED.is_file():
        raise PretrainedRefused(
            "no trained parts are shipped with this version: train them with imc reference "
            "pretrained --train --data FOLDER, or name a file of them with --parts"
        )
    file = language_file(weights)
    say(f"reading {file.path.name}")
    tower = embedded_model()
    # before the minute of work: parts that do not fit cost none
    known = TrainedParts.load(
        parts if parts is not None else SHIPPED, language=file.sha256, tower=tower_digest(tower)
    )
    model, processor = assembled(read_gguf(file.path), tower)
    _write(out, model, processor, known, file, say)
    return out


def train(config: AdaptConfig, *, weights: Path | None = None, say: Say = print) -> Path:
    """Train the parts, write the folder with them, measure it and write its card; resumes.

    Raises:
        PretrainedRefused: as `build`; or a run with other settings was stopped in the folder.
        DataRefused: SLAKE or VQA-RAD is not in `config.data` as published.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    file = language_file(weights)
    images = training_images(config.data)
    validation = load_slake(config.data / "slake", "validate")
    say(f"reading {file.path.name}")
    language, tower = read_gguf(file.path), embedded_model()
    model, processor = assembled(language, tower, seed=config.seed)
    check_room(config.out, model)
    config.out.mkdir(parents=True, exist_ok=True)
    encoder = ChatEncoder(processor, answer_prompt(model.config), IMAGE_TOKENS)
    corpus = Corpus(images, config.phantoms, config.seed)
    adapter = Adapter(config, model, encoder, corpus)
    say(
        f"{corpus.pairs} questions on {len(images)} images and {config.phantoms} phantoms an "
        f"epoch, {adapter.steps} steps on {adapter.device}"
    )
    if adapter.progress.step:
        say(f"resumed at step {adapter.progress.step}")
    for line in adapter.run(validation_measure(validation)):
        say(line)
    progress = adapter.progress
    known = TrainedParts(
        {name: value.cpu() for name, value in adapter.average.items()},
        config.rank,
        file.sha256,
        tower_digest(tower),
        recipe={
            **config.settings,
            "dtype": config.dtype,
            "steps": progress.step,
            "minutes": round(progress.seconds / 60, 1),
            "questions": progress.questions,
        },
        curve=progress.curve,
    )
    known.save(config.out / PARTS_FILE)
    del adapter, model
    return finish(config, weights=weights, say=say)


def finish(config: AdaptConfig, *, weights: Path | None = None, say: Say = print) -> Path:
    """The folder of a run that has ended: its parts as they are stored, measured, and the card."""
    file, tower = language_file(weights), embedded_model()
    stored = config.out / PARTS_FILE
    known = TrainedParts.load(stored, language=file.sha256, tower=tower_digest(tower))
    model, processor = assembled(read_gguf(file.path), tower)
    parameters = _write(config.out, model, processor, known, file, say)
    measured_how = EvaluateConfig(model=config.out, data=config.data, phantoms=CARD_PHANTOMS)
    encoder = ChatEncoder(processor, answer_prompt(model.config), IMAGE_TOKENS)
    del model
    answerer = PackedAnswerer(measured_how, encoder, questions=QUESTIONS_A_ROW)
    report = evaluate(measured_how, say, answerer)
    measured = replace(known, report=report.to_dict())
    measured.save(stored)
    _card(config.out, measured, file, parameters)
    say(f"written: {config.out}")
    return config.out


def validation_measure(images: list[RealImage]) -> Measure:
    """Exact match on some of SLAKE's validation questions, and with another patient's image."""
    chosen = images[:: max(1, len(images) // CURVE_IMAGES)][:CURVE_IMAGES]
    pixels, asked = stacked_pixels(chosen, IMAGE_SIZE), [image.pairs for image in chosen]

    def measure(model: LlavaForConditionalGeneration, encoder: ChatEncoder) -> dict[str, float]:
        shown = _share(exact_matches(model, encoder, pixels, asked, rows_at_once=4))
        other = _share(exact_matches(model, encoder, pixels.roll(1, 0), asked, rows_at_once=4))
        return {"slake_val": shown, "other": other, "questions": float(sum(map(len, asked)))}

    return measure


def _share(hits: list[list[bool]]) -> float:
    flat = [hit for row in hits for hit in row]
    return round(sum(flat) / max(1, len(flat)), 4)


def check_room(out: Path, model: LlavaForConditionalGeneration) -> None:
    """Refuse a folder that is a file, holds another model, or has no room for the weights."""
    place = out
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise PretrainedRefused(f"--out {str(out)!r}: {place.name} is a file: name a folder")
    needed = sum(p.numel() * p.element_size() for p in model.parameters()) * _ROOM
    free = shutil.disk_usage(place).free
    if free < needed:
        raise PretrainedRefused(
            f"--out {str(out)!r}: the folder takes {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB "
            "are free: free some, or name a folder elsewhere"
        )


def _write(
    out: Path,
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    parts: TrainedParts,
    file: LanguageFile,
    say: Say,
) -> int:
    """The folder, its card included; the model's parameters are counted."""
    try:
        merge_low_rank(model, parts.tensors, parts.rank)
    except (KeyError, RuntimeError):
        raise PretrainedRefused(
            "the trained parts have other shapes than this model: train them again"
        ) from None
    check_room(out, model)
    parameters = sum(value.numel() for value in model.parameters())
    try:
        out.mkdir(parents=True, exist_ok=True)
        say(f"writing {out}")
        setattr(model.config, MARK, file.source)
        model.save_pretrained(out)
        processor.save_pretrained(out)
        shutil.copyfile(MODEL_DIR / "vocabulary.tsv", out / "vocabulary.tsv")
        _card(out, parts, file, parameters)
    except Exception as error:
        if not (isinstance(error, OSError) or "os error" in str(error).lower()):
            raise
        full = getattr(error, "errno", None) == errno.ENOSPC or "space" in str(error).lower()
        why = "no space is left" if full else f"it cannot be written ({type(error).__name__})"
        raise PretrainedRefused(
            f"--out {str(out)!r}: {why}: free some, or name a folder elsewhere"
        ) from error
    return int(parameters)


def _card(out: Path, parts: TrainedParts, file: LanguageFile, parameters: int) -> None:
    """The model card: sources, recipe, what was measured of these parts, and limits."""
    trained = sum(value.numel() for value in parts.tensors.values())
    head = card_text("pretrained_head.md").format(
        millions=parameters / 1e6, source=file.source, sha256=file.sha256
    )
    lines = [head, f"{trained:,} trained parameters, rank {parts.rank}. Settings of the run:", ""]
    lines += [f"- {name}: {value}" for name, value in parts.recipe.items()]
    if parts.curve:
        names = list(parts.curve[0])
        lines += ["", "## Learning curve", "| " + " | ".join(names) + " |"]
        lines += ["| " + " | ".join("---" for _ in names) + " |"]
        lines += ["| " + " | ".join(str(p.get(n, "")) for n in names) + " |" for p in parts.curve]
    lines.append("")
    if parts.report is not None:
        report = EvaluationReport.from_dict(parts.report)
        (out / "evaluation.json").write_text(report.to_json() + "\n", encoding="utf-8")
        lines += [*results_section(report), ""]
    write_lines(out, [*lines, card_text("card_limits.md")])
