"""The training recipe: tower first, then the whole model; resumable, with progress and a curve.

Stage "tower" teaches the vision tower from phantom truth and image labels through throw-away heads.
Stage "joint" trains everything on questions about real images and phantoms and on text skills, and
keeps an exponential moving average of the weights, which is what is saved.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from imc_reference.architecture import (
    build_model,
    build_processor,
)
from imc_reference.augment import augment
from imc_reference.checkpoint import (
    flatten_optimizer,
    load_state,
    restore_optimizer,
    save_state,
)
from imc_reference.corpus import (
    draw_phantoms,
    load_real_training,
    training_questions,
)
from imc_reference.losses import (
    Heads,
    answer_logits,
    normalise,
    patch_features,
    tower_losses,
)
from imc_reference.packing import IGNORE, Encoder, Segment, pack
from imc_reference.questions import PHRASINGS, phantom_pairs
from imc_reference.text_skills import clinical_terms, text_exercise
from imc_reference.tokenizer import train_tokenizer

Stage = str
REAL_ROWS, PHANTOM_ROWS, TEXT_ROWS = 15, 12, 5
QUESTIONS_PER_IMAGE = 7
TOWER_BATCH = 96
TOWER_REAL = 32
SAVE_EVERY_S = 180.0
CURVE_EVERY_S = 300.0
EMA_DECAY = 0.999
AUXILIARY_WEIGHT = 0.12
EASY_TOPICS = ("modality", "verification", "region")
EASY_SHARE, OTHER_SHARE = 0.3, 0.6
"""How often a phantom is asked each topic; counting is slowest to learn and is always asked."""

SEEN_OFTEN = 3
"""Words of training questions seen less often stay out of the vocabulary: many are typing slips."""

CLOSED_WEIGHT = 1.5
"""Closed questions are the ones a question-only lookup answers well: they need the image most."""


@dataclass(frozen=True)
class TrainConfig:
    """How long and from what; `steps` of a stage override its minutes and make it exact."""

    out: Path
    data: Path
    tower_minutes: float = 12.0
    joint_minutes: float = 60.0
    tower_steps: int | None = None
    joint_steps: int | None = None
    phantoms: int = 24_000
    seed: int = 0
    resume: bool = True


@dataclass
class Progress:
    """Where training stands; stored beside the weights."""

    stage: Stage = "tower"
    step: int = 0
    seconds: float = 0.0
    tower_steps: int = 0
    tower_seconds: float = 0.0


class Trainer:
    """Holds model, heads, data and optimiser; `run` yields a line of progress now and then."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.generator = torch.Generator().manual_seed(config.seed)
        self.real = load_real_training(config.data)
        self.phantoms = draw_phantoms(config.phantoms, seed=config.seed + 1)
        self.questions = training_questions(self.real, config.seed)
        self.tokenizer = self._tokenizer()
        self.encoder = Encoder(self.tokenizer)
        self.model = build_model(self.tokenizer, config.seed)
        self.heads = Heads(self.real, self.model.config.vision_config.hidden_size)
        self.ema: dict[str, torch.Tensor] = {}
        self.progress = Progress()
        self.optimizer = self._optimizer()
        self._by_image = self._pair_weights()
        config.out.mkdir(parents=True, exist_ok=True)
        if config.resume:
            self._resume()

    # -- set-up -----------------------------------------------------------------------------------

    def _tokenizer(self) -> PreTrainedTokenizerFast:
        texts = [p.question for i in self.real.images for p in i.pairs]
        texts += [p.answer for i in self.real.images for p in i.pairs]
        texts += self.questions * 4 + [f" {t}" for t in clinical_terms()] * 6
        return train_tokenizer(texts)

    def _pair_weights(self) -> list[np.ndarray]:
        """Chance of drawing each pair of an image: closed ones more often."""
        weights = []
        for image in self.real.images:
            w = np.array([CLOSED_WEIGHT if p.closed else 1.0 for p in image.pairs])
            weights.append(w / w.sum())
        return weights

    def _optimizer(self) -> torch.optim.AdamW:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        parameters += list(self.heads.parameters())
        decayed = [p for p in parameters if p.ndim >= 2]
        plain = [p for p in parameters if p.ndim < 2]
        return torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.08}, {"params": plain, "weight_decay": 0.0}],
            lr=1e-3,
            betas=(0.9, 0.98),
        )

    # -- one step ---------------------------------------------------------------------------------

    def _images(
        self, real_count: int, phantom_count: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw rows and their augmented, standardised pixels, real ones first."""
        weights = np.array([len(i.pairs) for i in self.real.images], dtype=float) ** 0.75
        real_rows = torch.from_numpy(
            self.rng.choice(
                len(weights),
                min(real_count, len(weights)),
                replace=False,
                p=weights / weights.sum(),
            )
        )
        phantom_rows = torch.from_numpy(
            self.rng.integers(len(self.phantoms.phantoms), size=phantom_count)
        )
        real = augment(self.real.pixels[real_rows].float() / 255, self.generator, 0.8)
        pixels = [real]
        if phantom_count:
            drawn = self.phantoms.pixels[phantom_rows].float() / 255
            gain = 0.85 + 0.3 * torch.rand(phantom_count, 1, 1, 1, generator=self.generator)
            pixels.append((drawn * gain).clamp(0, 1))
        return real_rows, phantom_rows, normalise(torch.cat(pixels))

    def _tower_step(self) -> float:
        real_rows, phantom_rows, pixels = self._images(TOWER_REAL, TOWER_BATCH - TOWER_REAL)
        patches = patch_features(self.model, pixels)
        loss = tower_losses(self.heads, patches, self.real, real_rows, self.phantoms, phantom_rows)
        loss.backward()
        return float(loss.detach())

    def _segments(
        self, real_rows: torch.Tensor, phantom_rows: torch.Tensor
    ) -> list[tuple[bool, list[Segment]]]:
        rows: list[tuple[bool, list[Segment]]] = []
        for row in real_rows.tolist():
            pairs = self.real.images[row].pairs
            count = min(QUESTIONS_PER_IMAGE, len(pairs))
            chosen = self.rng.choice(len(pairs), count, replace=False, p=self._by_image[row])
            segments = []
            for index in chosen:
                pair = pairs[int(index)]
                text = pair.question.lower() if self.rng.random() < 0.15 else pair.question
                segments.append(
                    self.encoder.question(text, pair.answer, CLOSED_WEIGHT if pair.closed else 1.0)
                )
            rows.append((True, segments))
        for row in phantom_rows.tolist():
            topics = tuple(topic for topic in PHRASINGS if self._asks(topic))
            pairs = phantom_pairs(self.phantoms.phantoms[row], self.rng, topics)
            rows.append((True, [self.encoder.question(p.question, p.answer) for p in pairs]))
        for _ in range(TEXT_ROWS):
            segments, length = [], 0
            while length < 170:
                segment = self.encoder.text(*text_exercise(self.questions, self.rng), 0.5)
                segments.append(segment)
                length += len(segment.prompt) + len(segment.target)
            rows.append((False, segments))
        return rows

    def _asks(self, topic: str) -> bool:
        share = EASY_SHARE if topic in EASY_TOPICS else OTHER_SHARE
        return topic == "count" or bool(self.rng.random() < share)

    def _joint_step(self) -> float:
        real_rows, phantom_rows, pixels = self._images(REAL_ROWS, PHANTOM_ROWS)
        patches = patch_features(self.model, pixels)
        projected = self.model.model.multi_modal_projector(patches)
        batch = pack(self._segments(real_rows, phantom_rows), self.encoder)
        logits = answer_logits(self.model, batch, projected, self.encoder, token_drop=0.1)
        labelled = batch.labels != IGNORE
        losses = nn.functional.cross_entropy(
            logits, batch.labels[labelled], reduction="none", label_smoothing=0.03
        )
        weights = batch.weights[labelled]
        answer_loss = (losses * weights).sum() / weights.sum()
        auxiliary = tower_losses(
            self.heads, patches, self.real, real_rows, self.phantoms, phantom_rows
        )
        (answer_loss + AUXILIARY_WEIGHT * auxiliary).backward()
        return float(answer_loss.detach())

    # -- the loop ---------------------------------------------------------------------------------

    def _share_done(self) -> float:
        """Share of the current stage that is done, 0 to 1."""
        if self.progress.stage == "tower":
            steps, minutes = self.config.tower_steps, self.config.tower_minutes
        else:
            steps, minutes = self.config.joint_steps, self.config.joint_minutes
        if steps is not None:
            return self.progress.step / max(1, steps)
        return self.progress.seconds / max(1e-9, minutes * 60)

    def _learning_rate(self, done: float) -> float:
        peak = 1.2e-3 if self.progress.stage == "tower" else 1.0e-3
        warm = min(1.0, (self.progress.step + 1) / 150)
        return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def run(self, curve: Callable[["Trainer"], dict[str, float]] | None = None) -> Iterator[str]:
        """Train to the end of both stages, yielding progress lines."""
        while self.progress.stage != "done":
            yield from self._run_stage(curve)
            if self.progress.stage == "tower":
                self.progress = Progress(
                    stage="joint",
                    tower_steps=self.progress.step,
                    tower_seconds=self.progress.seconds,
                )
                self.optimizer = self._optimizer()
            else:
                self.progress.stage = "done"
            self._save()
        self.export(self.config.out)

    def _run_stage(self, curve: Callable[["Trainer"], dict[str, float]] | None) -> Iterator[str]:
        joint = self.progress.stage == "joint"
        last_save = last_curve = last_line = time.perf_counter()
        losses: list[float] = []
        if joint and not self.ema:
            self.ema = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        while (done := self._share_done()) < 1.0:
            started = time.perf_counter()
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate(done)
            self.model.train()
            self.optimizer.zero_grad(set_to_none=True)
            losses.append(self._joint_step() if joint else self._tower_step())
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.progress.step += 1
            if joint:
                self._average()
            now = time.perf_counter()
            self.progress.seconds += now - started
            if now - last_line > 20:
                left = self.progress.seconds * (1 - done) / max(done, 1e-6)
                yield (
                    f"{self.progress.stage} step {self.progress.step} loss "
                    f"{np.mean(losses[-50:]):.3f} {self.progress.seconds / 60:.1f} min done, "
                    f"about {left / 60:.0f} min left"
                )
                last_line = now
            if now - last_save > SAVE_EVERY_S:
                self._save()
                last_save = time.perf_counter()
            if joint and curve is not None and now - last_curve > CURVE_EVERY_S:
                yield self._curve_point(curve)
                last_curve = time.perf_counter()
        if joint and curve is not None:
            yield self._curve_point(curve)

    def _average(self) -> None:
        decay = min(EMA_DECAY, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.ema[name].lerp_(value, 1 - decay)

    def _curve_point(self, curve: Callable[["Trainer"], dict[str, float]]) -> str:
        self.export(self.config.out)
        point = {"minutes": round(self.progress.seconds / 60, 1), "step": self.progress.step}
        point.update(curve(self))
        with (self.config.out / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        return "curve " + json.dumps(point)

    # -- files ------------------------------------------------------------------------------------

    def averaged_model(self) -> LlavaForConditionalGeneration:
        """A copy of the model with the averaged weights, ready for evaluation."""
        model = build_model(self.tokenizer, self.config.seed)
        model.load_state_dict(self.ema or self.model.state_dict())
        return model.eval()

    def export(self, folder: Path) -> None:
        """Write the model in plain HuggingFace format with its processor and vocabulary."""
        folder.mkdir(parents=True, exist_ok=True)
        self.averaged_model().save_pretrained(folder)
        build_processor(self.tokenizer).save_pretrained(folder)
        words: Counter[str] = Counter()
        for image in self.real.images:
            for pair in image.pairs:
                words.update(_words(pair.question))
        for question in self.questions:
            words.update(_words(question))
        lines = [f"{word}\t{count}" for word, count in sorted(words.items()) if count >= SEEN_OFTEN]
        (folder / "vocabulary.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def _state_file(self) -> Path:
        return self.config.out / "resume" / "state.safetensors"

    def _save(self) -> None:
        save_state(
            self._state_file,
            {
                "model": self.model.state_dict(),
                "heads": self.heads.state_dict(),
                "ema": self.ema,
                "optimizer": flatten_optimizer(self.optimizer),
                "random": {"draws": self.generator.get_state(), "torch": torch.get_rng_state()},
            },
            {**vars(self.progress), "rng": self.rng.bit_generator.state},
        )

    def _resume(self) -> None:
        if not self._state_file.is_file():
            return
        parts, saved = load_state(self._state_file)
        self.rng.bit_generator.state = saved.pop("rng")
        self.progress = Progress(**saved)
        self.model.load_state_dict(parts["model"])
        self.heads.load_state_dict(parts["heads"])
        self.ema = parts.get("ema", {})
        self.generator.set_state(parts["random"]["draws"])
        torch.set_rng_state(parts["random"]["torch"])
        restore_optimizer(self.optimizer, parts.get("optimizer", {}))


def _words(text: str) -> list[str]:
    return [w for w in "".join(c if c.isalpha() else " " for c in text.lower()).split() if w]
