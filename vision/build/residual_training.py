"""Restored references: training data of the calibration maps and of the residual classifier.

A restored picture has the statistics neither of a clean nor of a noisy one. So a second noise
classifier, of restored pictures, is fitted: on restored references, its clean class, and on
mixtures of two noises of which one was restored, labelled with the other. Every reference is
restored with prototypes of other references.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from imc_noise import apply_image, noise_rng
from vision.build.references import References, StatisticsRows
from vision.build.restorer_fit import FOLDS
from vision.build.tap_statistics import PreparedDraws
from vision.calibrate.cascade import calibration_weights
from vision.perceive.noise_classifier import NoiseClassifier
from vision.reading.medical_image import MedicalImage
from vision.restore.restorer import PixelRestorer, WorkingImage, at_size, predict_changes

MIXTURES = 48
"""References on which each ordered pair of kinds is drawn."""
CASCADE_IMAGES = 320
"""Most references of which restored draws are used to fit the maps of one class."""
_EVERY = 2
"""Every `_EVERY`-th restored draw is used to fit the residual classifier."""
_BATCH = 32


class ResidualTrainingSet:
    """Restores noisy draws of the references, and collects their statistics."""

    def __init__(
        self,
        references: References,
        folded: Sequence[PixelRestorer],
        noise_classifier: NoiseClassifier,
    ) -> None:
        self.references = references
        self.folded = folded
        self.noise_classifier = noise_classifier
        self.rows = StatisticsRows()
        self._lost: dict[str, list[float]] = {}

    def restored_draws(self, kind: str, severity: int, label: int, draws: int) -> PreparedDraws:
        """Draws of a class, restored as that class: the inputs that its maps are fitted on."""
        images: list[MedicalImage] = []
        numbers: list[int] = []
        weights = torch.zeros(1, len(self.noise_classifier.classes))
        weights[0, label - 1] = 1.0
        everyone = range(min(len(self.references.small), CASCADE_IMAGES))
        for draw in range(draws):
            for start in range(0, len(everyone), _BATCH):
                part = everyone[start : start + _BATCH]
                drawn = self.references.noisy(kind, severity, draw, part)
                restored = self._restore(drawn, part, weights.expand(len(part), -1))
                self._count(kind, drawn, restored, part)
                images += restored
                numbers += part
        used = list(range(label % _EVERY, len(images), _EVERY))
        for begin in range(0, len(used), _BATCH):
            some = used[begin : begin + _BATCH]
            statistics = self.references.compute_statistics([images[i] for i in some])
            self.rows.add(statistics, 0, [numbers[i] for i in some])
        return self.references.prepared(images, numbers)

    def fit(
        self,
        kinds: Sequence[str],
        severities: Sequence[int],
        classes: Sequence[tuple[str, int]],
        seed: int,
    ) -> NoiseClassifier:
        """Fit the residual classifier, on restored references and partly restored mixtures."""
        everyone = len(self.references.small)
        rng = np.random.default_rng([seed, 2])
        for first in kinds:
            for second in kinds:
                if first != second:
                    some = rng.permutation(everyone)[:MIXTURES].tolist()
                    self._mix(first, second, severities, classes, some)
        return self.rows.fit(classes, seed)

    def shares(self) -> dict[str, float]:
        """By kind: share of the squared error of held-out draws that the pixel stage removes."""
        return {kind: round(1.0 - float(np.mean(lost)), 4) for kind, lost in self._lost.items()}

    def _mix(
        self,
        first: str,
        second: str,
        severities: Sequence[int],
        classes: Sequence[tuple[str, int]],
        numbers: Sequence[int],
    ) -> None:
        """Draw both noises, restore under the posterior, label with the noise that is left."""
        mixed: list[MedicalImage] = []
        strengths: list[tuple[int, int]] = []
        for number in numbers:
            reference = self.references.workings[number]
            rng = noise_rng(f"mixture {reference.image.sha256}", f"{first} {second}", 1, 0)
            pair = [severities[int(i)] for i in rng.integers(len(severities), size=2)]
            rgb = at_size(reference.image, reference.size).rgb
            for kind, severity in ((first, pair[0]), (second, pair[1])):
                rgb = apply_image(kind, rgb, severity, rng)
            mixed.append(MedicalImage.from_rgb(rgb, "ARRAY"))
            strengths.append((pair[0], pair[1]))
        statistics = self.references.compute_statistics(mixed)
        posteriors = self.noise_classifier.predict(statistics.by_source)
        probabilities = torch.from_numpy(np.stack([one.probabilities for one in posteriors]))
        weights = calibration_weights(probabilities)
        restored = self._restore(mixed, numbers, weights)
        labels = []
        for row, one in enumerate(posteriors):
            share = {
                kind: sum(
                    float(probability)
                    for (name, _), probability in zip(classes, one.probabilities, strict=False)
                    if name == kind
                )
                for kind in (first, second)
            }
            left = second if share[first] >= share[second] else first
            labels.append(classes.index((left, strengths[row][int(left == second)])))
        self.rows.add(self.references.compute_statistics(restored), labels, numbers)

    def _restore(
        self, images: Sequence[MedicalImage], numbers: Sequence[int], weights: Tensor
    ) -> list[MedicalImage]:
        workings = [WorkingImage.of(image, self.references.encoder) for image in images]
        restored: dict[int, MedicalImage] = {}
        for fold, restorer in enumerate(self.folded):
            own = [i for i, number in enumerate(numbers) if number % FOLDS == fold]
            changes = predict_changes(restorer, [workings[i] for i in own], weights[own])
            restored.update(
                (i, workings[i].restored(change)) for i, change in zip(own, changes, strict=True)
            )
        return [restored[i] for i in range(len(images))]

    def _count(
        self,
        kind: str,
        noisy: Sequence[MedicalImage],
        restored: Sequence[MedicalImage],
        numbers: Sequence[int],
    ) -> None:
        """Record the share of the squared error that is left after restoration."""
        size = self.references.workings
        error_after = error_before = 0.0
        for before, after, number in zip(noisy, restored, numbers, strict=True):
            clean = self.references.clean_pictures[number]
            error_after += float((grey_of(after, size[number]) - clean).square().sum())
            error_before += float((grey_of(before, size[number]) - clean).square().sum())
        self._lost.setdefault(kind, []).append(error_after / max(error_before, 1e-12))


def grey_of(image: MedicalImage, like: WorkingImage) -> Tensor:
    """(H, W) brightness of `image` at the working size of another version of the same image."""
    return WorkingImage(at_size(image, like.size), like.size).grey
