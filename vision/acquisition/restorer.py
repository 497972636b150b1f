"""The restorer: linear estimates of the clean picture, fitted without one group of origins each.

    x' = x + mean_m sum_k p_k w_mk . phi_m(x)

p_k is the posterior of class k, a kind and severity; m counts the members, each fitted in closed
form on the origins outside one fold. phi(x) of a pixel holds its context
(`vision.restore.pixel_context`), the additive loss and the smooth gain that kernel regression on
prototypes of the kind predicts (`vision.restore.landmarks` on `vision.restore.thumbnails`), and a
piecewise linear curve of its brightness (`vision.restore.tone_curves`). Where the members disagree
on a picture, what they remove depends on the origins they have met: `vision.acquisition.evidence`.

A coloured picture's planes are restored each by itself, with the loss and the gain of their mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vision.acquisition.scales import scale_index
from vision.report import UNKNOWN
from vision.restore.landmarks import LandmarkRegression
from vision.restore.pixel_context import CHANNELS, weighted_context
from vision.restore.thumbnails import (
    LOSS_ORDERS,
    ORDERS,
    apply_gain,
    enlarged,
    loss_in_cells,
    thumbnail,
    thumbnail_vectors,
)
from vision.restore.tone_curves import TONE_FEATURES, curve_covariates, tone_change

PROTOTYPE_FEATURES = 3
"""Features from prototypes: the additive loss, the change by the gain, its change of detail."""
PIXEL_FEATURES = CHANNELS + PROTOTYPE_FEATURES + TONE_FEATURES
"""Entries of phi: pixel context, prototype features, tone features."""

Classes = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Prototypes:
    """The regressions on prototypes of one kind of noise."""

    additive: LandmarkRegression
    """Grey thumbnail vectors -> cosine coefficients of the additive loss (LOSS_ORDERS ** 2)."""
    gain: LandmarkRegression
    """Log thumbnail vectors -> coefficients of the smooth log gain (ORDERS ** 2)."""

    def of_members(self, members: Tensor) -> Prototypes:
        """The same with the members of these indices alone."""
        return Prototypes(self.additive.of_members(members), self.gain.of_members(members))


@dataclass(frozen=True)
class MemberChanges:
    """What each member would add to each of n pictures."""

    changes: Tensor
    """(n, members, planes, H, W)."""
    mass: Tensor
    """(n, 2) kernel mass of the prototypes, additive and gain, weighted by the posterior."""


@dataclass(frozen=True)
class EnsembleRestorer:
    """Predicts the change from a noisy picture to the clean one, member by member."""

    classes: Classes
    """(kind, severity) of each map; the last is ("unknown", 0), fitted on all kinds together."""
    maps: Tensor
    """(scales, members, classes, PIXEL_FEATURES)."""
    prototypes: Mapping[str, Prototypes]
    """By kind, `unknown` included."""

    def __call__(
        self, planes: Tensor, weights: Tensor, members: Tensor | None = None
    ) -> MemberChanges:
        """Changes of pictures of one size, on the CPU, computed where the maps lie.

        Args:
            planes: (n, planes, H, W) in [0, 1].
            weights: (n, classes) of the maps.
            members: indices of the members to use; None: all.
        """
        planes, device = planes.to(self.maps.device), self.maps.device
        maps = self.maps[scale_index(min(planes.shape[2:]))]
        maps = maps if members is None else maps[members]
        n, colours, height, width = planes.shape
        combined = torch.einsum("nc,mcf->nmf", weights.to(device), maps)
        flat = planes.reshape(n * colours, height, width)
        context = combined[..., :CHANNELS].repeat_interleave(colours, dim=0)
        changes = weighted_context(flat, context)
        changes = changes.view(n, colours, len(maps), height, width).transpose(1, 2).contiguous()
        mass = torch.zeros(n, 2)
        grey = planes.mean(dim=1)
        vectors = thumbnail_vectors(grey)
        for kind, known in self.prototypes.items():
            own = torch.tensor([name == kind for name, _ in self.classes])
            share = weights[:, own].sum(dim=1)
            rows = (share > 0).nonzero().flatten()
            if not len(rows):
                continue
            some_weights = weights[rows][:, own].to(device)
            by_kind = torch.einsum("nc,mcf->nmf", some_weights, maps[:, own, CHANNELS:])
            plain, logarithmic = vectors[0][rows], vectors[1][rows]
            near = torch.stack([known.additive.mass(plain), known.gain.mass(logarithmic)], dim=1)
            mass[rows] += share[rows, None] * near.cpu()
            losses = known.additive(plain, members)
            gains = known.gain(logarithmic, members)
            for m in range(len(maps)):
                lost, gain = loss_in_cells(losses[m]), gains[m]
                covariates = curve_covariates(grey[rows], lost, gain)
                for colour in range(colours):
                    some = planes[rows, colour]
                    features = prototype_features(some, lost, gain)
                    on_prototypes = by_kind[:, m, :PROTOTYPE_FEATURES]
                    on_tones = by_kind[:, m, PROTOTYPE_FEATURES:]
                    added = torch.einsum("nchw,nc->nhw", features, on_prototypes)
                    changes[rows, m, colour] += added + tone_change(some, covariates, on_tones)
        return MemberChanges(changes.cpu(), mass)

    def of_members(self, members: Tensor) -> EnsembleRestorer:
        """The same with the members of these indices alone."""
        prototypes = {kind: known.of_members(members) for kind, known in self.prototypes.items()}
        return EnsembleRestorer(self.classes, self.maps[:, members], prototypes)

    def with_kinds(self, other: EnsembleRestorer) -> EnsembleRestorer:
        """The same with the kinds that another one knows by its fits, for each of its members.

        `other` has no more members than this one, every class of its kinds, and maps of every scale
        or of one, which then serve for all.
        """
        there = other.to(self.maps.device)
        found = self.of_members(torch.arange(other.maps.shape[1]))
        maps = found.maps.clone()
        maps[:, :, [self.classes.index(pair) for pair in other.classes]] = there.maps
        return EnsembleRestorer(self.classes, maps, {**found.prototypes, **there.prototypes})

    def to(self, device: torch.device) -> EnsembleRestorer:
        """The same, computing on a device; its changes differ by rounding."""
        known = {
            kind: Prototypes(one.additive.to(device), one.gain.to(device))
            for kind, one in self.prototypes.items()
        }
        return EnsembleRestorer(self.classes, self.maps.to(device), known)

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        tensors = {"maps": self.maps}
        for kind, known in self.prototypes.items():
            for side, regression in (("additive", known.additive), ("gain", known.gain)):
                for name, tensor in regression.to_tensors().items():
                    tensors[f"{kind}.{side}.{name}"] = tensor
        return tensors

    @classmethod
    def from_tensors(cls, classes: Classes, tensors: Mapping[str, Tensor]) -> EnsembleRestorer:
        """Rebuild from `to_tensors`.

        Raises KeyError where an array is missing, ValueError where shapes do not agree.
        """
        maps = tensors["maps"].float()
        if maps.dim() != 4 or maps.shape[2:] != (len(classes), PIXEL_FEATURES):
            raise ValueError(f"pixel maps of shape {tuple(maps.shape)}")

        def regression(prefix: str, outputs: int) -> LandmarkRegression:
            found = LandmarkRegression.from_tensors(
                {
                    name[len(prefix) :]: tensor
                    for name, tensor in tensors.items()
                    if name.startswith(prefix)
                },
                maps.shape[1],
            )
            if found.weights.shape[2] != outputs:
                raise ValueError(f"prototypes with {found.weights.shape[2]} outputs")
            return found

        known = {
            kind: Prototypes(
                regression(f"{kind}.additive.", LOSS_ORDERS**2),
                regression(f"{kind}.gain.", ORDERS**2),
            )
            for kind in dict.fromkeys(kind for kind, _ in classes)
        }
        return cls(classes, maps, known)


def prototype_features(grey: Tensor, lost: Tensor, gain: Tensor) -> Tensor:
    """Predicted loss and gain as changes of each pixel: (images, PROTOTYPE_FEATURES, H, W).

    Args:
        grey: (images, H, W) in [0, 1].
        lost: (images, SIDE, SIDE) additive loss in each cell.
        gain: (images, ORDERS ** 2) coefficients of the log gain.
    """
    shape = (grey.shape[1], grey.shape[2])
    bright = apply_gain(grey, gain)
    detail = bright - enlarged(thumbnail(grey), shape)
    return torch.stack([enlarged(lost, shape), bright - grey, detail], dim=1)


def restorer_classes(classes: Sequence[tuple[str, int]]) -> Classes:
    """The classes of a restorer's maps: every noisy class, then unknown."""
    return (*(pair for pair in classes if pair[1] > 0), (UNKNOWN, 0))
