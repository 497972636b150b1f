"""One trial of a restoration: the members' changes, their disagreement, the predicted benefit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from imc_noise import apply_image, noise_rng
from tests.vision.acquisition.odd_pictures import slice_like, slice_of_three_rows
from vision.acquisition import AcquisitionHalf, Trial
from vision.errors import BankRefused
from vision.reading.medical_image import MedicalImage


@cache
def noisy() -> MedicalImage:
    pixels = slice_like(112, 128)
    rng = noise_rng("trial", "gaussian", 4)
    return MedicalImage.from_rgb(apply_image("gaussian", pixels, 4, rng))


@cache
def trial() -> Trial:
    return AcquisitionHalf.shipped().trial(noisy())


def test_the_restored_picture_is_the_mean_of_the_members() -> None:
    found = trial()
    members = len(AcquisitionHalf.shipped().restorer.maps[0])
    assert found.changes.shape == (members, 1, 112, 128)
    mean = (found.before + found.changes.mean(dim=0)).clamp(0.0, 1.0)
    assert torch.allclose(found.planes, mean, atol=0.5 / 255 + 1e-6)


def test_disagreement_is_in_grey_levels_of_each_pixel() -> None:
    found = trial()
    assert found.disagreement.shape == (112, 128)
    changes = 255 * found.changes[:, 0].numpy()
    assert found.disagreement[40, 50] == pytest.approx(changes[:, 40, 50].std(), rel=1e-3)


def test_a_trial_that_is_kept_is_what_a_restoration_begins_with() -> None:
    shipped = AcquisitionHalf.shipped()
    half = replace(shipped, benefit=replace(shipped.benefit, most_harm=1.01))
    found = half.trial(noisy())
    (restoration,) = half.restore_batch([noisy()], alpha=0.999, max_rounds=1)
    assert found.kept and restoration.rounds == [found.noise]
    assert restoration.predicted_share == pytest.approx(found.share)
    levels = np.rint(255 * found.planes[0].numpy()).astype(np.uint8)
    assert np.array_equal(restoration.image.rgb[..., 0], levels)


def test_a_trial_above_the_allowed_risk_is_not_kept() -> None:
    shipped = AcquisitionHalf.shipped()
    half = replace(shipped, benefit=replace(shipped.benefit, most_harm=0.0))
    assert not half.trial(noisy()).kept
    assert half.restore_batch([noisy()], alpha=0.999)[0].declined


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(BankRefused, match="too small"):
        AcquisitionHalf.shipped().trial(MedicalImage.from_rgb(slice_of_three_rows()))
