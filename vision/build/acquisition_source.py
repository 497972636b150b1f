"""What a build asks of the acquisition half: classes, scores and restored pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vision.acquisition.domain import Domain
from vision.acquisition.parts import HalfParts
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

Size = tuple[int, int]
"""(height, width) in pixels at which the model sees a picture."""


class RestoredPicture(Protocol):
    """The decision about one picture."""

    @property
    def image(self) -> MedicalImage:
        """The restored picture; the picture itself (same object) where it was left as it was."""

    @property
    def rounds(self) -> Sequence[str]:
        """The noise corrected in each round, as `low_contrast 4`."""


class AcquisitionSource(Protocol):
    """The model-independent half: perceives noise from pixels and restores pictures."""

    @property
    def classes(self) -> tuple[tuple[str, int], ...]:
        """Clean first, as ("clean", 0); then every (kind, severity)."""

    @property
    def parts(self) -> HalfParts | None:
        """What its restorations are made of, for a domain to have its own beside; None: of
        something else."""

    @property
    def digest(self) -> str:
        """SHA-256 of its file."""

    def scores(
        self, pictures: Sequence[MedicalImage], sizes: Sequence[Size]
    ) -> NDArray[np.float64]:
        """(n, classes) class scores of n pictures at the sizes at which the model sees them."""

    def restore_batch(
        self,
        pictures: Sequence[MedicalImage],
        sizes: Sequence[Size],
        *,
        max_rounds: int = ...,
        domain: Domain | None = ...,
    ) -> Sequence[RestoredPicture]:
        """Restored pictures, or the pictures themselves where restoring is not surely better."""


def working_sizes(encoder: VisionEncoder, pictures: Sequence[MedicalImage]) -> list[Size]:
    """Size of each picture at which the model sees it and it is restored."""
    return [encoder.working_size(picture.height, picture.width) for picture in pictures]
