"""What speaks for and against a restoration, before anyone knows the clean picture.

Found on origins left out one at a time: a restoration ruins a picture where restorers fitted on
other origins disagree on what to remove, and where the picture's statistics are far from all that
the fits have met. The likeness of the removed residual to its kind's, tried beside them, added
nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import entr
from torch import Tensor

from vision.acquisition.restorer import MemberChanges
from vision.perceive.noise_density import NoisePosterior
from vision.perceive.pixel_classifier import PixelClassifier
from vision.restore.scale_space import blurred

Floats = NDArray[np.float64]

EVIDENCE = (
    "disagreement, fine",
    "disagreement, middle",
    "disagreement, coarse",
    "disagreement over change, fine",
    "disagreement over change, middle",
    "disagreement over change, coarse",
    "disagreement",
    "disagreement over change",
    "kernel mass of loss prototypes",
    "kernel mass of gain prototypes",
    "mean severity",
    "entropy of the posterior",
    "non-conformity to clean",
    "novelty of the picture",
    "novelty of the restored picture",
    "size",
    "colour",
)
"""Entries of `evidence`; energies, masses, novelties and the size as natural logarithms."""

_FINE, _COARSE = 1.0, 4.0
"""Standard deviations, in pixels, of the blurs that separate the bands."""
_FLOOR = 1e-8
_LEAST_MASS = 1e-3


@dataclass(frozen=True)
class Novelty:
    """Mean squared Mahalanobis distance of statistics to those of all draws that fits have met."""

    centre: Floats
    """(p,)."""
    whiten: Floats
    """(p, p): statistics times this have unit covariance."""

    @classmethod
    def fit(cls, statistics: Floats) -> Novelty:
        """From statistics (n, p) of clean and noisy pictures."""
        centre = statistics.mean(0)
        spread = np.maximum(statistics.std(0), 1e-6)
        standard = (statistics - centre) / spread
        covariance = standard.T @ standard / len(standard)
        covariance[np.diag_indices_from(covariance)] += 1e-2
        inverse = np.linalg.inv(covariance)
        return cls(centre, np.linalg.cholesky(inverse) / spread[:, None])

    def __call__(self, statistics: Floats) -> Floats:
        """Natural logarithm of the distance, (n,), of statistics (n, p); about 0 for the usual."""
        reduced = (statistics - self.centre) @ self.whiten
        return np.asarray(np.log((reduced**2).mean(axis=1) + _FLOOR))


def evidence(
    planes: Tensor,
    found: MemberChanges,
    *,
    posterior: NoisePosterior,
    classifier: PixelClassifier,
    novelty: Novelty,
    before: Floats,
    after: Floats,
) -> Floats:
    """The evidence on one restoration, (len(EVIDENCE),).

    Args:
        planes: (planes, H, W), the picture before it.
        found: of this one picture.
        posterior: that it was restored under.
        classifier: that gave it.
        novelty: of statistics.
        before: (p,) statistics of the picture.
        after: (p,) statistics of the restored picture.
    """
    changes = found.changes[0].mean(dim=1)
    change = changes.mean(dim=0)
    apart = changes - change
    disagreement = _bands(apart).mean(dim=0)
    removed = _bands(change[None])[0]
    whole, ratio = apart.square().mean(), torch.tensor(relative_disagreement(found.changes[0]))
    energies = torch.stack([*disagreement, *(disagreement / (removed + _FLOOR)), whole, ratio])
    logs = torch.log(energies.clamp_min(_FLOOR)).tolist()
    logs += torch.log(found.mass[0] + _LEAST_MASS).tolist()
    severities = np.array([severity for _, severity in classifier.classes], dtype=np.float64)
    noisy = posterior.probabilities[1:-1]
    novelties = novelty(np.stack([before, after]))
    return np.array(
        [
            *logs,
            float((noisy * severities[1:]).sum() / (noisy.sum() + 1e-9)),
            float(entr(posterior.probabilities).sum()),
            float(classifier.nonconformity(before[None])[0]),
            *novelties,
            math.log(min(planes.shape[1:]) / 224.0),
            float(len(planes) > 1),
        ]
    )


def relative_disagreement(changes: Tensor) -> float:
    """Mean square of the members' deviations from their mean change over that of the change.

    Of changes (members, planes, H, W), in the mean of the planes.
    """
    grey = changes.mean(dim=1)
    change = grey.mean(dim=0)
    apart = (grey - change).square().mean()
    return float((apart + _FLOOR) / (change.square().mean() + _FLOOR))


def _bands(pictures: Tensor) -> Tensor:
    """(n, H, W) -> (n, 3) mean squares in a fine, a middle and a coarse band."""
    fine = blurred(pictures[:, None], _FINE)[:, 0]
    coarse = blurred(pictures[:, None], _COARSE)[:, 0]
    bands = (pictures - fine, fine - coarse, coarse)
    return torch.stack([band.square().mean(dim=(1, 2)) for band in bands], dim=1)
