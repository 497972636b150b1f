"""Perception replaced on purpose: told the truth, told the wrong kind, no gate, one class alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

from ablations.cells import Cell
from vision.bank.prototype_bank import PrototypeBank
from vision.perceive.noise_classifier import Floats, Perceived, Perceiver
from vision.report import CLEAN

Classes = Sequence[tuple[str, int]]
Change = Callable[[Perceived], Perceived]


@dataclass(frozen=True)
class Retold(Perceiver):
    """A perceiver whose every perception is changed before anyone reads it."""

    change: Change = field(default=lambda one: one, kw_only=True)

    def perceive(self, statistics: Mapping[str, Floats]) -> list[Perceived]:
        """As the perceiver does, then changed."""
        return [self.change(one) for one in super().perceive(statistics)]


def retold(perceiver: Perceiver, change: Change) -> Perceiver:
    """`perceiver` with `change` behind it."""
    own = {one.name: getattr(perceiver, one.name) for one in fields(Perceiver)}
    return Retold(**own, change=change)


def told_truth(bank: PrototypeBank, cell: Cell) -> PrototypeBank:
    """A bank that is told what was put on; what is left after a restoration it perceives itself."""
    truth = true_weights(bank.perceiver.classes, cell)
    p_value = 0.0 if cell.noises else 1.0
    change: Change = lambda one: replace(one, weights=truth, clean_p_value=p_value)  # noqa: E731
    return replace(bank, perceiver=retold(bank.perceiver, change))


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


def told_wrong(bank: PrototypeBank) -> PrototypeBank:
    """A bank that takes every kind for another, at the same severity, in every round."""
    return _both(bank, lambda one, order: replace(one, weights=one.weights[order]))


def never_gated(bank: PrototypeBank) -> PrototypeBank:
    """A bank that takes nothing for clean."""
    change: Change = lambda one: replace(one, clean_p_value=0.0)  # noqa: E731
    return replace(bank, perceiver=retold(bank.perceiver, change))


def hard(bank: PrototypeBank) -> PrototypeBank:
    """A bank that puts all weight on the likeliest noisy class, in every round."""

    def likeliest(one: Perceived, _: Sequence[int]) -> Perceived:
        weights = np.zeros_like(one.weights)
        weights[1 + int(np.argmax(one.weights[1:]))] = 1.0
        return replace(one, weights=weights)

    return _both(bank, likeliest)


def _both(
    bank: PrototypeBank, change: Callable[[Perceived, Sequence[int]], Perceived]
) -> PrototypeBank:
    order = deranged(bank.perceiver.classes)
    first: Change = lambda one: change(one, order)  # noqa: E731
    again = None if bank.again is None else retold(bank.again, first)
    return replace(bank, perceiver=retold(bank.perceiver, first), again=again)


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
