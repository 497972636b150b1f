"""Noise as each witness of PDC classifies it: pixels, the encoder's tokens, and both jointly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from imc_noise import apply_image, noise_rng
from vision.acquisition import Restoration
from vision.feature_pass import observe, stacked
from vision.pdc import Calibrator
from vision.perceive.noise_density import NoiseClasses, NoisePosterior
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import at_size
from vision.report import CLEAN, NoisePerception

PIXELS, ENCODER, JOINT = "pixels", "encoder", "joint"
_BATCH = 32
_DRAWS = "witnesses"
"""Names the draws of noise: those of the published figures."""


@dataclass
class Classified:
    """What was found in some images."""

    perceived: dict[str, list[NoisePerception]] = field(default_factory=dict)
    """By witness."""
    restorations: list[Restoration] = field(default_factory=list)

    def __iadd__(self, other: Classified) -> Classified:
        for name, found in other.perceived.items():
            self.perceived.setdefault(name, []).extend(found)
        self.restorations.extend(other.restorations)
        return self


@dataclass
class Witnesses:
    """Classifies the noise in images by every witness that the calibrator has."""

    calibrator: Calibrator
    levels: Mapping[str, float]
    """Significance level of each witness' gate."""

    @property
    def names(self) -> tuple[str, ...]:
        """`pixels`; with a model half `encoder`, and `joint` where that was fitted."""
        half = self.calibrator.model_half
        if half is None:
            return (PIXELS,)
        return (PIXELS, ENCODER, JOINT) if half.knows_acquisition else (PIXELS, ENCODER)

    def classify(self, images: Sequence[MedicalImage], *, restore: bool = False) -> Classified:
        """What is found in each image; `restore`: the acquisition half's decision too.

        Raises ValueError for a picture under 16 pixels or features that are not finite.
        """
        found = Classified()
        for start in range(0, len(images), _BATCH):
            found += self._batch(images[start : start + _BATCH], restore=restore)
        return found

    def _batch(self, images: Sequence[MedicalImage], *, restore: bool) -> Classified:
        encoder, half = self.calibrator.encoder, self.calibrator.model_half
        acquisition = self.calibrator.acquisition
        # as the calibrator has it: brought to the model's size before, where there is one size
        fixed = [encoder.fixed_size(image.height, image.width) for image in images]
        seen = [
            image if size is None else at_size(image, size)
            for image, size in zip(images, fixed, strict=True)
        ]
        sizes = [encoder.working_size(image.height, image.width) for image in images]
        restorations = acquisition.restore_batch(seen, sizes, restore=restore)
        posteriors: dict[str, Sequence[NoisePosterior | None]] = {
            PIXELS: [one.posterior for one in restorations]
        }
        if half is not None:
            observed = observe(encoder, half, images)
            if not all(one.finite for one in observed):
                raise ValueError("the encoder's features of an image are not finite")
            tokens = stacked(observed)
            posteriors[ENCODER] = half.witness.predict(tokens)
            if half.knows_acquisition:
                scores = np.stack([_known(one.scores) for one in restorations])
                posteriors[JOINT] = half.witness.predict(tokens, scores)
        classes: dict[str, NoiseClasses] = {PIXELS: acquisition.classifier}
        if half is not None:
            classes |= {ENCODER: half.witness, JOINT: half.witness}
        perceived = {
            name: [
                classes[name].report(_known(one), alpha=self.levels[name]) for one in of_witness
            ]
            for name, of_witness in posteriors.items()
        }
        return Classified(perceived, restorations if restore else [])


T = TypeVar("T")


def _known(value: T | None) -> T:
    if value is None:
        raise ValueError("a picture has a side under 16 pixels: its noise is not classified")
    return value


def corrupted(image: MedicalImage, number: int, kind: str, severity: int) -> MedicalImage:
    """The image with a noise added, drawn by its number."""
    rng = noise_rng(f"{_DRAWS} {number}", kind, severity)
    return MedicalImage.from_rgb(apply_image(kind, image.rgb, severity, rng))


def most_likely(one: NoisePerception) -> tuple[str, float]:
    """The likeliest noise, gate aside, and its probability given that there is noise."""
    noisy = {kind: share for kind, share in one.posterior.items() if kind != CLEAN}
    kind = max(noisy, key=lambda name: noisy[name])
    total = sum(noisy.values())
    # a posterior that is all clean to the last digit names no noise more than another
    return kind, min(noisy[kind] / total, 1.0) if total > 0.0 else 1.0 / len(noisy)
