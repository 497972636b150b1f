"""The shipped acquisition half, and phantoms that it was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from imc_reference.phantoms import make_phantom
from tests.vision.conftest import corrupted
from vision.acquisition import AcquisitionHalf
from vision.reading.medical_image import MedicalImage


@pytest.fixture(scope="session")
def acquisition() -> AcquisitionHalf:
    return AcquisitionHalf.shipped()


def phantom(number: int, *noises: tuple[str, int], side: int = 128) -> MedicalImage:
    """A simulated CT slice of the abdomen, with noises one after another."""
    drawn = make_phantom(np.random.default_rng(number), modality="ct", size=side).image
    image = MedicalImage.from_rgb(np.repeat(drawn[:, :, None], 3, axis=2))
    for kind, severity in noises:
        image = corrupted(image, kind, severity)
    return image


def error(image: MedicalImage, wanted: MedicalImage) -> float:
    """Mean squared error in grey levels squared."""
    return float(np.square(image.rgb.astype(np.float64) - wanted.rgb).mean())
