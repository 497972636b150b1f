"""The acquisition half and the model half, changed in one thing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ablations.cells import Cell
from vision.acquisition import AcquisitionHalf
from vision.acquisition.domain import Domain
from vision.acquisition.parts import HalfParts
from vision.acquisition.restorer import EnsembleRestorer, MemberChanges
from vision.bank.model_half import ModelHalf
from vision.perceive.encoder_witness import EncoderWitness
from vision.perceive.noise_density import NoisePosterior
from vision.perceive.pixel_classifier import PixelClassifier
from vision.report import CLEAN

Floats = NDArray[np.float64]
Classes = Sequence[tuple[str, int]]
Change = Callable[[NoisePosterior], NoisePosterior]


@dataclass(frozen=True)
class ChangedClassifier(PixelClassifier):
    """A classifier of pixels whose posteriors pass through a function."""

    change: Change = field(kw_only=True)

    def from_scores(self, scores: Floats) -> list[NoisePosterior]:
        """The classifier's posteriors, changed."""
        return [self.change(one) for one in super().from_scores(scores)]


@dataclass(frozen=True)
class ChangedDomain(Domain):
    """A domain whose parts beside the shipped acquisition half are changed in one thing."""

    shipped: AcquisitionHalf = field(kw_only=True, repr=False)
    change_parts: Callable[[HalfParts], HalfParts] = field(kw_only=True)

    def beside(self, half: HalfParts) -> HalfParts:
        """Changed parts, whatever was changed of the half."""
        return self.change_parts(super().beside(self.shipped))


@dataclass(frozen=True)
class ChangedWitness(EncoderWitness):
    """An encoder's witness whose posteriors pass through a function."""

    change: Change = field(kw_only=True)

    def predict(
        self, statistics: Mapping[str, Floats] | None, acquisition: Floats | None = None
    ) -> list[NoisePosterior]:
        """The witness' posteriors, changed."""
        return [self.change(one) for one in super().predict(statistics, acquisition)]


_REMEMBERED = 512
"""Changes that are held; one takes about a megabyte."""


@dataclass(frozen=True)
class RememberingRestorer(EnsembleRestorer):
    """Computes the changes of a picture under the same weights once: most variants restore most
    pictures alike."""

    known: dict[str, MemberChanges] = field(default_factory=dict, kw_only=True, repr=False)

    def __call__(
        self, planes: Tensor, weights: Tensor, members: Tensor | None = None
    ) -> MemberChanges:
        """Changes of pictures of one size."""
        key = "".join(
            f"{tuple(one.shape)} {sha256(one.contiguous().numpy().tobytes()).hexdigest()}"
            for one in (planes, weights, *(() if members is None else (members,)))
        )
        if key not in self.known:
            if len(self.known) >= _REMEMBERED:
                self.known.clear()
            self.known[key] = super().__call__(planes, weights, members)
        return self.known[key]


@dataclass(frozen=True)
class OneMember(EnsembleRestorer):
    """A restorer whose mean change is that of one member; the members differ by as much as before,
    so that the evidence on a restoration holds the same disagreement."""

    whole: EnsembleRestorer = field(kw_only=True, repr=False)
    member: int = field(kw_only=True)

    def __call__(
        self, planes: Tensor, weights: Tensor, members: Tensor | None = None
    ) -> MemberChanges:
        """Changes of pictures of one size, moved to have that member's as their mean."""
        found = self.whole(planes, weights, members)
        own = found.changes[:, self.member : self.member + 1]
        mean = found.changes.mean(dim=1, keepdim=True)
        return replace(found, changes=found.changes + own - mean)


