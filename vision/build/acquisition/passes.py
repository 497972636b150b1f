"""The passes over the references: what one reference gives, as plain arrays.

Each pass takes one reference, makes its draws anew from their seeds, and returns small arrays, so
that references can be shared out to processes and no picture is held. Three passes: statistics and
thumbnails; moments of the pixel maps; trial restorations, whose outcome is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vision.acquisition.evidence import Novelty, evidence
from vision.acquisition.restorer import EnsembleRestorer, Prototypes
from vision.acquisition.scales import scale_index
from vision.acquisition.statistics import picture_statistics
from vision.acquisition.trial import as_stored
from vision.build.acquisition.pixel_maps import MapMoments, SomePixels
from vision.build.acquisition.prototype_fit import thumbnail_rows
from vision.build.acquisition.references import TRIAL_SHARES, Draw, Drawer, Reference
from vision.calibrate.class_maps import calibration_weights
from vision.perceive.pixel_classifier import PixelClassifier
from vision.report import UNKNOWN
from vision.restore.stripes import remove_stripes

Classes = Sequence[tuple[str, int]]
Arrays = dict[str, NDArray[np.float64]]

STRIPED = "kspace_spike"
"""The kind of noise whose stripes are found without prototypes."""
TONE_KINDS = (
    "bias_field",
    "low_contrast",
    "gamma_up",
    "gamma_down",
    "contrast_up",
    "contrast_down",
    "brightness_up",
    "shading",
)
"""Kinds whose correction rests on prototypes: of each class a further draw of every reference."""
DRAWS = 28
"""Noisy draws of each reference."""
VIEWS = 8
"""Clean views of each reference."""
MAP_DRAWS = 10
"""Draws, the first ones, on which the pixel maps are fitted."""
PIXELS = 1024
"""Randomly chosen pixels of each of them."""
TRIALS = 7
"""Trial restorations of draws with one noise, for each reference."""
MIXED_TRIALS = 2
"""Trial restorations of draws with two noises."""
CLEAN_TRIALS = 2
"""Trial restorations of clean views."""


def compute_statistics(reference: Reference, classes: Classes, seed: int) -> Arrays:
    """Statistics of every draw and view, thumbnails of every draw and what they lost.

    Rows: `statistics` (n, p), `labels` (n,), and of the noisy ones alone `plain`, `logarithmic`,
    `drawn` (m,) labels, `lost`, `gain` (m, ...); `stripes` (k,): share of the error left where
    stripes were removed.
    """
    drawer = Drawer(reference, classes, seed)
    draws = [drawer.noisy(number) for number in range(DRAWS)]
    views = [drawer.view(number) for number in range(VIEWS)]
    every = [*draws, *views]
    tones = [label for label, (kind, _) in enumerate(classes, start=1) if kind in TONE_KINDS]
    of_tone = [drawer.of_class(label) for label in tones]
    rows = thumbnail_rows((*draws, *of_tone))
    stripes = [_stripes_left(draw) for draw in draws if classes[draw.labels[0] - 1][0] == STRIPED]
    return {
        "stripes": np.array([left for left in stripes if left is not None]),
        "statistics": np.stack([picture_statistics(draw.noisy) for draw in every]),
        "labels": np.array([draw.labels[0] for draw in every], dtype=np.float64),
        "drawn": np.array([draw.labels[0] for draw in (*draws, *of_tone)], dtype=np.float64),
        **{name: one.numpy() for name, one in rows.items()},
    }


def _stripes_left(draw: Draw) -> float | None:
    """Share of the squared error that the removal of stripes leaves; None where it finds none."""
    grey, wanted = draw.grey, draw.grey_clean
    clear = remove_stripes(grey)
    if clear is grey:
        return None
    errors = [float((some - wanted).square().mean()) for some in (clear, grey)]
    return errors[0] / max(errors[1], 1e-9)


Predictors = dict[str, Prototypes]
"""By kind, `unknown` included: regressions of loss and gain; members are the folds left out."""


def map_moments(
    reference: Reference, classes: Classes, seed: int, predictors: Predictors, into: MapMoments
) -> None:
    """Add one reference's pixels to the moments; its prototypes are those of other folds."""
    drawer = Drawer(reference, classes, seed)
    member = torch.tensor([reference.fold])
    for number in range(MAP_DRAWS):
        draw = drawer.noisy(number)
        label = draw.labels[0] - 1
        rng = np.random.default_rng([seed, 3, reference.number, number])
        pixels = SomePixels.of(draw, PIXELS, rng)
        scale = scale_index(min(draw.noisy.shape[1:]))
        for kind, row in ((classes[label][0], label), (UNKNOWN, len(classes))):
            into.add(scale, row, pixels.features(predictors[kind], member), pixels.wanted)


