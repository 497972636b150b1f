"""Distance of an image's token statistics to those of clean references."""

from __future__ import annotations

import pytest
import torch

from vision.calibrate.clean_distance import CleanDistance, fit_distance

SIZE = 6


def normal(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def distance() -> CleanDistance:
    """Two classes of noise, which raise the first and the second statistic."""
    shifts = 4.0 * torch.eye(SIZE)[:2]
    return fit_distance(normal(400, 0), normal(200, 1) + 0.5 * shifts[0], shifts)


def test_it_is_about_one_for_clean_images_and_grows_with_noise(distance: CleanDistance) -> None:
    clean = normal(400, 2)
    assert float(distance.of(clean).square().mean()) == pytest.approx(1.0, abs=0.2)
    noisy = distance.of(clean + 4.0 * torch.eye(SIZE)[0])
    assert float((noisy > distance.of(clean)).float().mean()) > 0.95


def test_directions_in_which_noise_moves_nothing_do_not_count(distance: CleanDistance) -> None:
    clean = normal(50, 2)
    elsewhere = clean + 9.0 * torch.eye(SIZE)[5]
    assert torch.allclose(distance.of(elsewhere), distance.of(clean), atol=0.5)


def test_a_change_is_kept_where_it_comes_nearer_or_stays_in_the_band(
    distance: CleanDistance,
) -> None:
    band = distance.band
    before = torch.tensor([9.0, 9.0, 0.1 * band, 0.1 * band])
    after = torch.tensor([8.0, 10.0, 0.9 * band, 1.1 * band])
    assert distance.accepts(before, after).tolist() == [True, False, True, False]
    # of calibrated references 95 % are in the band
    calibrated = normal(200, 1) + 2.0 * torch.eye(SIZE)[0]
    inside = distance.of(calibrated) <= band
    assert float(inside.float().mean()) == pytest.approx(0.95, abs=0.01)
