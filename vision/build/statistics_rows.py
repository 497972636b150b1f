"""Training data of a noise classifier, accumulated batch by batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.perceive.image_statistics import ImageStatistics
from vision.perceive.noise_classifier import NoiseClassifier, fit_noise_classifier


@dataclass
class StatisticsRows:
    """Statistics, class number and reference number of each image: one row per image."""

    encoder: list[NDArray[np.float32]] = field(default_factory=list)
    """(n, s) per batch; empty where the encoder has no readable tap."""
    pixels: list[NDArray[np.float64]] = field(default_factory=list)
    """(n, p) per batch."""
    labels: list[int] = field(default_factory=list)
    references: list[int] = field(default_factory=list)

    def add(
        self, statistics: ImageStatistics, label: int | Sequence[int], numbers: Sequence[int]
    ) -> None:
        """Add versions of the references of these numbers, of one class or one class each."""
        self.pixels.append(statistics.pixels)
        if statistics.tokens is not None:
            self.encoder.append(statistics.tokens.float().numpy())
        self.labels.extend([label] * len(numbers) if isinstance(label, int) else label)
        self.references.extend(numbers)

    def fit(self, classes: Sequence[tuple[str, int]], seed: int) -> NoiseClassifier:
        """Fit a noise classifier on all rows."""
        statistics = {"pixels": np.concatenate(self.pixels)}
        if self.encoder:
            encoder = np.concatenate(self.encoder).astype(np.float64)
            statistics = {"encoder": encoder, **statistics}
        return fit_noise_classifier(
            statistics,
            np.array(self.labels, dtype=np.int64),
            np.array(self.references, dtype=np.int64),
            classes,
            np.random.default_rng(seed),
        )

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        tensors = {
            "pixels": torch.from_numpy(np.concatenate(self.pixels)),
            "labels": torch.tensor(self.labels),
            "references": torch.tensor(self.references),
        }
        if self.encoder:
            tensors["encoder"] = torch.from_numpy(np.concatenate(self.encoder))
        return tensors

    def extend(self, tensors: Mapping[str, Tensor]) -> None:
        """Add the rows of `to_tensors`; KeyError where an array is missing."""
        self.pixels.append(tensors["pixels"].numpy())
        if "encoder" in tensors:
            self.encoder.append(tensors["encoder"].numpy())
        self.labels.extend(tensors["labels"].tolist())
        self.references.extend(tensors["references"].tolist())
