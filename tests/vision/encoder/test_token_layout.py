"""Tokens find their place on the image again."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vision.encoder.token_layout import (
    POSITION_FEATURES,
    TokenLayout,
    infer_layout,
    neighbour_mean,
    position_features,
)


@pytest.mark.parametrize(
    ("tokens", "aspect", "layout"),
    [
        (577, (336, 336), TokenLayout(577, 1, 24, 24)),
        (576, None, TokenLayout(576, 0, 24, 24)),
        (65, None, TokenLayout(65, 1, 8, 8)),
        (8 * 12, (64, 96), TokenLayout(96, 0, 8, 12)),
        (8 * 12 + 1, (64, 96), TokenLayout(97, 1, 8, 12)),
        (261, (224, 224), TokenLayout(261, 5, 16, 16)),
        (24, None, TokenLayout(24, 0, 0, 0)),
        (1, None, TokenLayout(1, 0, 0, 0)),
    ],
)
def test_known_layouts(tokens: int, aspect: tuple[int, int] | None, layout: TokenLayout) -> None:
    assert infer_layout(tokens, aspect) == layout


@settings(deadline=None)
@given(
    st.integers(1, 2000),
    st.none() | st.tuples(st.integers(1, 2000), st.integers(1, 2000)),
)
def test_a_grid_always_holds_exactly_the_patches(
    tokens: int, aspect: tuple[int, int] | None
) -> None:
    layout = infer_layout(tokens, aspect)
    assert layout.prefix + layout.patches == tokens
    assert not layout.has_grid or layout.height * layout.width == layout.patches


@settings(deadline=None)
@given(st.sampled_from([65, 64, 30, 7]), st.integers(1, 3), st.integers(1, 5))
def test_neighbours_of_a_constant_are_the_constant(tokens: int, tiles: int, dim: int) -> None:
    layout = infer_layout(tokens)
    patches = torch.full((2, tiles, layout.patches, dim), 3.5)
    assert torch.allclose(neighbour_mean(patches, layout), patches)


def test_neighbours_are_those_on_the_grid() -> None:
    layout = TokenLayout(9, 0, 3, 3)
    patches = torch.arange(9.0).reshape(1, 1, 9, 1)
    mean = neighbour_mean(patches, layout).flatten()
    assert mean[4] == patches.mean()
    assert mean[0] == torch.tensor([0.0, 1.0, 3.0, 4.0]).mean()


def test_position_features_begin_with_an_intercept() -> None:
    features = position_features(TokenLayout(16, 0, 4, 4))
    assert features.shape == (16, POSITION_FEATURES)
    assert torch.all(features[:, 0] == 1.0)
    assert len(torch.unique(features, dim=0)) == 16
