"""What calibration changed, patch by patch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.vision.acquisition_stand_in import SmoothingAcquisition
from tests.vision.conftest import corrupted, scan
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.patch_changes import compare_image, heat_map, heat_overlay, patch_changes
from vision.pdc import Calibrator


def encoded(*tiles: torch.Tensor, size: tuple[int, int] = (64, 64)) -> EncodedImage:
    return EncodedImage("name", size, SimpleNamespace(pooler_output=list(tiles)))


def test_a_patch_that_moved_is_at_its_place() -> None:
    plain = torch.ones(16, 8)
    moved = plain.clone()
    moved[6] *= 1.5
    changes = patch_changes(encoded(plain), encoded(moved))
    assert changes is not None and changes.shape == (4, 4)
    assert np.argwhere(changes > 0).tolist() == [[1, 2]]
    assert changes[1, 2] == pytest.approx(0.5)


def test_tokens_on_no_known_grid_have_no_map() -> None:
    tile = torch.ones(16, 8)
    assert patch_changes(encoded(tile, tile), encoded(tile, tile)) is None
    assert patch_changes(encoded(tile), encoded(torch.ones(9, 8))) is None
    assert patch_changes(encoded(torch.ones(7, 8)), encoded(torch.ones(7, 8))) is None


def test_the_largest_value_is_opaque_red_and_zero_is_transparent() -> None:
    pixels = heat_map(np.array([[0.0, 1.0], [2.0, 4.0]]))
    assert pixels[..., 3].tolist() == [[0, 64], [128, 255]]
    assert not heat_map(np.zeros((2, 2)))[..., 3].any()


def test_values_lie_over_the_part_of_the_picture_that_they_belong_to() -> None:
    image = scan(500)
    shown = heat_overlay(image, np.array([[0.0, 0.0], [0.0, 1.0]]))
    top, left = image.height // 2, image.width // 2
    assert np.array_equal(shown.rgb[:top], image.rgb[:top])
    assert (shown.rgb[top:, left:] == (230, 40, 0)).all()


def test_a_noisy_image_has_a_restored_picture_and_a_clean_one_has_none(
    encoder: VisionEncoder,
) -> None:
    calibrator = Calibrator(encoder, acquisition=SmoothingAcquisition())  # type: ignore[arg-type]
    noisy = compare_image(calibrator, corrupted(scan(500), "gaussian", 5))
    assert noisy.calibrated.report.applied and noisy.changes is not None
    assert noisy.calibrated.restored is not None
    assert noisy.calibrated.restored.rgb.shape == (64, 64, 3)  # the size at which the model sees it
    clean = compare_image(calibrator, scan(501))
    assert (clean.calibrated.restored, clean.changes) == (None, None)
