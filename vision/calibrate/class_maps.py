"""Calibration maps of one tap: closed-form estimates of what noise took from the features.

    X' = X + g * sum_k p_k W_k phi(X),    W_k = argmin |(X_0 - X_k) - W phi(X_k)|^2 + lambda |W|^2

X are the patch tokens, standardised channel by channel on clean references, X_0 those of the clean
image and X_k those under class k; p_k is the posterior and g the step size. phi concatenates a
token with its neighbours' mean, its position, the image's mean, and CLS if there is one
(`vision.calibrate.token_context`). `vision.calibrate.moments` fits the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.calibrate.moments import FittedMap
from vision.calibrate.token_context import FeatureScaler
from vision.encoder.token_layout import POSITION_FEATURES, TokenLayout

DROP_BELOW = 0.03
"""Probabilities below this are set to zero, and the others renormalised to sum one."""


@dataclass(frozen=True)
class ClassMaps:
    """The low-rank maps of all classes at one tap, concatenated.

    Class k's map takes `ranks[k]` columns of `left` and rows of `right`, after those of the classes
    before it. A class without a map has rank 0.
    """

    scaler: FeatureScaler
    ranks: Tensor
    """(classes,) int64 rank of each noisy class's map; last that of the map of all classes."""
    left: Tensor
    """(context, sum of ranks)."""
    right: Tensor
    """(sum of ranks, dim)."""
    cap: float
    """Largest |X' - X| / |X| of standardised features; larger changes are scaled down to it."""

    @classmethod
    def of_maps(cls, scaler: FeatureScaler, maps: Sequence[FittedMap], cap: float) -> ClassMaps:
        """From the maps of every class; the last is that of all classes."""
        return ClassMaps(
            scaler,
            torch.tensor([one.rank for one in maps]),
            torch.cat([one.left for one in maps], dim=1),
            torch.cat([one.right for one in maps]),
            cap,
        )

    def to(self, device: torch.device) -> ClassMaps:
        """The same on a device."""
        left, right = self.left.to(device), self.right.to(device)
        return ClassMaps(self.scaler.to(device), self.ranks.to(device), left, right, self.cap)

    @property
    def is_empty(self) -> bool:
        """Whether no class has a map here."""
        return len(self.right) == 0

    def has_map_for(self, weights: Tensor) -> Tensor:
        """(images,) bool: whether a class with a nonzero weight (images, classes) has a map."""
        return (weights[:, self.ranks > 0] != 0.0).any(dim=1)

    def change(self, features: Tensor, layout: TokenLayout, weights: Tensor) -> Tensor:
        """The change sum_k p_k W_k phi, scaled down to the cap; (images, tiles, tokens, dim).

        Args:
            features: (images, tiles, tokens, dim).
            layout: of the tokens; prefix tokens (CLS, registers) are not changed.
            weights: (images, classes) of the noisy classes and, last, of `unknown`.
        """
        patches = self.scaler.patches(features, layout)
        context = self.scaler.context(features, layout, size=len(self.left))
        residual = torch.zeros_like(patches)
        shares = weights.repeat_interleave(self.ranks, dim=1)
        for image, share in enumerate(shares):
            used = share.nonzero().flatten()
            if len(used):
                reduced = (context[image] @ self.left[:, used]) * share[used]
                residual[image] = (reduced @ self.right[used])[0]
        norm = patches.flatten(1).norm(dim=1)
        size = residual.flatten(1).norm(dim=1)
        shrink = (self.cap * norm / size.clamp_min(1e-9)).clamp_max(1.0)
        residual = residual * shrink[:, None, None, None] * self.scaler.scale
        change = torch.zeros(features.shape, dtype=torch.float32, device=features.device)
        change[:, :, layout.prefix :] = residual
        return change

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {
            "centre": self.scaler.centre,
            "scale": self.scaler.scale,
            "ranks": self.ranks,
            "left": self.left,
            "right": self.right,
            "cap": torch.tensor([self.cap]),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], classes: int) -> ClassMaps:
        """Rebuild from `to_tensors` for this number of classes.

        Raises KeyError where an array is missing, ValueError where shapes do not agree.
        """
        check_map_shapes(tensors, classes)
        scaler = FeatureScaler(tensors["centre"], tensors["scale"])
        if tensors["cap"].shape != (1,):
            raise ValueError(f"cap has the wrong shape {tuple(tensors['cap'].shape)}")
        cap = float(tensors["cap"])
        return ClassMaps(scaler, tensors["ranks"], tensors["left"], tensors["right"], cap)


def check_map_shapes(tensors: Mapping[str, Tensor], classes: int) -> None:
    """Check that the arrays of a tap's maps fit together; ValueError names the one that does not.

    KeyError where an array is missing.
    """
    ranks, left, right = tensors["ranks"], tensors["left"], tensors["right"]
    dim, total = len(tensors["centre"]), int(ranks.sum())
    sizes = {2 * dim + POSITION_FEATURES + dim * parts for parts in (0, 1, 2)}
    checks = {
        "ranks": ranks.shape == (classes,) and bool((ranks >= 0).all()),
        "scale": tensors["scale"].shape == tensors["centre"].shape == (dim,),
        "left": left.dim() == 2 and left.shape[1] == total and len(left) in sizes,
        "right": right.shape == (total, dim),
    }
    for name, fits in checks.items():
        if not fits:
            raise ValueError(f"{name} has the wrong shape {tuple(tensors[name].shape)}")


def calibration_weights(posterior: Tensor) -> Tensor:
    """Weights of the maps, (images, classes + 1), from posteriors (images, 1 + classes + 1).

    Probabilities below `DROP_BELOW` are set to zero and the others renormalised. The column of
    clean, whose map is zero, is dropped after that.
    """
    kept = torch.where(posterior < DROP_BELOW, torch.zeros_like(posterior), posterior)
    total = kept.sum(dim=1, keepdim=True)
    # All below the threshold: nothing to renormalise, the posterior is used as it is.
    kept = torch.where(total > 0, kept / total.clamp_min(1e-12), posterior)
    return kept[:, 1:].float()
