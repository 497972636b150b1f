"""The result of the acquisition half on one picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vision.perceive.noise_density import NoisePosterior
from vision.reading.medical_image import MedicalImage
from vision.report import NoisePerception


@dataclass(frozen=True)
class Restoration:
    """A picture, restored or left as it was, and why."""

    image: MedicalImage
    """The restored picture; the same object as the input where nothing was changed."""
    perception: NoisePerception | None
    """The noise found in the input; None where the picture is too small to be examined."""
    rounds: list[str] = field(default_factory=list)
    """The noise corrected in each round, as `stripes` or `low_contrast 4`."""
    predicted_share: float | None = None
    """Share of the squared error that the rounds are predicted to remove; None where unchanged."""
    declined: str = ""
    """Why a correction was not made, or not continued; empty where none was declined."""
    doubted: bool = False
    """Whether it was declined because fits on other origins doubt what fits on a domain's own
    references would do."""
    posterior: NoisePosterior | None = field(default=None, repr=False)
    """Of the input."""
    scores: NDArray[np.float64] | None = field(default=None, repr=False)
    """(classes,) class scores of the input, for a second witness to be joined with."""

    @property
    def restored(self) -> bool:
        """Whether the picture was changed."""
        return bool(self.rounds)
