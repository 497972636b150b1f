"""What perceives the noise of pictures: the acquisition half alone, or a model's image side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from vision.acquisition import AcquisitionHalf
    from vision.reading.medical_image import MedicalImage
    from vision.report import NoisePerception


class Perceiver(Protocol):
    """What perceives the noise of pictures: a model's `Calibrator`, or the acquisition half."""

    @property
    def acquisition(self) -> AcquisitionHalf:
        """The acquisition half."""
        ...

    @property
    def references(self) -> int:
        """Number of clean references behind the p-values."""
        ...

    @property
    def p_values_are_approximate(self) -> bool:
        """Whether p-values come from a normal approximation: few clean scores."""
        ...

    def perceive(self, image: MedicalImage) -> NoisePerception:
        """The noise of one picture; refuses it as `perceive_batch` does."""
        ...

    def perceive_batch(self, images: Sequence[MedicalImage]) -> list[NoisePerception]:
        """The noise of each picture. Raises an `IMCError` where one cannot be examined."""
        ...


@dataclass(frozen=True)
class PicturePerceiver:
    """The acquisition half alone: pictures at their own size, up to a shorter side of 672 pixels.

    No model is loaded; `imc restore` perceives the same.
    """

    acquisition: AcquisitionHalf

    @property
    def references(self) -> int:
        """As `Perceiver`."""
        return sum(self.acquisition.origins.values())

    @property
    def p_values_are_approximate(self) -> bool:
        """As `Perceiver`."""
        return self.acquisition.classifier.density.is_approximate

    def perceive(self, image: MedicalImage) -> NoisePerception:
        """As `Perceiver`."""
        return self.perceive_batch([image])[0]

    def perceive_batch(self, images: Sequence[MedicalImage]) -> list[NoisePerception]:
        """As `Perceiver`. Raises ImageRefused for a picture that is too small."""
        found = [one for one in self.acquisition.perceive_batch(images) if one is not None]
        if len(found) < len(images):
            from vision.acquisition.scales import MIN_SIDE
            from vision.errors import ImageRefused

            raise ImageRefused(
                f"an image is too small for its noise to be perceived: {MIN_SIDE} pixels are "
                "needed on the shorter side"
            )
        return found


def open_acquisition(file: Path | None) -> AcquisitionHalf:
    """An acquisition half of one's own; None: the shipped one. Raises BankRefused."""
    if file is not None:
        check_acquisition(file)
    from vision.acquisition import AcquisitionHalf

    return AcquisitionHalf.shipped() if file is None else AcquisitionHalf.load(file)


def check_acquisition(file: Path) -> None:
    """Refuse a file that is not there. Raises BankRefused."""
    from vision.errors import BankRefused

    if not file.is_file():
        raise BankRefused(
            f"acquisition half {file}: no such file; fit one with imc prototypes acquisition, or "
            "leave --acquisition out: the shipped one is then used"
        )
