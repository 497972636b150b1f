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
from vision.acquisition.second_opinion import row_of, second_opinion
from vision.acquisition.statistics import picture_statistics
from vision.build.acquisition.members import without_two
from vision.build.acquisition.passes import restored_once, trial_row
from vision.build.acquisition.references import Draw
from vision.build.domain.draws import Classes, DomainDrawer
from vision.build.domain.restorer_fit import FOLDS, PAIRS, fold_of, restored_kinds
from vision.perceive.noise_density import NoiseDensity
from vision.perceive.pixel_classifier import PixelClassifier

Floats = NDArray[np.float64]

EACH = 32
"""Draws of every class; every second one gets a second noise, of another kind."""


def trial_restorations(
    parts: HalfParts, restorer: EnsembleRestorer, drawer: DomainDrawer
) -> dict[str, Tensor]:
    """Restore draws of every class once, and those that still look noisy once more.

    Of one noise that was corrected nothing is left; of two, the one that was not. One that was not
    found stands for what it would be beside another.

    Args:
        parts: the acquisition half's, its noise classified as the domain's is.
        restorer: of the domain, with a member for each of `restorer_fit.PAIRS`.
        drawer: of the references.

    Returns:
        `scores` (n, classes) after one restoration and `labels` (n,) of what is left, 0 for
        nothing; and of m restorations `evidence`, `errors` (m, 2), `folds` (m,), `opinions` of the
        acquisition half, and `found` (m,), `row_of` the kind that each was restored for.
    """
    apart = [
        parts.restorer.with_kinds(restorer.of_members(without_two(PAIRS, fold)))
        for fold in range(FOLDS)
    ]
    classifier = parts.classifier
    clean = [drawer.mixed((), number) for number in range(min(EACH, len(drawer.references)))]
    statistics = [picture_statistics(one.noisy) for one in clean]
    labels = [0] * len(clean)
    restored: list[tuple[tuple[int, ...], int]] = []
    after: list[Floats] = []
    outcomes = _Outcomes(parts, apart)
    for noises, number in _drawn(drawer):
        draw = drawer.mixed(noises, number)
        now = picture_statistics(draw.noisy)
        posterior = classifier.predict(now[None])[0]
        corrected = ""
        if posterior.clean_p_value <= DOMAIN_ALPHA:
            now = outcomes.add(draw, draw.noisy, classifier, fold_of(number))
            corrected = classifier.most_likely_noise(posterior.probabilities)
            restored.append((noises, number))
            after.append(now)
        left = _left(noises, corrected, drawer.classes)
        if left is not None:
            statistics.append(now)
            labels.append(left)
    scores = classifier.scorer(np.stack(statistics))
    residual = replace(
        classifier,
        density=NoiseDensity.fit(scores, np.array(labels, dtype=np.int64), len(drawer.classes)),
    )
    for (noises, number), now in zip(restored, after, strict=True):
        if residual.predict(now[None])[0].clean_p_value <= RESIDUAL_ALPHA:
            fold = fold_of(number)
            draw = drawer.mixed(noises, number)
            once = restored_once(draw.noisy, classifier, apart[fold])
            outcomes.add(draw, once, residual, fold)
    return {
        "scores": torch.from_numpy(scores),
        "labels": torch.tensor(labels),
        **outcomes.to_tensors(),
    }


@dataclass
class _Outcomes:
    """Of restorations, row by row."""

    parts: HalfParts
    """The acquisition half's."""
    apart: Sequence[EnsembleRestorer]
    """By fold: what has not met its references."""
    rows: list[dict[str, Floats]] = field(default_factory=list)

    def add(self, draw: Draw, planes: Tensor, classifier: PixelClassifier, fold: int) -> Floats:
        """Restore one draw; the statistics (p,) of the restored picture."""
        row = trial_row(draw, planes, classifier, self.apart[fold], self.parts.novelty)
        posterior = classifier.predict(row["before"][None])[0]
        kept = {name: row[name] for name in ("evidence", "errors")}
        kept["opinions"] = second_opinion(self.parts, planes, posterior, row["after"])
        noise = classifier.most_likely_noise(posterior.probabilities)
        found = row_of(noise.rpartition(" ")[0], restored_kinds(classifier.classes))
        numbers = {"folds": np.array(float(fold)), "found": np.array(float(found))}
        self.rows.append({**kept, **numbers})
        return row["after"]

    def to_tensors(self) -> dict[str, Tensor]:
        if not self.rows:
            return {"errors": torch.zeros(0, 2)}
        return {
            name: torch.from_numpy(np.stack([row[name] for row in self.rows]))
            for name in self.rows[0]
        }


def _drawn(drawer: DomainDrawer) -> Iterator[tuple[tuple[int, ...], int]]:
    """The noises of every draw, with the number of its reference."""
    for label in range(1, len(drawer.classes)):
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
