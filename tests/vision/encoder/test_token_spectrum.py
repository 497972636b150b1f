"""Statistics along the directions in which noise changes the variance of patches."""

from __future__ import annotations

import pytest
import torch

from vision.encoder.token_layout import TokenLayout, infer_layout
from vision.encoder.token_spectrum import TokenSpectrum, second_moments

DIM, SIDE = 32, 8
LAYOUT = infer_layout(SIDE * SIDE + 1)


def patches(images: int, *, grain: float, seed: int) -> torch.Tensor:
    """A CLS token and patches: three strong directions, mixed into every channel, and grain."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(0))).Q
    contrast = 0.5 + torch.rand(images, 1, 1, 1, generator=draw)  # of every image its own
    strong = 10.0 * contrast * torch.randn(images, 1, LAYOUT.tokens, 3, generator=draw)
    weak = 0.1 * torch.randn(images, 1, LAYOUT.tokens, DIM - 3, generator=draw)
    features: torch.Tensor = torch.cat([strong, weak], dim=3) @ mixing.T
    noisy: torch.Tensor = features + grain * torch.randn(features.shape, generator=draw)
    return noisy


@pytest.fixture(scope="module")
def spectrum() -> TokenSpectrum:
    clean = second_moments(patches(40, grain=0.0, seed=1)[:, :, 1:])
    return TokenSpectrum.fit(clean, [second_moments(patches(40, grain=0.1, seed=2)[:, :, 1:])])


def separation(clean: torch.Tensor, noisy: torch.Tensor) -> float:
    """Largest difference of a statistic's means over images, in standard deviations."""
    spread = torch.maximum(clean.std(0), noisy.std(0)).clamp_min(1e-3)
    return float(((clean.mean(0) - noisy.mean(0)).abs() / spread).max())


def test_grain_that_hides_in_every_channel_shows(spectrum: TokenSpectrum) -> None:
    clean, noisy = patches(30, grain=0.0, seed=3), patches(30, grain=0.1, seed=4)
    along = separation(spectrum.statistics(clean, LAYOUT), spectrum.statistics(noisy, LAYOUT))
    channels = [one[:, 0, 1:].std(dim=1).log() for one in (clean, noisy)]
    assert along > 5.0
    assert separation(*channels) < 1.0


@pytest.mark.parametrize(
    "layout",
    [
        infer_layout(17),
        infer_layout(12, (3, 4)),
        TokenLayout(7, 0, 0, 0),
        TokenLayout(2, 0, 0, 0),
    ],
    ids=["grid with CLS", "oblong", "no grid", "two patches"],
)
def test_every_layout_has_as_many_statistics(spectrum: TokenSpectrum, layout: TokenLayout) -> None:
    features = torch.randn(3, 2, layout.tokens, DIM)
    statistics = spectrum.statistics(features, layout)
    assert statistics.shape == (3, spectrum.size)
    assert bool(torch.isfinite(statistics).all())


def test_rounding_to_bfloat16_is_no_noise(spectrum: TokenSpectrum) -> None:
    clean, noisy = patches(30, grain=0.0, seed=3), patches(30, grain=0.1, seed=4)
    exact = spectrum.statistics(clean, LAYOUT)
    rounded = spectrum.statistics(clean.bfloat16(), LAYOUT)
    assert separation(exact, rounded) < 0.3 * separation(exact, spectrum.statistics(noisy, LAYOUT))


def test_moments_add_up_over_batches() -> None:
    features = patches(6, grain=0.1, seed=5)[:, :, 1:]
    halves = second_moments(features[:2]) + second_moments(features[2:])
    assert torch.allclose(halves, second_moments(features), rtol=1e-4, atol=1e-2)


def test_it_is_the_same_after_storing(spectrum: TokenSpectrum) -> None:
    again = TokenSpectrum.from_tensors(spectrum.to_tensors())
    features = patches(2, grain=0.1, seed=6)
    assert torch.equal(again.statistics(features, LAYOUT), spectrum.statistics(features, LAYOUT))
    with pytest.raises(ValueError, match="bands"):
        TokenSpectrum.from_tensors({**spectrum.to_tensors(), "bands": torch.tensor([3])})
