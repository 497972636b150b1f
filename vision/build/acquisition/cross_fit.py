"""Class scores by random Fourier ridge, fitted without one fold of origins, and without two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.build.acquisition.references import FOLDS
from vision.perceive.fourier_ridge import FoldMoments, FourierFeatures, FourierRegression
from vision.perceive.noise_density import NoiseDensity
from vision.perceive.pixel_classifier import PixelClassifier
from vision.report import CLEAN

Floats = NDArray[np.float64]

CLEAN_WEIGHT = 8.0
"""Weight of the clean class in units of one noisy class."""


class CrossFit:
    """Class scores by random Fourier ridge: fits without one fold, and without two."""

    def __init__(
        self,
        features: FourierFeatures,
        statistics: Floats,
        labels: NDArray[np.int64],
        folds: NDArray[np.int64],
        classes: int,
    ) -> None:
        self.features = features
        self.labels = labels
        self.folds = folds
        self.classes = classes
        self.transformed = features(torch.from_numpy(statistics))
        counts = np.maximum(np.bincount(labels, minlength=classes), 1)
        weight = 1.0 / counts[labels]
        weight[labels == 0] *= CLEAN_WEIGHT
        targets = torch.zeros(len(labels), classes)
        targets[torch.arange(len(labels)), torch.from_numpy(labels)] = 1.0
        self.moments = FoldMoments(features.size, classes, FOLDS)
        self.moments.add(
            self.transformed,
            targets,
            torch.from_numpy(weight / weight.mean()).float(),
            torch.from_numpy(folds),
        )
        self._solved: dict[tuple[int, ...], Tensor] = {}

    def classifier(
        self, without: tuple[int, ...], noisy: Sequence[tuple[str, int]]
    ) -> PixelClassifier:
        """Fitted outside the folds `without`; densities and p-values from cross-fitted scores."""
        rows = ~np.isin(self.folds, without)
        scores = np.zeros((len(self.labels), self.classes))
        for fold in set(self.folds[rows].tolist()):
            own = self.folds == fold
            weights = self._solve((*without, fold))
            scores[own] = (self.transformed[torch.from_numpy(own)] @ weights).double().numpy()
        return PixelClassifier(
            ((CLEAN, 0), *noisy),
            FourierRegression(self.features, self._solve(without)),
            NoiseDensity.fit(scores[rows], self.labels[rows], self.classes),
        )

    def _solve(self, without: Sequence[int]) -> Tensor:
        key = tuple(sorted(without))
        if key not in self._solved:
            self._solved[key] = self.moments.solve(key)
        return self._solved[key]