@dataclass(frozen=True)
class Halves:
    """Both halves of one calibrator."""

    acquisition: AcquisitionHalf
    model: ModelHalf | None

    def remembering(self) -> Halves:
        """With a restorer that its variants share, which computes nothing twice."""
        restorer = RememberingRestorer(**vars(self.acquisition.restorer))
        return replace(self, acquisition=replace(self.acquisition, restorer=restorer))

    def changed(self, change: Callable[[HalfParts], HalfParts]) -> Halves:
        """With one thing changed in the acquisition half, and in what pictures of the model half's
        domain are restored by."""
        half, known = self.acquisition, self.model
        changed = cast("AcquisitionHalf", change(half))
        if known is None or known.domain is None:
            return Halves(changed, known)
        domain = ChangedDomain(**vars(known.domain), shipped=half, change_parts=change)
        return Halves(changed, replace(known, domain=domain))

    def with_posteriors(self, change: Change, *, residual: bool) -> Halves:
        """With posteriors of both witnesses changed; `residual`: those of later rounds too."""

        def classifier(plain: PixelClassifier) -> PixelClassifier:
            return ChangedClassifier(**vars(plain), change=change)

        def parts(half: HalfParts) -> HalfParts:
            again = half.residual_classifier
            return replace(
                half,
                classifier=classifier(half.classifier),
                residual_classifier=classifier(again) if residual else again,
            )

        found = self.changed(parts)
        if found.model is None:
            return found
        witness = ChangedWitness(**vars(found.model.witness), change=change)
        return replace(found, model=replace(found.model, witness=witness))

    def with_most_harm(self, times: float) -> Halves:
        """Restorations are kept up to so many times the estimated risk of harm."""
        return self.changed(
            lambda half: replace(
                half, benefit=replace(half.benefit, most_harm=times * half.benefit.most_harm)
            )
        )

    def with_member(self, member: int) -> Halves:
        """One member's restoration instead of the mean of all."""

        def parts(half: HalfParts) -> HalfParts:
            whole = half.restorer
            one = OneMember(whole.classes, whole.maps, whole.prototypes, whole=whole, member=member)
            return replace(half, restorer=one)

        return self.changed(parts)

    def never_gated(self) -> Halves:
        """No image counts as clean."""
        return self.with_posteriors(lambda one: replace(one, clean_p_value=0.0), residual=False)

    def true_classes(self, cell: Cell, *, gated: bool) -> Halves:
        """In the first round the class weights are those of the noise that was added.

        `gated`: the p-value stays as perceived; else noisy images are never missed and clean ones
        never restored.
        """
        weights = true_weights(self.acquisition.classes, cell)
        known = 0.0 if cell.noises else 1.0

        def change(one: NoisePosterior) -> NoisePosterior:
            p_value = one.clean_p_value if gated else known
            return replace(one, probabilities=weights, clean_p_value=p_value)

        return self.with_posteriors(change, residual=False)

    def wrong_kind(self) -> Halves:
        """In every round each kind's probability goes to another kind at the same severity."""
        order = deranged(self.acquisition.classes)
        return self.with_posteriors(
            lambda one: replace(one, probabilities=one.probabilities[order]), residual=True
        )


def true_weights(classes: Classes, cell: Cell) -> Floats:
    """(classes + 1,) equal shares for the noises of a cell; all on clean where there is none."""
    weights = np.zeros(len(classes) + 1)
    for noise in cell.noises or ((CLEAN, 0),):
        weights[list(classes).index(noise)] += 1.0 / max(len(cell.noises), 1)
    return weights


def deranged(classes: Classes) -> list[int]:
    """Index of the class whose weight each class, and last `unknown`, is given.

    Kinds known at the same severities change places, half their number on: gaussian, low_dose,
    motion with ghosting, bias_field, low_contrast, so that none is replaced by a similar one. Clean
    and unknown stay. Raises ValueError where a kind is alone with its severities.
    """
    levels: dict[str, tuple[int, ...]] = {}
    for kind, severity in classes:
        if kind != CLEAN:
            levels[kind] = (*levels.get(kind, ()), severity)
    source: dict[str, str] = {}
    for alike in dict.fromkeys(levels.values()):
        kinds = [kind for kind, known in levels.items() if known == alike]
        if len(kinds) < 2:
            raise ValueError(f"{kinds[0]} is known at severities of its own: nothing to swap with")
        step = math.ceil(len(kinds) / 2)
        source.update(zip(kinds[step:] + kinds[:step], kinds, strict=True))
    places = {pair: place for place, pair in enumerate(classes)}
    moved = [
        place if kind == CLEAN else places[source[kind], severity]
        for place, (kind, severity) in enumerate(classes)
    ]
    return [*moved, len(classes)]
