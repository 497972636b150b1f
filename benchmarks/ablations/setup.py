"""Everything that a run needs, made when it is first asked for: model, items, banks, layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from measurement import Measurement, NamedCondition, load_items, open_model, say, sources_digest
from torch import Tensor

from ablations.banks import Banks
from ablations.cells import Cell
from ablations.layer_fits import LayerFits
from ablations.layers import Layers
from ablations.posteriors import true_weights
from imc_bench.conditions import Condition
from imc_bench.methods import BaselineMethod, PreparedImage, Side, Tools
from vision.bank.prototype_bank import PrototypeBank
from vision.build.prototypes import calibration_taps
from vision.calibrate.cascade import calibration_weights
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import Calibrator
from vision.perceive.image_statistics import compute_statistics
from vision.reading.medical_image import MedicalImage
from vision.report import CLEAN as CLEAN_KIND


@dataclass(frozen=True)
class Settings:
    """What the command line gave."""

    data: Path
    model: Path
    bank: Path
    work: Path
    limit: int | None
    references: int


class Setup:
    """One process's model and what was made with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        code = sources_digest("vision", "imc_noise", "imc_agents", "ablations")
        context = open_model(settings.model, settings.bank)
        items = load_items(settings.data, "slake", "validate", settings.limit)
        clusters = {item.image_group: Path(item.image_group).parent.name for item in items}
        self.measurement = Measurement(
            context, items, settings.work / "runs", f"{code} {settings.references}", clusters
        )
        if context.calibrator is None or context.calibrator.bank is None:
            raise SystemExit(f"{settings.model} has no image side, or no bank")
        self.encoder: VisionEncoder = context.calibrator.encoder
        self.shipped: PrototypeBank = context.calibrator.bank
        self.banks = Banks(
            self.encoder, settings.data, settings.work / "banks", settings.references, say
        )
        self._cells: dict[str, Cell] = {}
        self._weights: dict[str, Tensor] = {}

    @property
    def taps(self) -> tuple[str, ...]:
        """Where features may be calibrated, in order of depth."""
        return calibration_taps(self.encoder)

    @cached_property
    def layers(self) -> dict[str, Layers]:
        """The feature-only family, fitted on the usual bank's references."""
        classes = self.banks.usual().noise_classifier.classes
        images = self.banks.real(self.settings.references)
        with torch.inference_mode():
            return LayerFits(self.encoder, images, self.taps, classes).fit()

    @cached_property
    def _names(self) -> dict[str, str]:
        return self.measurement.image_names()

    def condition(self, cell: Cell) -> Condition:
        """A cell as a condition; its draws are named by the image's folder, seed 0."""
        self._cells[cell.name] = cell
        if not cell.noises:
            return NamedCondition()
        return NamedCondition(
            cell.name,
            corruption=lambda rgb, name: cell.corrupt(rgb, Path(self._names[name]).parent.name),
        )

    def cell(self, condition: Condition | None) -> Cell:
        """The cell of a condition."""
        return self._cells[condition.image_noise if condition else ""]

    def class_weights(self, images: Sequence[MedicalImage], cell: Cell | None) -> Tensor:
        """(images, classes and unknown): of a cell's noises, or perceived by the usual bank where
        it is None, zero where the gate is shut."""
        bank = self.banks.usual()
        if cell is not None:
            weights = torch.from_numpy(true_weights(bank.noise_classifier.classes, cell))
            return weights[1:].float().expand(len(images), -1)
        fresh = [image for image in images if image.sha256 not in self._weights]
        if fresh:
            statistics = compute_statistics(
                self.encoder, fresh, side=bank.side, tap=bank.perception_tap
            )
            found = bank.noise_classifier.predict(statistics.by_source)
            weights = calibration_weights(
                torch.stack([torch.from_numpy(one.probabilities) for one in found])
            )
            said = Calibrator(self.encoder, bank).perceive_batch(fresh)
            weights[torch.tensor([one.kind == CLEAN_KIND for one in said])] = 0.0
            names = [image.sha256 for image in fresh]
            self._weights.update(zip(names, weights, strict=True))
        return torch.stack([self._weights[image.sha256] for image in images])


class LayersAlone(BaselineMethod):
    """Maps of features alone, noise perceived by the usual bank or given."""

    acts_on: Side = "image"

    def __init__(self, name: str, setup: Setup, layers: Callable[[], Layers], *, given: bool):
        self.name = self.image_side = name
        self.setup, self.layers, self.given = setup, layers, given

    @torch.inference_mode()
    def prepare_images(self, images: Sequence[MedicalImage], tools: Tools) -> list[PreparedImage]:
        """Features with what the maps add."""
        cell = self.setup.cell(tools.condition) if self.given else None
        weights = self.setup.class_weights(images, cell)
        encoded = self.layers().encode(self.setup.encoder, images, weights)
        touched = weights.any(dim=1).tolist()
        return [
            PreparedImage(features, image.sha256 + f":{self.name}" * changed, changed, None, 0.0)
            for features, image, changed in zip(encoded, images, touched, strict=True)
        ]
