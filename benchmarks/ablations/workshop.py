"""Everything that a run needs, made when it is first asked for: model, pictures, banks, layers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ablations.banks import Banks, sources_digest
from ablations.cells import Cell
from ablations.ground import Asker, Ground
from ablations.layer_fits import LayerFits
from ablations.layers import Layers
from ablations.retold import true_weights
from ablations.store import Told
from imc_agents.chat.chat_model import ChatLocalMLLM
from vision.bank.prototype_bank import PrototypeBank
from vision.build.prototypes import calibration_taps
from vision.calibrate.cascade import calibration_weights
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.pdc import Calibrator
from vision.perceive.image_statistics import compute_statistics
from vision.report import CLEAN as CLEAN_KIND

_BATCH = 32


@dataclass(frozen=True)
class Settings:
    """What the command line said."""

    data: Path
    model: Path
    bank: Path
    work: Path
    limit: int | None
    references: int


class Workshop:
    """One process's model and what was made with it."""

    def __init__(self, settings: Settings, say: Callable[[str], None]) -> None:
        self.settings = settings
        self.chat = ChatLocalMLLM.from_pretrained(settings.model, device="cpu", dtype="float32")
        self.encoder = VisionEncoder(self.chat.model, self.chat.processor)
        self.ground = Ground(settings.data, settings.limit)
        self.asker = Asker(self.chat, self.ground.pairs)
        self.banks = Banks(
            self.encoder, settings.data, settings.work / "banks", settings.references, say
        )
        self._sighted: dict[Cell, Tensor] = {}

    @property
    def taps(self) -> tuple[str, ...]:
        """Where features may be calibrated, in order of depth."""
        return calibration_taps(self.encoder)

    @property
    def key(self) -> str:
        """Stands for all that determines an answer."""
        settings = self.settings
        bank = hashlib.sha256(settings.bank.read_bytes()).hexdigest()
        code = sources_digest("vision", "imc_noise", "imc_agents", "ablations")
        said = f"{self.encoder.fingerprint} {bank} {settings.limit} {settings.references} {code}"
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    @cached_property
    def shipped(self) -> PrototypeBank:
        """The bank in the model's folder."""
        return PrototypeBank.load(self.settings.bank, fingerprint=self.encoder.fingerprint)

    @cached_property
    def layers(self) -> dict[str, Layers]:
        """The feature-only family, fitted on the usual bank's references."""
        classes = self.banks.usual().noise_classifier.classes
        images = self.banks.real(self.settings.references)
        with torch.inference_mode():
            return LayerFits(self.encoder, images, self.taps, classes).fit()

    def plain(self, cell: Cell) -> Told:
        """Answers as the model gives them, nothing calibrated."""
        return self._told(self.encoder.encode_batch(self.ground.pictures(cell)), 0)

    def calibrated(self, calibrator: Calibrator, cell: Cell) -> Told:
        """Answers after PDC."""
        pictures = self.ground.pictures(cell)
        features: list[EncodedImage] = []
        touched = 0
        for start in range(0, len(pictures), _BATCH):
            results = calibrator.calibrate_batch(pictures[start : start + _BATCH])
            features += [one.features for one in results]
            touched += sum(one.report.applied for one in results)
        return self._told(features, touched)

    @torch.inference_mode()
    def layered(self, layers: Layers, cell: Cell, *, told: bool) -> Told:
        """Answers after maps of features alone, noise perceived by the usual bank or told."""
        weights = self._true(cell) if told else self._perceived(cell)
        pictures = self.ground.pictures(cell)
        return self._told(
            layers.encode(self.encoder, pictures, weights), int(weights.any(dim=1).sum())
        )

    def _true(self, cell: Cell) -> Tensor:
        weights = torch.from_numpy(true_weights(self.banks.usual().noise_classifier.classes, cell))
        return weights[1:].float().expand(len(self.ground.clean), -1)

    def _perceived(self, cell: Cell) -> Tensor:
        """(images, classes and unknown), zero where the gate is shut."""
        if cell not in self._sighted:
            bank, pictures = self.banks.usual(), self.ground.pictures(cell)
            statistics = compute_statistics(
                self.encoder, pictures, side=bank.side, tap=bank.perception_tap
            )
            found = bank.noise_classifier.predict(statistics.by_source)
            weights = calibration_weights(
                torch.stack([torch.from_numpy(one.probabilities) for one in found])
            )
            said = Calibrator(self.encoder, bank).perceive_batch(pictures)
            shut = torch.tensor([one.kind == CLEAN_KIND for one in said])
            weights[shut] = 0.0
            self._sighted[cell] = weights
        return self._sighted[cell]

    def _told(self, features: Sequence[EncodedImage], touched: int) -> Told:
        return Told(self.asker.answers(features), touched, len(features))
