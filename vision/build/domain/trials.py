"""Trial restorations of draws of a domain's references that the restorer has not met.

They say what one restoration leaves, and how often it does harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition.half import DOMAIN_ALPHA, RESIDUAL_ALPHA
from vision.acquisition.parts import HalfParts
from vision.acquisition.restorer import EnsembleRestorer
from vision.acquisition.second_opinion import disagreement, row_of, seems_left
from vision.acquisition.statistics import picture_statistics
from vision.build.acquisition.members import without_two
from vision.build.acquisition.passes import Arrays, restored_once, trial_row
from vision.build.acquisition.references import Draw
from vision.build.domain.draws import Classes, DomainDrawer
from vision.build.domain.restorer_fit import FOLDS, PAIRS, fold_of, restored_kinds
from vision.build.workers import Workers
from vision.perceive.noise_density import NoiseDensity
from vision.perceive.pixel_classifier import PixelClassifier

Floats = NDArray[np.float64]

EACH = 32
"""Draws of every class; every second one gets a second noise, of another kind."""


def trial_restorations(
    parts: HalfParts, restorer: EnsembleRestorer, drawer: DomainDrawer, workers: Workers
) -> dict[str, Tensor]:
    """Restore draws of every class once, and those that still look noisy once more.

    Of one noise that was corrected nothing is left; of two, the one that was not. One that was not
    found stands for what it would be beside another.

    Args:
        parts: the acquisition half's, its noise classified as the domain's is.
        restorer: of the domain, with a member for each of `restorer_fit.PAIRS`.
        drawer: of the references.
        workers: make the trials.

    Returns:
        `scores` (n, classes) after one restoration and `labels` (n,) of what is left, 0 for
        nothing; and of m restorations `evidence`, `errors` (m, 2), `folds` (m,), `opinions` of the
        acquisition half, `found` (m,), `row_of` the kind that each was restored for, `again` (m,),
        whether it had been restored before, and `alone` (m,), whether it had one noise.
    """
    apart = tuple(
        parts.restorer.with_kinds(restorer.of_members(without_two(PAIRS, fold)))
        for fold in range(FOLDS)
    )
    trials = _Trials(parts, apart, drawer, parts.classifier)
    clean = [drawer.mixed((), number) for number in range(min(EACH, len(drawer.references)))]
    statistics = [picture_statistics(one.noisy) for one in clean]
    labels = [0] * len(clean)
    rows: list[Arrays] = []
    again: list[list[tuple[Draws, Floats]]] = []
    for once in workers.results(_once, trials, range(1, len(drawer.classes))):
        statistics += once.statistics
        labels += once.labels
        rows += once.rows
        again.append(once.restored)
    classifier = parts.classifier
    scores = classifier.scorer(np.stack(statistics))
    density = NoiseDensity.fit(scores, np.array(labels, dtype=np.int64), len(drawer.classes))
    trials = replace(trials, residual=replace(classifier, density=density))
    for twice in workers.results(_twice, trials, again):
        rows += twice
    outcomes = {"errors": torch.zeros(0, 2)}
    if rows:
        stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        outcomes = {name: torch.from_numpy(array) for name, array in stacked.items()}
    return {"scores": torch.from_numpy(scores), "labels": torch.tensor(labels), **outcomes}


Draws = tuple[tuple[int, ...], int]
"""The noises of a draw, and the number of its reference."""


@dataclass(frozen=True)
class _Trials:
    """What every trial needs."""

    parts: HalfParts
    """The acquisition half's."""
    apart: tuple[EnsembleRestorer, ...]
    """By fold: what has not met its references."""
    drawer: DomainDrawer
    residual: PixelClassifier
    """Of restored pictures."""

    def row(self, draw: Draw, planes: Tensor, number: int, *, again: bool) -> Arrays:
        """Restore one draw: evidence, errors, opinion, and the statistics `after`."""
        fold, classifier = fold_of(number), self.residual if again else self.parts.classifier
        row = trial_row(draw, planes, classifier, self.apart[fold], self.parts.novelty)
        posterior = classifier.predict(row["before"][None])[0]
        noise = classifier.most_likely_noise(posterior.probabilities)
        found = row_of(noise.rpartition(" ")[0], restored_kinds(classifier.classes))
        return {
            **{name: row[name] for name in ("evidence", "errors", "after")},
            "opinions": np.array(
                [disagreement(self.parts, planes, posterior), seems_left(self.parts, row["after"])]
            ),
            "folds": np.array(float(fold)),
            "found": np.array(float(found)),
            "again": np.array(float(again)),
            "alone": np.array(float(len(draw.labels) == 1)),
        }


@dataclass
class _Once:
    """The draws of one class, restored once."""

    statistics: list[Floats] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    """What is left in each of these."""
    rows: list[Arrays] = field(default_factory=list)
    restored: list[tuple[Draws, Floats]] = field(default_factory=list)
    """With the statistics after it."""


def _once(trials: _Trials, label: int) -> _Once:
    found = _Once()
    classifier, drawer = trials.parts.classifier, trials.drawer
    for noises, number in _drawn(drawer, label):
        draw = drawer.mixed(noises, number)
        now = picture_statistics(draw.noisy)
        posterior = classifier.predict(now[None])[0]
        corrected = ""
        if posterior.clean_p_value <= DOMAIN_ALPHA:
            row = trials.row(draw, draw.noisy, number, again=False)
            now = row.pop("after")
            found.rows.append(row)
            found.restored.append(((noises, number), now))
            corrected = classifier.most_likely_noise(posterior.probabilities)
        left = _left(noises, corrected, drawer.classes)
        if left is not None:
            found.statistics.append(now)
            found.labels.append(left)
    return found


def _twice(trials: _Trials, restored: Sequence[tuple[Draws, Floats]]) -> list[Arrays]:
    """The second restoration of each, where the first left noise."""
    rows = []
    for (noises, number), now in restored:
        if trials.residual.predict(now[None])[0].clean_p_value <= RESIDUAL_ALPHA:
            draw = trials.drawer.mixed(noises, number)
            apart = trials.apart[fold_of(number)]
            once = restored_once(draw.noisy, trials.parts.classifier, apart)
            row = trials.row(draw, once, number, again=True)
            del row["after"]
            rows.append(row)
    return rows


def _drawn(drawer: DomainDrawer, label: int) -> Iterator[Draws]:
    """The draws of one class."""
    rng = np.random.default_rng([drawer.seed, 7, label])
    order = rng.permutation(len(drawer.references))[:EACH].tolist()
    for count, number in enumerate(order):
        other = _of_another_kind(label, drawer.classes, rng)
        yield ((label, other) if count % 2 and other else (label,)), number


def _of_another_kind(label: int, classes: Classes, rng: np.random.Generator) -> int:
    """Number of a class of another kind; 0: there is none."""
    others = [i for i, (kind, _) in enumerate(classes) if i and kind != classes[label][0]]
    return int(rng.choice(others)) if others else 0


def _left(noises: Sequence[int], corrected: str, classes: Classes) -> int | None:
    """The noise that is left, 0 for none; None where that is more than one, or not known.

    `corrected` is the noise that was, as `low_contrast 4`; empty: none was.
    """
    kind = corrected.rpartition(" ")[0]
    left = [one for one in noises if classes[one][0] != kind]
    if len(left) > 1 or (kind and len(left) == len(noises)):
        return None
    return left[0] if left else 0
