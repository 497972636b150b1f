"""Draws of a noise as other makers produce it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from imc_noise import CORE_IMAGE, UnknownNoise, UnknownSeverity
from vision.acquisition.second_opinion import GRAIN
from vision.build.acquisition.references import MORE_KINDS
from vision.build.wider_draws import (
    GRAINS,
    SATURATING,
    VARIANTS,
    own_draw,
    variant_draw,
    wider_draw,
)

Pixels = NDArray[np.uint8]
SIDE = 64


@pytest.fixture(scope="module")
def slice_like() -> Pixels:
    """(64, 64, 3) uint8: a textured ellipse with an edge inside, on black."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    inside = (x / 0.7) ** 2 + (y / 0.9) ** 2 < 1.0
    grey = np.where(inside, 90.0 + 60.0 * (x > 0.1) + 25.0 * np.sin(14.0 * y) * np.cos(9.0 * x), 0)
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


def _error(noisy: Pixels, clean: Pixels) -> float:
    return float(np.mean((noisy.astype(float) - clean) ** 2))


def test_grain_is_the_same_where_it_is_drawn_and_where_it_is_restored() -> None:
    assert set(GRAINS) == GRAIN


def test_every_kind_that_is_fitted_has_variants() -> None:
    assert set(VARIANTS) == {*CORE_IMAGE, *MORE_KINDS}


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize("severity", [1.5, 4.0])
def test_a_variant_is_about_as_strong_as_the_own_draw(
    slice_like: Pixels, kind: str, severity: float
) -> None:
    ratios = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        own = own_draw(slice_like, kind, severity, rng)
        variant = variant_draw(slice_like, own, kind, severity, rng)
        assert not np.array_equal(variant, own)
        ratios.append((_error(variant, slice_like) + 0.2) / (_error(own, slice_like) + 0.2))
    assert (0.3 if kind in SATURATING else 0.5) < float(np.median(ratios)) < 2.0


@pytest.mark.parametrize("kind", VARIANTS)
def test_equal_generators_give_equal_draws_and_the_picture_is_left(
    slice_like: Pixels, kind: str
) -> None:
    before = slice_like.copy()
    for seed in range(4):
        one, two = (
            wider_draw(slice_like, kind, 3.3, np.random.default_rng(seed)) for _ in range(2)
        )
        assert np.array_equal(one, two)
        assert one.dtype == np.uint8
        assert one.shape == slice_like.shape
    assert np.array_equal(slice_like, before)


def test_about_half_of_the_draws_are_the_own_ones(slice_like: Pixels) -> None:
    own = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rng.random()  # whether to take a variant
        expected = own_draw(slice_like, "ghosting", 3.0, rng)
        drawn = wider_draw(slice_like, "ghosting", 3.0, np.random.default_rng(seed))
        own += bool(np.array_equal(drawn, expected))
    assert 20 <= own <= 40


def test_a_kind_without_variants_has_own_draws_alone(slice_like: Pixels) -> None:
    for seed in range(4):
        drawn = wider_draw(slice_like, "stain", 2.0, np.random.default_rng(seed))
        own = own_draw(slice_like, "stain", 2.0, np.random.default_rng(seed))
        assert np.array_equal(drawn, own)


def test_grain_above_the_own_scale_reaches_a_fifth_of_full_scale() -> None:
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    sigmas = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        own = own_draw(grey, "gaussian", 6.0, rng)
        variant = variant_draw(grey, own, "gaussian", 6.0, rng)
        sigmas.append(math.sqrt(_error(variant, grey)) / 255.0)
    assert max(sigmas) > 0.15
    assert max(sigmas) < 0.3
    assert min(sigmas) < 0.12


def test_a_grey_picture_gets_coloured_grain_only_at_times(slice_like: Pixels) -> None:
    coloured = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        own = own_draw(slice_like, "gaussian", 3.0, rng)
        variant = variant_draw(slice_like, own, "gaussian", 3.0, rng)
        coloured += bool((variant[..., 0] != variant[..., 1]).any())
    assert 1 <= coloured <= 20


@pytest.mark.parametrize("kind", VARIANTS)
@pytest.mark.parametrize(
    "picture",
    [
        np.full((1, 1, 3), 70, np.uint8),
        np.arange(18, dtype=np.uint8).reshape(2, 3, 3) * 14,
        np.zeros((16, 16, 3), np.uint8),
        np.full((16, 16, 3), 255, np.uint8),
        np.full((16, 40, 3), (200, 20, 90), np.uint8),
    ],
    ids=["one pixel", "2 x 3", "black", "white", "one colour"],
)
def test_pictures_without_detail_are_drawn_too(kind: str, picture: Pixels) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        drawn = wider_draw(picture, kind, 1.0 + 5.0 * seed / 3.0, rng)
        assert drawn.shape == picture.shape
        assert drawn.dtype == np.uint8


@pytest.mark.parametrize("severity", [0.9, 6.1, math.nan])
def test_a_severity_off_the_scale_is_refused(slice_like: Pixels, severity: float) -> None:
    with pytest.raises(UnknownSeverity, match="off the scale"):
        wider_draw(slice_like, "gaussian", severity, np.random.default_rng(0))


def test_an_unknown_kind_is_refused(slice_like: Pixels) -> None:
    with pytest.raises(UnknownNoise):
        wider_draw(slice_like, "fog", 3.0, np.random.default_rng(0))
