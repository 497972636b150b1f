"""A small stand-in for the acquisition half: two pixel statistics, and a smoothing filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vision.acquisition import Restoration
from vision.acquisition.parts import HalfParts
from vision.perceive.noise_density import NoiseClasses, NoisePosterior
from vision.reading.medical_image import MedicalImage

CLASSES = (
    ("clean", 0),
    ("gaussian", 3),
    ("gaussian", 5),
    ("low_contrast", 3),
    ("low_contrast", 5),
)
CLEAN_P_VALUE, NOISY_P_VALUE = 0.5, 0.001
REMOVED = 0.6
"""Predicted share of the error that the smoothing removes."""
GRAIN_ALONE = "the stand-in smooths grain alone"
TOO_SMALL = "the picture is too small for the stand-in"
_SMALLEST = 16

Sizes = Sequence[tuple[int, int]] | None


@dataclass(frozen=True)
class Decision:
    """A restored picture, or the picture itself."""

    image: MedicalImage
    rounds: Sequence[str] = ()


class SmoothingAcquisition:
    """Grain per range, and range, of a picture, compared with what classes have on tests' scans."""

    classes: tuple[tuple[str, int], ...] = CLASSES
    digest = "stand-in"
    parts: HalfParts | None = None
    centres = np.array([[-3.0, 0.9], [-2.2, 0.92], [-1.7, 0.95], [-2.95, 0.5], [-2.95, 0.3]])

    def scores(self, pictures: Sequence[MedicalImage], sizes: Sizes = None) -> NDArray[np.float64]:
        found = np.stack([_statistics(picture) for picture in pictures])
        distances = np.abs(found[:, None] - self.centres[None]).sum(axis=2)
        return -np.asarray(distances, dtype=np.float64)

    def restore_batch(
        self,
        pictures: Sequence[MedicalImage],
        sizes: Sizes = None,
        *,
        alpha: float | None = None,
        restore: bool = True,
        max_rounds: int = 1,
        domain: object = None,
    ) -> Sequence[Restoration]:
        del domain  # its own p-values, whatever the references
        rounds = max_rounds if restore else 0
        at = sizes or [(picture.height, picture.width) for picture in pictures]
        return [
            self._decision(picture, size, 0.05 if alpha is None else alpha, rounds)
            for picture, size in zip(pictures, at, strict=True)
        ]

    def smoothed(self, picture: MedicalImage) -> MedicalImage:
        """The picture, less its grain."""
        smooth = ndimage.gaussian_filter(picture.rgb.astype(np.float64), (1.0, 1.0, 0.0))
        return MedicalImage.from_rgb(smooth.round().clip(0, 255).astype(np.uint8), "ARRAY")

    def _decision(
        self, picture: MedicalImage, size: tuple[int, int], alpha: float, rounds: int
    ) -> Restoration:
        if min(size) < _SMALLEST:
            return Restoration(picture, None, declined=TOO_SMALL)
        scores = self.scores([picture])[0]
        label = int(scores.argmax())
        odds = np.append(np.exp(20.0 * (scores - scores.max())), 1e-6)
        probabilities = odds / odds.sum()
        p_value = NOISY_P_VALUE if label else CLEAN_P_VALUE
        posterior = NoisePosterior(probabilities, p_value, {"pixels": probabilities})
        perception = NoiseClasses(self.classes).report(posterior, alpha=alpha)
        start = Restoration(picture, perception, posterior=posterior, scores=scores)
        if p_value > alpha or rounds < 1:
            return start
        kind, severity = self.classes[label]
        if kind != "gaussian":
            return replace(start, declined=GRAIN_ALONE)
        return replace(
            start,
            image=self.smoothed(picture),
            rounds=[f"{kind} {severity}"],
            predicted_share=REMOVED,
        )


def _statistics(picture: MedicalImage) -> NDArray[np.float64]:
    grey = picture.rgb[..., 0] / 255.0
    spread = float(np.ptp(grey))
    grain = float(np.abs(ndimage.laplace(grey)).mean())
    return np.array([np.log((grain + 1e-4) / (spread + 1e-2)), spread])
