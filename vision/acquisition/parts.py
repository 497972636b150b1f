"""The parts of an acquisition half, as its file holds them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

import torch

from vision.acquisition.benefit import BenefitPredictor
from vision.acquisition.evidence import Novelty
from vision.acquisition.restorer import EnsembleRestorer
from vision.perceive.pixel_classifier import PixelClassifier


@dataclass(frozen=True)
class HalfParts:
    """Noise classifiers, restorer and benefit predictor, fitted on clean images of many origins."""

    origins: dict[str, int]
    """Number of references by origin."""
    seed: int
    classifier: PixelClassifier = field(repr=False)
    """Of pictures as they come."""
    residual_classifier: PixelClassifier = field(repr=False)
    """Of restored pictures; its clean class is "restored, no noise left"."""
    restorer: EnsembleRestorer = field(repr=False)
    novelty: Novelty = field(repr=False)
    benefit: BenefitPredictor = field(repr=False)
    stripes_left: float = 0.5
    """Share of the squared error that the removal of stripes leaves: mean over its draws."""
    digest: str = ""
    """SHA-256 of its file; empty where it was not loaded from one."""

    def on(self, device: torch.device) -> Self:
        """The same, its restorer on a GPU; itself for any other device."""
        if device.type != "cuda":
            return self
        return replace(self, restorer=self.restorer.to(device))

    @property
    def on_gpu(self) -> bool:
        """Whether its restorer lies on a GPU."""
        return self.restorer.maps.is_cuda

    @property
    def classes(self) -> tuple[tuple[str, int], ...]:
        """Every class as (kind, severity), clean first."""
        return self.classifier.classes

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of noise that it knows."""
        return tuple(dict.fromkeys(kind for kind, severity in self.classes if severity > 0))
