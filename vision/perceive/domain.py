"""The domain of clean references: what its pictures show, and how noise stands out from them."""

from __future__ import annotations

from dataclasses import dataclass

from vision.perceive.content import KnownContent
from vision.perceive.noise_density import NoiseDensity


@dataclass(frozen=True)
class Domain:
    """Of the references of a model half; holds of a picture that shows what they show.

    Against clean pictures that are alike, noise stands out sooner and its kind is surer. A picture
    of another domain is classified against every origin instead: this one's density would take what
    is natural of it for noise.
    """

    content: KnownContent
    noise: NoiseDensity
    """Of the acquisition half's class scores over versions of the references."""
    residual: NoiseDensity | None = None
    """The same over draws of them that were restored once, labelled by what is left; None: that is
    classified against every origin."""
