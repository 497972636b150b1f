"""The domain of clean references: what they show, how noise stands out, what corrects it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vision.acquisition.benefit import BenefitPredictor
from vision.acquisition.parts import HalfParts
from vision.acquisition.restorer import EnsembleRestorer
from vision.acquisition.second_opinion import UsualOpinion
from vision.perceive.content import KnownContent
from vision.perceive.noise_density import NoiseDensity


@dataclass(frozen=True)
class OwnRestorer:
    """What corrects the noise of a domain's pictures, and says when it is to be trusted."""

    restorer: EnsembleRestorer
    """Fitted on draws of the references, for some kinds of noise: its members have each not met one
    fold of them."""
    benefit: BenefitPredictor
    """Fitted on trial restorations of draws of references that the members had not met."""
    usual: UsualOpinion
    """What the acquisition half holds of these trials."""


@dataclass(frozen=True)
class Domain:
    """Of the references of a model half; holds of a picture that shows what they show.

    Against clean pictures that are alike, noise stands out sooner, its kind is surer, and what it
    took away is better known. A picture of another domain is classified against every origin and
    restored by fits on every origin instead: here, what is natural of it would be taken for noise.
    """

    content: KnownContent
    noise: NoiseDensity
    """Of the acquisition half's class scores over versions of the references."""
    residual: NoiseDensity | None = None
    """The same over draws of them that were restored once, labelled by what is left; None: that is
    classified against every origin."""
    own: OwnRestorer | None = None
    """None: pictures are restored as those of every origin are."""

    def beside(self, half: HalfParts) -> HalfParts:
        """The parts of an acquisition half with those of the domain in their place."""
        found = replace(half, classifier=replace(half.classifier, density=self.noise))
        if self.residual is not None:
            residual = replace(half.classifier, density=self.residual)
            found = replace(found, residual_classifier=residual)
        if self.own is not None:
            restorer = half.restorer.with_kinds(self.own.restorer)
            found = replace(found, restorer=restorer, benefit=self.own.benefit)
        return found
