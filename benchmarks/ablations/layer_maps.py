"""Closed-form maps of one layer, as the feature-only family of the literature has them.

Each says what to add to standardised tokens: change = phi(x) W, with phi the token and a one, or
the token in its context. Row vectors throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vision.encoder.token_layout import (
    POSITION_FEATURES,
    TokenLayout,
    neighbour_mean,
    position_features,
)

RIDGE = 1e-2
"""Ridge strength, relative to the mean diagonal of phi' phi."""
_FLOOR = 1e-3
"""Least eigenvalue of a covariance that is inverted, relative to their mean."""


@dataclass(frozen=True)
class TokenMoments:
    """Mean and covariance of tokens."""

    mean: Tensor
    """(dim,)."""
    covariance: Tensor
    """(dim, dim)."""

    @classmethod
    def of(cls, tokens: Tensor) -> TokenMoments:
        """Of tokens (n, dim)."""
        exact = tokens.double()
        mean = exact.mean(0)
        centred = exact - mean
        return cls(mean, centred.T @ centred / len(exact))


def with_one(tokens: Tensor) -> Tensor:
    """phi of the token alone: (..., dim + 1), the last entry 1."""
    return torch.cat([tokens, torch.ones_like(tokens[..., :1])], dim=-1)


def with_context(tokens: Tensor, first: Tensor | None, layout: TokenLayout) -> Tensor:
    """phi of tokens (images, tiles, patches, dim) in their context: neighbours' mean, image's mean,
    CLS `first` (images, tiles, 1, dim) where there is one, and position (whose first entry is 1).
    """
    parts = [tokens, neighbour_mean(tokens, layout)]
    parts.append(tokens.mean(dim=(1, 2), keepdim=True).expand_as(tokens))
    if first is not None:
        parts.append(first.expand_as(tokens))
    position = position_features(layout)
    parts.append(position.expand(*tokens.shape[:3], POSITION_FEATURES))
    return torch.cat(parts, dim=-1)


def mean_shift(noisy: TokenMoments, clean: TokenMoments) -> Tensor:
    """(dim + 1, dim): noise moved the mean; move it back."""
    nothing = torch.zeros_like(clean.covariance)
    return _affine(nothing, clean.mean - noisy.mean)


def mean_std(noisy: TokenMoments, clean: TokenMoments) -> Tensor:
    """(dim + 1, dim): each channel's mean and standard deviation made those of clean."""
    ratio = (clean.covariance.diagonal() / _floored(noisy.covariance.diagonal())).sqrt()
    return _affine(torch.diag(ratio - 1.0), clean.mean - noisy.mean * ratio)


def whitening_colouring(noisy: TokenMoments, clean: TokenMoments) -> Tensor:
    """(dim + 1, dim): the whole covariance made that of clean (Li et al. 2017, arXiv 1705.08086).

    x' = (x - m_noisy) N^(-1/2) C^(1/2) + m_clean
    """
    turned = _power(noisy.covariance, -0.5) @ _power(clean.covariance, 0.5)
    identity = torch.eye(len(turned), dtype=turned.dtype)
    return _affine(turned - identity, clean.mean - noisy.mean @ turned)


def ridge(gram: Tensor, cross: Tensor) -> Tensor:
    """(phi, dim) of phi' phi (phi, phi) and phi' residual (phi, dim)."""
    penalty = RIDGE * gram.diagonal().mean()
    regular = gram + penalty * torch.eye(len(gram), dtype=gram.dtype)
    solved: Tensor = torch.linalg.solve(regular, cross)
    return solved


def nearest(tokens: Tensor, keys: Tensor) -> Tensor:
    """(n,) which of keys (m, dim) is nearest to each of tokens (n, dim)."""
    distance = keys.square().sum(1) - 2.0 * tokens @ keys.T
    return distance.argmin(dim=1)


def _affine(turn: Tensor, move: Tensor) -> Tensor:
    return torch.cat([turn, move[None]]).float()


def _floored(values: Tensor) -> Tensor:
    return values.clamp_min(_FLOOR * float(values.mean()))


def _power(covariance: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    powered: Tensor = (vectors * _floored(values) ** exponent) @ vectors.T
    return powered