def first_trials(
    reference: Reference,
    classes: Classes,
    seed: int,
    classifier: PixelClassifier,
    restorer: EnsembleRestorer,
    novelty: Novelty,
    members: Tensor,
) -> Arrays:
    """Restore draws of the reference once, with fits that have not met its fold.

    Rows (n): `evidence`, `before` and `after` (statistics), `errors` (squared, in grey levels
    squared: left alone, restored), `labels` (n, 2) of the noises, 0 where there is none, and
    `first`: whether the first of two noises is the likelier by the posterior.
    """
    drawer = Drawer(reference, classes, seed)
    draws = [drawer.noisy(DRAWS + number, shares=TRIAL_SHARES) for number in range(TRIALS)]
    draws += _mixed(drawer)
    draws += [drawer.view(VIEWS + number, shares=TRIAL_SHARES) for number in range(CLEAN_TRIALS)]
    rows = [trial_row(draw, draw.noisy, classifier, restorer, novelty, members) for draw in draws]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def second_trials(
    reference: Reference,
    classes: Classes,
    seed: int,
    classifiers: tuple[PixelClassifier, PixelClassifier],
    restorer: EnsembleRestorer,
    novelty: Novelty,
    members: Tensor,
) -> Arrays:
    """Restore draws with two noises twice: rows of the second restoration, as `first_trials`.

    Args:
        reference: the reference.
        classes: noisy classes.
        seed: of the draws.
        classifiers: of noisy pictures, and of restored ones.
        restorer: its members.
        members: those that have not met the reference's fold.
    """
    drawer = Drawer(reference, classes, seed)
    rows = []
    for draw in _mixed(drawer):
        once = restored_once(draw.noisy, classifiers[0], restorer, members)
        rows.append(trial_row(draw, once, classifiers[1], restorer, novelty, members))
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _mixed(drawer: Drawer) -> list[Draw]:
    numbers = range(2 * DRAWS, 2 * DRAWS + MIXED_TRIALS)
    return [drawer.noisy(number, noises=2, shares=TRIAL_SHARES) for number in numbers]


def restored_once(
    planes: Tensor,
    classifier: PixelClassifier,
    restorer: EnsembleRestorer,
    members: Tensor | None = None,
) -> Tensor:
    """What one restoration makes of planes (planes, H, W); arguments as `trial_row` has them."""
    posterior = classifier.predict(picture_statistics(planes)[None])[0]
    weights = calibration_weights(torch.from_numpy(posterior.probabilities)[None])
    change = restorer(planes[None], weights, members).changes[0].mean(0)
    return as_stored(planes + change)


def trial_row(
    draw: Draw,
    planes: Tensor,
    classifier: PixelClassifier,
    restorer: EnsembleRestorer,
    novelty: Novelty,
    members: Tensor | None = None,
) -> Arrays:
    """Restore one draw under its posterior: evidence, statistics, and what came of it.

    Args:
        draw: with the clean picture and the noises.
        planes: (planes, H, W), its noisy picture, or what an earlier restoration made of it.
        classifier: of such pictures.
        restorer: its members.
        novelty: of statistics.
        members: those that have not met the reference; None: none has.
    """
    before = picture_statistics(planes)
    posterior = classifier.predict(before[None])[0]
    weights = calibration_weights(torch.from_numpy(posterior.probabilities)[None])
    found = restorer(planes[None], weights, members)
    restored = as_stored(planes + found.changes[0].mean(0))
    after = picture_statistics(restored)
    vector = evidence(
        planes,
        found,
        posterior=posterior,
        classifier=classifier,
        novelty=novelty,
        before=before,
        after=after,
    )
    errors = [float((some - draw.clean).square().mean()) * 255.0**2 for some in (planes, restored)]
    labels = (*draw.labels, 0)[:2]
    shares = [float(posterior.probabilities[label]) for label in labels]
    return {
        "evidence": vector,
        "before": before,
        "after": after,
        "errors": np.array(errors),
        "labels": np.array(labels, dtype=np.float64),
        "first": np.array(shares[0] >= shares[1], dtype=np.float64),
        "p_value": np.array(posterior.clean_p_value),
        "side": np.array(min(planes.shape[1:]), dtype=np.float64),
        "colour": np.array(len(planes) > 1, dtype=np.float64),
    }


__all__ = [
    "compute_statistics",
    "first_trials",
    "map_moments",
    "restored_once",
    "second_trials",
    "trial_row",
]
