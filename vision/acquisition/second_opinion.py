"""What fits on every origin hold of a restoration that rests on the references of one domain.

A picture may show what a domain's references show and still be of another origin: what is natural
of it is then taken for noise, and the domain's own fits, all of one mind, remove it. Fits on other
origins are asked two things. Do they agree among themselves on what the noise that was found would
take away? And does the restored picture look to them as one without noise? What comes of it is
measured by `benchmarks/pdc_origins.py --beside`.
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
DOUBTED = 0.12
"""Share of a domain's own restorations, of those that came nearer to clean, that are doubted."""
FEW = 20
"""A kind of noise with fewer of them is judged by those of every kind."""
GRAIN = frozenset(("gaussian", "low_dose", "rician", "shot", "speckle", "impulse"))
"""Kinds whose correction rests on a pixel's surroundings, not on what prototypes lost."""
_LEAST_SPREAD, _LEAST_P = 1e-3, 1e-12
_ARRAYS = ("centre", "scale", "most")


def disagreement(half: HalfParts, planes: Tensor, posterior: NoisePosterior) -> float:
    """How far an acquisition half's members disagree on a restoration that is not their own.

    Args:
        half: the acquisition half's own parts.
        planes: (planes, H, W) in [0, 1], the picture before it.
        posterior: that it was restored under.
    """
    weights = calibration_weights(torch.from_numpy(posterior.probabilities)[None])
    return math.log(relative_disagreement(half.restorer(planes[None], weights).changes[0]))


def seems_left(half: HalfParts, statistics: Floats) -> float:
    """How noisy a restored picture seems to an acquisition half, from its statistics (p,)."""
    found = half.residual_classifier.predict(statistics[None])[0]
    return -math.log(max(found.clean_p_value, _LEAST_P))


def row_of(kind: str, kinds: Sequence[str]) -> int:
    """The number of a kind of noise; `len(kinds)` for any other."""
    return kinds.index(kind) if kind in kinds else len(kinds)


@dataclass(frozen=True)
class UsualOpinion:
    """Opinions on the restorations of a domain's own references: mean, spread and range by kind.

    Of two rows for every kind, the first is of pictures as they came, with one noise, the second of
    pictures that had been restored before, of which fits on other origins hold less.
    """

    kinds: tuple[str, ...]
    """Of noise, those that the domain restores; the last place of each array is of all others."""
    centre: Floats
    """(2, kinds + 1, len(OPINION))."""
    scale: Floats
    """(2, kinds + 1, len(OPINION)) standard deviations."""
    most: Floats
    """(2, kinds + 1) sum of an opinion's standardised entries that all but `DOUBTED` stay below."""

    @classmethod
    def fit(
        cls,
        opinions: Floats,
        found: NDArray[np.int64],
        again: NDArray[np.bool_],
        kinds: Sequence[str],
    ) -> UsualOpinion:
        """From opinions on restorations that came nearer to clean.

        Args:
            opinions: (n, len(OPINION)).
            found: (n,) `row_of` the kind that each was restored for.
            again: (n,) whether the picture had been restored before.
            kinds: those that the domain restores.
        """
        rows = []
        for some in (~again, again):
            every = opinions[some] if some.sum() >= FEW else opinions
            for number in range(len(kinds) + 1):
                own = opinions[some & (found == number)]
                own = every if len(own) < FEW else own
                centre, scale = own.mean(axis=0), np.maximum(own.std(axis=0), _LEAST_SPREAD)
                sums = ((own - centre) / scale).sum(axis=1)
                rows.append((centre, scale, np.quantile(sums, 1.0 - DOUBTED)))
        centres, scales, most = (np.array(column) for column in zip(*rows, strict=True))
        shape = (2, len(kinds) + 1, len(OPINION))
        return cls(tuple(kinds), centres.reshape(shape), scales.reshape(shape), most.reshape(2, -1))

    def doubts(self, opinion: Floats, kind: str, *, again: bool = False) -> bool:
        """Whether an opinion (len(OPINION),) is less favourable than those on the domain's own."""
        place = int(again), row_of(kind, self.kinds)
        return bool(((opinion - self.centre[place]) / self.scale[place]).sum() > self.most[place])

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}

    @classmethod
    def from_tensors(cls, kinds: Sequence[str], tensors: Mapping[str, Tensor]) -> UsualOpinion:
        """Rebuild; KeyError or ValueError where arrays are missing or do not fit."""
        centre, scale, most = (tensors[name].double().numpy() for name in _ARRAYS)
        shape = (2, len(kinds) + 1, len(OPINION))
        if centre.shape != shape or scale.shape != shape or most.shape != shape[:2]:
            raise ValueError("what is usual of second opinions does not fit together")
        if not (scale > 0.0).all():
            raise ValueError("what is usual of second opinions has no spread")
        return cls(tuple(kinds), centre, scale, most)


@dataclass(frozen=True)
class Opinion:
    """Of an acquisition half on what a domain's own fits do."""

    half: HalfParts
    usual: UsualOpinion

    def doubts(self, planes: Tensor, trial: Trial, *, again: bool) -> bool:
        """Whether a trial restoration of (planes, H, W) is less credible than the domain's own.

        Not of grain, which is taken away pixel by pixel, whatever the picture shows. `again`: the
        picture has been restored before.
        """
        kind = trial.noise.rpartition(" ")[0]
        if kind in GRAIN:
            return False
        found = disagreement(self.half, planes, trial.posterior)
        left = seems_left(self.half, trial.statistics)
        return self.usual.doubts(np.array([found, left]), kind, again=again)
