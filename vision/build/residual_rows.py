"""What one restoration leaves of a domain's noise: draws of its references, restored once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.build.acquisition_source import AcquisitionSource, Size
from vision.build.draws import noisy_draw
from vision.perceive.domain import Domain
from vision.reading.medical_image import MedicalImage

Classes = Sequence[tuple[str, int]]

EACH = 32
"""Draws of every class; every second one gets a second noise, of another kind."""


def residual_rows(
    acquisition: AcquisitionSource,
    domain: Domain,
    references: Sequence[MedicalImage],
    sizes: Sequence[Size],
    classes: Classes,
    *,
    side: int | None,
    seed: int,
) -> dict[str, Tensor]:
    """Class scores of draws of a domain's references that were restored once, and what is left.

    Of one noise that was corrected nothing is left; of two, the one that was not. One that was not
    corrected stands for what it would be beside another.

    Args:
        acquisition: restores the draws.
        domain: of the references, as far as it is known.
        references: clean.
        sizes: at which each is seen.
        classes: clean first.
        side: as `noisy_draw` takes it.
        seed: of the draws.

    Returns:
        `scores` (n, classes) and `labels` (n,), 0 for nothing.
    """
    scores: list[NDArray[np.float64]] = [
        acquisition.scores(references[:EACH], sizes[:EACH])
    ]
    labels = [0] * len(scores[0])
    for label in range(1, len(classes)):
        rng = np.random.default_rng([seed, 7, label])
        order = rng.permutation(len(references))[:EACH].tolist()
        drawn, added = [], []
        for number, position in enumerate(order):
            other = _of_another_kind(label, classes, rng)
            noises = [label, other] if number % 2 and other else [label]
            image = references[position]
            for one in noises:
                image = noisy_draw(image, *classes[one], draw=2, side=side, seed=seed)
            drawn.append(image)
            added.append(noises)
        at = [sizes[position] for position in order]
        restored = acquisition.restore_batch(drawn, at, max_rounds=1, domain=domain)
        left = [
            _left(noises, done.rounds, classes)
            for noises, done in zip(added, restored, strict=True)
        ]
        known = [i for i, one in enumerate(left) if one is not None]
        if known:
            images = [restored[i].image for i in known]
            scores.append(acquisition.scores(images, [at[i] for i in known]))
            labels += [one for one in left if one is not None]
    return {
        "scores": torch.from_numpy(np.concatenate(scores)),
        "labels": torch.tensor(labels),
    }


def _of_another_kind(label: int, classes: Classes, rng: np.random.Generator) -> int:
    """Number of a class of another kind; 0: there is none."""
    others = [i for i, (kind, _) in enumerate(classes) if i and kind != classes[label][0]]
    return int(rng.choice(others)) if others else 0


def _left(noises: Sequence[int], rounds: Sequence[str], classes: Classes) -> int | None:
    """The noise that is left, 0 for none; None where that is more than one, or not known."""
    corrected = {name.rsplit(" ", 1)[0] for name in rounds}
    left = [one for one in noises if classes[one][0] not in corrected]
    if len(left) > 1 or (corrected and len(left) == len(noises)):
        return None
    return left[0] if left else 0
