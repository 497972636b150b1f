"""Adaptation of the second model: projector and low-rank changes, on answers alone; resumable.

Every step's draws follow from the seed and the step's number, so that a run that was stopped goes
on exactly as it would have. What is kept is an exponential moving average of the trained parts.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import LlavaForConditionalGeneration

from imc_reference.checkpoint import flatten_optimizer, load_state, restore_optimizer, save_state
from imc_reference.losses import answer_logits, patch_features
from imc_reference.packing import IGNORE, pack
from imc_reference.pretrained.examples import ChatEncoder, Corpus, Row, batches
from imc_reference.pretrained.lora import add_low_rank, trainable
from imc_reference.pretrained.package import PretrainedRefused

EMA_DECAY = 0.99
WARM_UP = 0.04
"""Share of the steps over which the learning rates rise."""
CLIP = 1.0
TOKEN_DROP = 0.1
"""Share of image tokens left out of a row."""
SAVE_EVERY_S = 120.0
SAY_EVERY_S = 20.0
POINTS_AN_EPOCH = 2

Measure = Callable[[LlavaForConditionalGeneration, ChatEncoder], dict[str, float]]


@dataclass(frozen=True)
class AdaptConfig:
    """How long, how fast and where."""

    out: Path
    data: Path
    epochs: float = 4.0
    rank: int = 16
    low_rank_rate: float = 1e-3
    projector_rate: float = 2e-3
    rows: int = 4
    """Images in a step."""
    phantoms: int = 240
    threads: int | None = None
    """CPU threads; None: torch's own choice."""
    device: str = "auto"
    """`auto`: CUDA where it is, else the CPU."""
    dtype: str = "auto"
    """Arithmetic of the passes: `float32`, `bfloat16`; `auto`: bfloat16 on CUDA alone."""
    seed: int = 0
    resume: bool = True

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the result: a run with others does not go on from this one's state."""
        left_out = ("out", "data", "threads", "device", "dtype", "resume")
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in left_out}


@dataclass
class AdaptProgress:
    """Where the run is; stored beside the trained parts."""

    step: int = 0
    seconds: float = 0.0
    questions: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


def torch_device(named: str) -> torch.device:
    """The device; `auto`: CUDA where it is there, else the CPU.

    Raises PretrainedRefused for a name that is none and a device that is not there.
    """
    if named == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(named)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise PretrainedRefused(
            f"--device {named[:40]!r}: not a device that is there; use auto, cpu or cuda"
        ) from None
    return device


