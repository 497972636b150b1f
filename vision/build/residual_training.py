"""Restored references: what the cascade is fitted on, and what perception learns to see next.

A restored picture is neither clean nor what it was. So perception is fitted a second time: on
restored references, which are done with, and on mixtures of two noises of which one was restored,
which still carry the other. References are restored by prototypes of other references.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from imc_noise import apply_image, noise_rng
from vision.build.references import References, WitnessRows
from vision.build.restorer_fit import FOLDS
from vision.build.tap_statistics import Drawn
from vision.calibrate.cascade import calibration_weights
from vision.perceive.noise_classifier import Perceiver
from vision.reading.medical_image import MedicalImage
from vision.restore.restorer import PixelRestorer, Working, at_size, restorations

MIXTURES = 48
"""References on which each ordered pair of kinds is drawn."""
CASCADE_IMAGES = 320
"""Restored references that the maps of one class are fitted on: they have little left to do."""
_SHARE = 2
"""Every so many-th restored draw teaches the second perception."""
_BATCH = 32


class SecondSight:
    """Restores a bank's references, and remembers what they look like."""

    def __init__(
        self, references: References, folded: Sequence[PixelRestorer], perceiver: Perceiver
    ) -> None:
        self.references = references
        self.folded = folded
        self.perceiver = perceiver
        self.rows = WitnessRows()
        self._lost: dict[str, list[float]] = {}

    def restored_draws(self, kind: str, severity: int, label: int, draws: int) -> Drawn:
        """New draws of a class, restored as that class: what its maps are fitted on."""
        images: list[MedicalImage] = []
        numbers: list[int] = []
        weights = torch.zeros(1, len(self.perceiver.classes))
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
        taught = list(range(label % _SHARE, len(images), _SHARE))
        for begin in range(0, len(taught), _BATCH):
            some = taught[begin : begin + _BATCH]
            sight = self.references.look([images[i] for i in some])
            self.rows.add(sight, 0, [numbers[i] for i in some])
        return self.references.prepared(images, numbers)

    def fit(
        self,
        kinds: Sequence[str],
        severities: Sequence[int],
        classes: Sequence[tuple[str, int]],
        seed: int,
    ) -> Perceiver:
        """The second perception, on restored references and half-restored mixtures."""
        everyone = len(self.references.small)
        rng = np.random.default_rng([seed, 2])
        for first in kinds:
            for second in kinds:
                if first != second:
                    some = rng.permutation(everyone)[:MIXTURES].tolist()
                    self._mix(first, second, severities, classes, some)
        return self.rows.fit(classes, seed)

    def shares(self) -> dict[str, float]:
        """By kind: share of what noise took from held-out references that the pixels get back."""
        return {kind: round(1.0 - float(np.mean(lost)), 4) for kind, lost in self._lost.items()}

    def _mix(
        self,
        first: str,
        second: str,
        severities: Sequence[int],
        classes: Sequence[tuple[str, int]],
        numbers: Sequence[int],
    ) -> None:
        """Draw `first`, then `second` upon it; restore as perceived; what is left is taught."""
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
        sight = self.references.look(mixed)
        perceived = self.perceiver.perceive(sight.statistics)
        posterior = torch.from_numpy(np.stack([one.weights for one in perceived]))
        weights = calibration_weights(posterior)
        restored = self._restore(mixed, numbers, weights)
        labels = []
        for row, one in enumerate(perceived):
            share = {
                kind: sum(
                    float(w)
                    for (name, _), w in zip(classes, one.weights, strict=False)
                    if name == kind
                )
                for kind in (first, second)
            }
            left = second if share[first] >= share[second] else first
            labels.append(classes.index((left, strengths[row][int(left == second)])))
        self.rows.add(self.references.look(restored), labels, numbers)

    def _restore(
        self, images: Sequence[MedicalImage], numbers: Sequence[int], weights: Tensor
    ) -> list[MedicalImage]:
        workings = [Working.of(image, self.references.encoder) for image in images]
        restored: dict[int, MedicalImage] = {}
        for fold, restorer in enumerate(self.folded):
            own = [i for i, number in enumerate(numbers) if number % FOLDS == fold]
            changes = restorations(restorer, [workings[i] for i in own], weights[own])
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
        """Note what share of the squared error is left."""
        size = self.references.workings
        left = taken = 0.0
        for before, after, number in zip(noisy, restored, numbers, strict=True):
            clean = self.references.clean_pictures[number]
            left += float((grey_of(after, size[number]) - clean).square().sum())
            taken += float((grey_of(before, size[number]) - clean).square().sum())
        self._lost.setdefault(kind, []).append(left / max(taken, 1e-12))


def grey_of(image: MedicalImage, like: Working) -> Tensor:
    """(H, W) brightness of `image` at the working size of another version of it."""
    return Working(at_size(image, like.size), like.size).grey
