"""Trial restorations of draws of a domain's references that the restorer has not met.

They say what one restoration leaves, and how often it does harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition.half import DOMAIN_ALPHA, RESIDUAL_ALPHA
from vision.acquisition.parts import HalfParts
from vision.acquisition.restorer import EnsembleRestorer
from vision.acquisition.statistics import picture_statistics
from vision.build.acquisition.members import without_two
from vision.build.acquisition.passes import restored_once, trial_row
from vision.build.domain.draws import Classes, DomainDrawer
from vision.build.domain.restorer_fit import FOLDS, PAIRS, fold_of
from vision.perceive.noise_density import NoiseDensity

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
        nothing; and of m restorations `evidence`, `errors` (m, 2) and `folds` (m,).
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
    outcomes = _Outcomes()
    for noises, number in _drawn(drawer):
        draw = drawer.mixed(noises, number)
        now = picture_statistics(draw.noisy)
        posterior = classifier.predict(now[None])[0]
        corrected = ""
        if posterior.clean_p_value <= DOMAIN_ALPHA:
            fold = fold_of(number)
            row = trial_row(draw, draw.noisy, classifier, apart[fold], parts.novelty)
            outcomes.add(row, fold)
            now = row["after"]
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
            outcomes.add(trial_row(draw, once, residual, apart[fold], parts.novelty), fold)
    return {
        "scores": torch.from_numpy(scores),
        "labels": torch.tensor(labels),
        **outcomes.to_tensors(),
    }


@dataclass
class _Outcomes:
    """Of restorations, row by row."""

    rows: list[dict[str, Floats]] = field(default_factory=list)

    def add(self, row: Mapping[str, Floats], fold: int) -> None:
        kept = {name: row[name] for name in ("evidence", "errors")}
        self.rows.append({**kept, "folds": np.array(float(fold))})

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
