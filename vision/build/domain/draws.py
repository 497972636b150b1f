"""Draws of a domain's references with the clean picture beside them, at the size that is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vision.acquisition.scales import planes_of
from vision.build.acquisition.references import Draw
from vision.build.acquisition_source import Size
from vision.build.draws import noisy_draw
from vision.build.wider_draws import wider_draw
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

Classes = Sequence[tuple[str, int]]

WIDER = 0.3
"""Share of the draws for the restorer that are made as other makers make them, too."""
_FIRST = 2
"""Number of the first draw for the restorer and the trials; the witness has the earlier ones."""
_COARSE = 2
"""Kinds with at most this many severities have draws spread over the whole scale."""


def is_coarse(classes: Classes, kind: str) -> bool:
    """Whether a kind has few severities among classes."""
    return Counter(name for name, _ in classes)[kind] <= _COARSE


@dataclass(frozen=True)
class DomainDrawer:
    """Makes draws of references, each from a seed of its own."""

    references: Sequence[MedicalImage]
    sizes: Sequence[Size]
    """At which the model sees each."""
    classes: Classes
    """Clean first."""
    side: int | None
    """The model's input side; None where it varies by image."""
    seed: int

    def drawn(self, label: int, number: int, draw: int) -> MedicalImage:
        """Draw `draw` of a class on reference `number`, for the witness and its densities."""
        kind, severity = self.classes[label]
        spread = 1.0 if is_coarse(self.classes, kind) else 0.5
        return noisy_draw(
            self.references[number],
            kind,
            severity,
            draw,
            side=self.side,
            seed=self.seed,
            spread=spread,
        )

    def pair(self, label: int, number: int, draw: int) -> Draw:
        """The same for the restorer, with the clean picture; some as other makers make them."""
        rng = np.random.default_rng([self.seed, 8, label, number, draw])
        if rng.random() >= WIDER:
            return self._beside(self.drawn(label, number, _FIRST + draw), number, (label,))
        kind, severity = self.classes[label]
        strength = float(np.clip(severity + rng.uniform(-0.5, 0.5), 1.0, 6.0))
        rgb = np.array(resize_rgb(self.references[number].rgb, self.sizes[number]))
        noisy = MedicalImage.from_rgb(wider_draw(rgb, kind, strength, rng), "ARRAY")
        return self._beside(noisy, number, (label,))

    def mixed(self, labels: Sequence[int], number: int) -> Draw:
        """A draw with noises one after another, with the clean picture."""
        image = self.references[number]
        for label in labels:
            kind, severity = self.classes[label]
            image = noisy_draw(
                image, kind, severity, draw=_FIRST, side=self.side, seed=self.seed
            )
        return self._beside(image, number, tuple(labels))

    def _beside(self, noisy: MedicalImage, number: int, labels: tuple[int, ...]) -> Draw:
        size = self.sizes[number]
        found, clean = planes_of(noisy, size), planes_of(self.references[number], size)
        planes = max(len(clean), len(found))
        return Draw(labels, clean.expand(planes, -1, -1), found.expand(planes, -1, -1))