class Adapter:
    """Model, corpus and optimiser; `run` trains to the end and yields lines of progress."""

    def __init__(
        self,
        config: AdaptConfig,
        model: LlavaForConditionalGeneration,
        encoder: ChatEncoder,
        corpus: Corpus,
    ) -> None:
        self.config, self.encoder, self.corpus = config, encoder, corpus
        self.device = torch_device(config.device)
        add_low_rank(model, config.rank, config.seed)
        self.model = model.to(self.device)
        self.parameters = trainable(self.model)
        self.average = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.optimizer = self._optimizer()
        self.progress = AdaptProgress()
        self.losses: list[float] = []
        self._rows: tuple[int, list[list[Row]]] = (-1, [])
        self.steps_an_epoch = len(self._batches(0))
        self.steps = max(1, round(config.epochs * self.steps_an_epoch))
        if config.resume:
            self._resume()

    def _optimizer(self) -> torch.optim.AdamW:
        groups: dict[float, list[torch.Tensor]] = {}
        for name, parameter in self.parameters.items():
            fast = name.startswith("projector.")
            rate = self.config.projector_rate if fast else self.config.low_rank_rate
            groups.setdefault(rate, []).append(parameter)
        settings = [{"params": some, "lr": rate, "peak": rate} for rate, some in groups.items()]
        return torch.optim.AdamW(settings, betas=(0.9, 0.98), weight_decay=0.01)

    def _batches(self, epoch: int) -> list[list[Row]]:
        if self._rows[0] != epoch:
            some = list(batches(self.corpus.epoch(epoch), self.config.rows))
            order = np.random.default_rng([self.config.seed, epoch, 1]).permutation(len(some))
            self._rows = (epoch, [some[int(i)] for i in order])
        return self._rows[1]

    def run(self, measure: Measure | None = None) -> Iterator[str]:
        """Train to the end; state is saved on the way and at the end."""
        last_save = last_line = time.perf_counter()
        every = max(1, self.steps_an_epoch // POINTS_AN_EPOCH)
        self.model.train()
        while self.progress.step < self.steps:
            started = time.perf_counter()
            self._step()
            now = time.perf_counter()
            self.progress.seconds += now - started
            done = self.progress.step
            if now - last_line > SAY_EVERY_S:
                left = self.progress.seconds / done * (self.steps - done)
                rate = self.progress.questions / self.progress.seconds
                yield (
                    f"step {done} of {self.steps} loss {np.mean(self.losses[-50:]):.3f}, "
                    f"{rate:.1f} questions a second, about {left / 60:.0f} min left"
                )
                last_line = now
            if measure is not None and (done % every == 0 or done == self.steps):
                yield self._point(measure)
            if now - last_save > SAVE_EVERY_S or done == self.steps:
                self._save()
                last_save = time.perf_counter()

    def _step(self) -> None:
        step = self.progress.step
        epoch, place = divmod(step, self.steps_an_epoch)
        rows = self._batches(epoch)[place]
        draws = step * 1_000_003 + self.config.seed
        torch.manual_seed(draws)
        generator = torch.Generator().manual_seed(draws)
        share = (step + 1) / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * _schedule(share)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(rows, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(list(self.parameters.values()), CLIP)
        self.optimizer.step()
        self.losses.append(float(loss.detach()))
        self.progress.step += 1
        self.progress.questions += sum(len(row.pairs) for row in rows)
        decay = min(EMA_DECAY, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in self.parameters.items():
                self.average[name].lerp_(value, 1 - decay)

    def _loss(self, rows: list[Row], generator: torch.Generator) -> torch.Tensor:
        pixels = self.corpus.model_pixels(rows, generator).to(self.device)
        asked = self.encoder.question
        segments = [(True, [asked(p.question, p.answer) for p in row.pairs]) for row in rows]
        batch = pack(segments, self.encoder).to(self.device)
        named = self.config.dtype
        half = named == "bfloat16" or (named == "auto" and self.device.type == "cuda")
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            with torch.no_grad():
                patches = patch_features(self.model, pixels)
            projected = self.model.model.multi_modal_projector(patches)
            logits = answer_logits(
                self.model, batch, projected, self.encoder, token_drop=TOKEN_DROP
            )
        labelled = batch.labels != IGNORE
        losses = nn.functional.cross_entropy(
            logits.float(), batch.labels[labelled], reduction="none"
        )
        weights = batch.weights[labelled]
        return (losses * weights).sum() / weights.sum()

    def _point(self, measure: Measure) -> str:
        """A point of the learning curve, of the averaged parts."""
        own = {name: value.detach().clone() for name, value in self.parameters.items()}
        self._put(self.average)
        self.model.eval()
        point = {"epoch": round(self.progress.step / self.steps_an_epoch, 2)}
        point["minutes"] = round(self.progress.seconds / 60, 1)
        point["loss"] = round(float(np.mean(self.losses[-100:])), 3)
        point.update(measure(self.model, self.encoder))
        self.model.train()
        self._put(own)
        self.progress.curve.append(point)
        return "curve " + ", ".join(f"{name} {value}" for name, value in point.items())

    def _put(self, values: dict[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(values[name])

    # -- state on disk ----------------------------------------------------------------------------

    @property
    def state_file(self) -> Path:
        """Where the run's state is kept."""
        return self.config.out / "resume" / "state.safetensors"

    def _save(self) -> None:
        save_state(
            self.state_file,
            {
                "parts": self.parameters,
                "average": self.average,
                "optimizer": flatten_optimizer(self.optimizer),
            },
            {"progress": vars(self.progress), "settings": self.config.settings},
        )

    def _resume(self) -> None:
        if not self.state_file.is_file():
            return
        parts, saved = load_state(self.state_file)
        if saved["settings"] != self.config.settings:
            raise PretrainedRefused(
                f"--out {str(self.config.out)!r}: a run with other settings was stopped there; "
                "give the same ones, or --fresh to begin anew"
            )
        self.progress = AdaptProgress(**saved["progress"])
        self._put(parts["parts"])
        self.average = {n: t.to(self.device) for n, t in parts["average"].items()}
        restore_optimizer(self.optimizer, parts.get("optimizer", {}))


def _schedule(share: float) -> float:
    """Factor of the learning rates: a linear rise, then a cosine to a twentieth."""
    if share < WARM_UP:
        return share / WARM_UP
    along = (share - WARM_UP) / (1 - WARM_UP)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * along))
