"""Posteriors changed on purpose: the truth given, kinds exchanged, no gate, one class alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from ablations.cells import Cell
from vision.bank.prototype_bank import PrototypeBank
from vision.perceive.noise_classifier import Floats, NoiseClassifier, NoisePosterior
from vision.report import CLEAN

Classes = Sequence[tuple[str, int]]
Change = Callable[[NoisePosterior], NoisePosterior]


@dataclass(frozen=True)
class ChangedClassifier(NoiseClassifier):
    """A noise classifier whose posteriors are changed by a function before they are used."""

    change: Change = field(default=lambda one: one, kw_only=True)

    def predict(self, statistics: Mapping[str, Floats]) -> list[NoisePosterior]:
        """The classifier's posteriors, changed."""
        return [self.change(one) for one in super().predict(statistics)]


def changed(classifier: NoiseClassifier, change: Change) -> NoiseClassifier:
    """`classifier` with `change` applied to every posterior."""
    own = {one.name: getattr(classifier, one.name) for one in fields(NoiseClassifier)}
    return ChangedClassifier(**own, change=change)


def truth_given(bank: PrototypeBank, cell: Cell) -> PrototypeBank:
    """A bank whose first posterior is the noise that was added; later ones it perceives."""
    truth = true_weights(bank.noise_classifier.classes, cell)
    p_value = 0.0 if cell.noises else 1.0
    change: Change = lambda one: replace(  # noqa: E731
        one, probabilities=truth, clean_p_value=p_value
    )
    return replace(bank, noise_classifier=changed(bank.noise_classifier, change))


def true_weights(classes: Classes, cell: Cell) -> Floats:
    """(classes + 1,) equal shares for the noises of a cell; a severity between two that are known
    is shared by them."""
    weights = np.zeros(len(classes) + 1)
    if not cell.noises:
        weights[0] = 1.0
    for kind, severity in cell.noises:
        known = sorted(level for name, level in classes if name == kind)
        below = max((level for level in known if level <= severity), default=known[0])
        above = min((level for level in known if level >= severity), default=known[-1])
        share = 0.0 if above == below else (severity - below) / (above - below)
        for level, part in ((below, 1.0 - share), (above, share)):
            weights[list(classes).index((kind, level))] += part / len(cell.noises)
    return weights


def kinds_exchanged(bank: PrototypeBank) -> PrototypeBank:
    """A bank that takes every kind for another, at the same severity, in every round."""
    return _both(bank, lambda one, order: _reordered(one, order))


def never_gated(bank: PrototypeBank) -> PrototypeBank:
    """A bank that takes nothing for clean."""
    change: Change = lambda one: replace(one, clean_p_value=0.0)  # noqa: E731
    return replace(bank, noise_classifier=changed(bank.noise_classifier, change))


def hard(bank: PrototypeBank) -> PrototypeBank:
    """A bank that puts all weight on the likeliest noisy class, in every round."""

    def likeliest(one: NoisePosterior, _: Sequence[int]) -> NoisePosterior:
        certain = np.zeros_like(one.probabilities)
        certain[1 + int(np.argmax(one.probabilities[1:]))] = 1.0
        return replace(one, probabilities=certain)

    return _both(bank, likeliest)


def _both(
    bank: PrototypeBank, change: Callable[[NoisePosterior, Sequence[int]], NoisePosterior]
) -> PrototypeBank:
    order = deranged(bank.noise_classifier.classes)
    first: Change = lambda one: change(one, order)  # noqa: E731
    residual = bank.residual_classifier
    return replace(
        bank,
        noise_classifier=changed(bank.noise_classifier, first),
        residual_classifier=None if residual is None else changed(residual, first),
    )


def _reordered(one: NoisePosterior, order: Sequence[int]) -> NoisePosterior:
    return replace(one, probabilities=one.probabilities[order])


def deranged(classes: Classes) -> list[int]:
    """Where the weight of each class, and of unknown, comes from: every kind's from another kind.

    Kinds known at the same severities change places, half their number on: gaussian, low_dose,
    motion become ghosting, bias_field, low_contrast, so that none is taken for its like. Clean and
    unknown stay.
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
