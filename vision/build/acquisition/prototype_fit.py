"""Fits the regressions on prototypes of one kind of noise, from thumbnails of its draws."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from vision.acquisition.restorer import Prototypes
from vision.build.acquisition.landmark_fit import fit_landmarks
from vision.build.acquisition.references import Draw
from vision.restore.thumbnails import additive_loss, log_gain, thumbnail_vectors


def thumbnail_rows(draws: Iterable[Draw]) -> dict[str, Tensor]:
    """Of every draw: `plain` and `logarithmic` thumbnail vectors, what was `lost`, its `gain`."""
    found: dict[str, list[Tensor]] = {"plain": [], "logarithmic": [], "lost": [], "gain": []}
    for draw in draws:
        clean, noisy = draw.grey_clean[None], draw.grey[None]
        vectors = (*thumbnail_vectors(noisy), additive_loss(clean, noisy), log_gain(clean, noisy))
        for parts, one in zip(found.values(), vectors, strict=True):
            parts.append(one)
    return {name: torch.cat(parts) for name, parts in found.items()}


def fit_prototypes(
    rows: Mapping[str, Tensor],
    pictures: Tensor,
    folds: Tensor,
    members: Sequence[Sequence[int]],
    seed: int,
    *,
    most: int,
) -> Prototypes:
    """Regressions of the loss and of the gain; arguments as `fit_landmarks` has them.

    `rows` are those of `thumbnail_rows`.
    """
    fits = [
        fit_landmarks(rows[source], rows[target], pictures, folds, members, seed, most=most)
        for source, target in (("plain", "lost"), ("logarithmic", "gain"))
    ]
    return Prototypes(*fits)
