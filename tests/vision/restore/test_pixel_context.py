"""Features of a pixel for its restoration: contexts, copies, thumbnails and tone curves."""

from __future__ import annotations

import pytest
import torch

from tests.vision.conftest import scan
from vision.acquisition.scales import planes_of
from vision.restore.ghosts import GHOSTS, ghost_context
from vision.restore.pixel_context import CHANNELS, pixel_context, weighted_context
from vision.restore.thumbnails import (
    SIDE,
    additive_loss,
    apply_gain,
    log_gain,
    loss_in_cells,
    quantiles,
    thumbnail,
)
from vision.restore.tone_curves import (
    COVARIATES,
    KNOTS,
    TONE_FEATURES,
    curve_covariates,
    tone_change,
    tone_features,
)


def picture(side: int = 40) -> torch.Tensor:
    return planes_of(scan(1, side), (side, side))[0]


def test_every_pixel_has_its_context() -> None:
    found = pixel_context(torch.stack([picture(), picture().flip(0)]))
    assert found.shape == (2, CHANNELS, 40, 40)
    assert bool(torch.isfinite(found).all())
    assert torch.equal(found[0, 40], picture())  # the middle of the raw neighbourhood


def test_a_batch_has_the_contexts_of_its_pictures() -> None:
    both = torch.stack([picture(), picture().flip(1)])
    together = pixel_context(both)
    for i in range(2):
        assert torch.allclose(together[i], pixel_context(both[i : i + 1])[0], atol=1e-5)


def test_a_weighted_context_is_the_weighted_sum_of_its_channels_for_every_member() -> None:
    draw = torch.Generator().manual_seed(0)
    both = torch.stack([picture(), picture().flip(1)])
    weights = torch.randn(2, 3, CHANNELS, generator=draw)
    held = torch.einsum("nmc,nchw->nmhw", weights, pixel_context(both))
    assert torch.allclose(weighted_context(both, weights), held, atol=1e-4)


def test_some_pixels_have_the_context_that_they_have_among_all() -> None:
    some = torch.tensor([0, 41, 799, 1599])
    whole = pixel_context(picture()[None]).flatten(2)
    assert torch.allclose(pixel_context(picture()[None], some), whole[:, :, some], atol=1e-6)


def test_non_local_means_are_symmetric() -> None:
    """Displacements go in pairs: turning the picture turns what is made of it."""
    first = CHANNELS - 6 - 2
    found = pixel_context(picture()[None])[0, first]
    turned = pixel_context(picture().rot90(2)[None])[0, first]
    assert torch.allclose(found, turned.rot90(2), atol=1e-5)


@pytest.mark.parametrize("axis", [1, 2])
def test_a_displaced_copy_is_located(axis: int) -> None:
    body = torch.stack([picture(112), picture(112).flip(0)])
    copy = 0.3 * body.roll(37, dims=axis)
    found = ghost_context(body + copy)
    assert found.shape == (2, GHOSTS, 112, 112)
    along = found[:, 5 * (axis - 1)]
    for predicted, wanted, plain in zip(
        along, copy, ghost_context(body)[:, 5 * (axis - 1)], strict=True
    ):
        alike = torch.corrcoef(torch.stack([predicted.flatten(), wanted.flatten()]))[0, 1]
        assert float(alike) > 0.6
        assert float(plain.abs().mean()) < 0.3 * float(predicted.abs().mean())


def test_quantiles_are_those_that_sorting_finds() -> None:
    values = torch.rand(3, 501, generator=torch.Generator().manual_seed(0))
    sorted_ = torch.quantile(values, torch.tensor([0.1, 0.5, 0.99]), dim=1).T
    assert torch.allclose(quantiles(values, (0.1, 0.5, 0.99)), sorted_, atol=1e-6)


def test_a_tone_change_is_the_weighted_sum_of_its_features() -> None:
    draw = torch.Generator().manual_seed(0)
    grey = torch.rand(2, 20, 24, generator=draw)
    grey[0, 0, :3] = torch.tensor([0.0, 1.0, KNOTS[4]])
    lost = 0.1 * torch.randn(2, SIDE, SIDE, generator=draw)
    covariates = curve_covariates(grey, lost, torch.ones(2, 16))
    assert covariates.shape == (2, COVARIATES)
    read = torch.randn(2, TONE_FEATURES, generator=draw)
    held = torch.einsum("nc,nchw->nhw", read, tone_features(grey, covariates))
    assert torch.allclose(tone_change(grey, covariates, read), held, atol=1e-4)


def test_a_gamma_is_a_curve_of_brightness() -> None:
    """The nine knots follow a display curve to a grey level or so; a gain over the whole cannot."""
    grey = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    wanted = grey**1.8 - grey
    covariates = torch.zeros(1, COVARIATES)
    covariates[:, 0] = 1.0
    context = tone_features(grey, covariates)[0].flatten(1).T
    read = torch.linalg.lstsq(context, wanted.flatten()[:, None], driver="gelsd").solution.T
    left = (tone_change(grey, covariates, read) - wanted).square().mean()
    factor = (wanted * grey).sum() / grey.square().sum()
    assert float(left) < 0.01 * float((factor * grey - wanted).square().mean())


def test_a_smooth_gain_is_estimated_and_corrected() -> None:
    clean = 0.1 + 0.5 * picture()
    across = torch.linspace(0.0, 1.0, 40)[None, :]
    noisy = clean * torch.exp(-0.8 * (1.0 - torch.cos(torch.pi * across)))
    found = apply_gain(noisy[None], log_gain(clean[None], noisy[None]))[0]
    assert float((found - clean).abs().mean()) < 0.3 * float((noisy - clean).abs().mean())


def test_a_smooth_additive_loss_is_held_by_its_coefficients() -> None:
    clean = picture(56)[None]
    down = torch.linspace(0.0, torch.pi, 56).cos()[None, :, None]
    noisy = clean - 0.05 - 0.1 * down
    found = loss_in_cells(additive_loss(clean, noisy))
    assert torch.allclose(found, thumbnail(clean - noisy), atol=5e-3)
