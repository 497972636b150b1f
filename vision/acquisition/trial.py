"""One trial of a restoration, judged before it is kept: disagreement and predicted benefit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition.evidence import evidence
from vision.acquisition.parts import HalfParts
from vision.acquisition.statistics import picture_statistics
from vision.calibrate.class_maps import calibration_weights
from vision.perceive.noise_density import NoisePosterior

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trial:
    """A restored picture, and what speaks for and against keeping it."""

    noise: str
    """The most probable noise with its severity, as `low_contrast 4`."""
    posterior: NoisePosterior
    """That it was restored under."""
    before: Tensor
    """(planes, H, W) in [0, 1]: the picture at its working size."""
    changes: Tensor
    """(members, planes, H, W): what each member would add; their mean is made."""
    planes: Tensor
    """(planes, H, W): the restored picture, as 8-bit pixels hold it."""
    statistics: Floats
    """(p,), of the restored picture."""
    harm: float
    """Predicted probability that the picture becomes worse."""
    most_harm: float
    """A restoration is kept where its probability of harm is below this."""
    share: float
    """Predicted share of the squared error that is removed; negative where some is added."""

    @property
    def kept(self) -> bool:
        """Whether the restoration is made."""
        return self.harm < self.most_harm and self.share > 0.0

    @property
    def disagreement(self) -> NDArray[np.float32]:
        """(H, W) standard deviation of the members' changes, in grey levels of 255: large where
        what is removed depends on the origins that a member was fitted on."""
        spread = self.changes.mean(dim=1).std(dim=0, correction=0)
        found: NDArray[np.float32] = (255.0 * spread).numpy()
        return found


def as_stored(planes: Tensor) -> Tensor:
    """As 8-bit pixels hold it: clipped to [0, 1] and rounded to one of 256 levels."""
    return torch.round(planes.clamp(0.0, 1.0) * 255.0) / 255.0


def make_trial(
    half: HalfParts,
    planes: Tensor,
    statistics: Floats,
    posterior: NoisePosterior,
    *,
    residual: bool = False,
) -> Trial:
    """Restore a picture under a posterior, and predict whether that is better.

    Args:
        half: the acquisition half.
        planes: (planes, H, W) in [0, 1].
        statistics: (p,), of `planes`.
        posterior: of `planes`.
        residual: the picture has been restored before: `posterior` is the residual classifier's.
    """
    classifier = half.residual_classifier if residual else half.classifier
    weights = calibration_weights(torch.from_numpy(posterior.probabilities)[None])
    found = half.restorer(planes[None], weights)
    restored = as_stored(planes + found.changes[0].mean(dim=0))
    after = picture_statistics(restored)
    vector = evidence(
        planes,
        found,
        posterior=posterior,
        classifier=classifier,
        novelty=half.novelty,
        before=statistics,
        after=after,
    )
    harm, share = half.benefit(vector[None])
    return Trial(
        noise=classifier.most_likely_noise(posterior.probabilities),
        posterior=posterior,
        before=planes,
        changes=found.changes[0],
        planes=restored,
        statistics=after,
        harm=float(harm[0]),
        most_harm=half.benefit.most_harm,
        share=float(share[0]),
    )
