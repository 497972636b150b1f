"""What fits on every origin hold of a restoration that rests on the references of one domain.

A picture may show what a domain's references show and still be of another origin: what is natural
of it is then taken for noise, and the domain's own fits, all of one mind, remove it. Fits on other
origins are asked two things. Do they agree among themselves on what the noise that was found would
take away? And does the restored picture look to them as one without noise? Measured on pictures of
origins that are taken for a domain's, both rank harm better than anything that the domain's own
fits say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition.evidence import relative_disagreement
from vision.acquisition.parts import HalfParts
from vision.acquisition.trial import Trial
from vision.calibrate.class_maps import calibration_weights
from vision.perceive.noise_density import NoisePosterior

Floats = NDArray[np.float64]

OPINION = ("disagreement over change", "noise that seems left")
"""Entries of an opinion, both natural logarithms: of a ratio of energies, and of one over a
p-value. Both grow with doubt."""
DOUBTED = 0.08
"""Share of a domain's own restorations, of those that came nearer to clean, that are doubted."""
FEW = 20
"""A kind of noise with fewer of them is judged by those of every kind."""
_LEAST_SPREAD = 1e-3
_ARRAYS = ("centre", "scale", "most")


def second_opinion(
    half: HalfParts, planes: Tensor, posterior: NoisePosterior, after: Floats
) -> Floats:
    """(len(OPINION),) what an acquisition half holds of a restoration that is not its own.

    Args:
        half: the acquisition half's own parts.
        planes: (planes, H, W) in [0, 1], the picture before it.
        posterior: that it was restored under.
        after: (p,) statistics of the restored picture.
    """
    weights = calibration_weights(torch.from_numpy(posterior.probabilities)[None])
    changes = half.restorer(planes[None], weights).changes[0]
    left = half.residual_classifier.predict(after[None])[0]
    return np.array([math.log(relative_disagreement(changes)), -math.log(left.clean_p_value)])


def row_of(kind: str, kinds: Sequence[str]) -> int:
    """The number of a kind of noise; `len(kinds)` for any other."""
    return kinds.index(kind) if kind in kinds else len(kinds)


@dataclass(frozen=True)
class UsualOpinion:
    """Opinions on the restorations of a domain's own references: mean, spread and range by kind."""

    kinds: tuple[str, ...]
    """Of noise, those that the domain restores; the last row of each array is of all others."""
    centre: Floats
    """(kinds + 1, len(OPINION))."""
    scale: Floats
    """(kinds + 1, len(OPINION)) standard deviations."""
    most: Floats
    """(kinds + 1,) sum of an opinion's standardised entries that all but `DOUBTED` stay below."""

    @classmethod
    def fit(cls, opinions: Floats, found: NDArray[np.int64], kinds: Sequence[str]) -> UsualOpinion:
        """From opinions on restorations that came nearer to clean.

        Args:
            opinions: (n, len(OPINION)).
            found: (n,) `row_of` the kind that each was restored for.
            kinds: those that the domain restores.
        """
        rows = []
        for number in range(len(kinds) + 1):
            own = opinions[found == number]
            own = opinions if len(own) < FEW else own
            centre, scale = own.mean(axis=0), np.maximum(own.std(axis=0), _LEAST_SPREAD)
            sums = ((own - centre) / scale).sum(axis=1)
            rows.append((centre, scale, np.quantile(sums, 1.0 - DOUBTED)))
        centres, scales, most = (np.array(column) for column in zip(*rows, strict=True))
        return cls(tuple(kinds), centres, scales, most)

    def doubts(self, opinion: Floats, kind: str) -> bool:
        """Whether an opinion (len(OPINION),) is less favourable than those on the domain's own."""
        row = row_of(kind, self.kinds)
        return bool(((opinion - self.centre[row]) / self.scale[row]).sum() > self.most[row])

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}

    @classmethod
    def from_tensors(cls, kinds: Sequence[str], tensors: Mapping[str, Tensor]) -> UsualOpinion:
        """Rebuild; KeyError or ValueError where arrays are missing or do not fit."""
        centre, scale, most = (tensors[name].double().numpy() for name in _ARRAYS)
        shape = (len(kinds) + 1, len(OPINION))
        if centre.shape != shape or scale.shape != shape or most.shape != shape[:1]:
            raise ValueError("what is usual of second opinions does not fit together")
        if not (scale > 0.0).all():
            raise ValueError("what is usual of second opinions has no spread")
        return cls(tuple(kinds), centre, scale, most)


@dataclass(frozen=True)
class Opinion:
    """Asks an acquisition half about restorations by a domain's own fits."""

    half: HalfParts
    usual: UsualOpinion

    def doubts(self, planes: Tensor, trial: Trial) -> bool:
        """Whether a trial restoration of (planes, H, W) is less credible than the domain's own."""
        found = second_opinion(self.half, planes, trial.posterior, trial.statistics)
        return self.usual.doubts(found, trial.noise.rpartition(" ")[0])
