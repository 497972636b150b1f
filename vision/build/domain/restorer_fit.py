"""Fits the restorer of a domain: kind by kind, on draws of its references, in closed form.

Its members have each not met one fold of the references. Fits without two folds serve for trial
restorations of references that neither member of a pair has met.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vision.acquisition.restorer import EnsembleRestorer, Prototypes
from vision.build.acquisition.landmark_fit import FEW_LANDMARKS
from vision.build.acquisition.members import pairs_of, single
from vision.build.acquisition.passes import PIXELS, TONE_KINDS
from vision.build.acquisition.pixel_maps import MapMoments, SomePixels, solve_maps
from vision.build.acquisition.prototype_fit import fit_prototypes, thumbnail_rows
from vision.build.domain.draws import Classes, DomainDrawer, is_coarse

FOLDS = 3
"""Folds of the references."""
PAIRS = pairs_of(FOLDS)
PROTOTYPES_OF = 1024
"""Most references that the regressions on prototypes are fitted on."""
MAPS_OF = 256
"""Most references that one class' map, a few hundred weights, is fitted on."""
BY_PROTOTYPES = (*TONE_KINDS, "ghosting")
"""Kinds whose correction rests on prototypes: these have more landmarks, of more draws."""
LANDMARKS = 384
"""Most landmarks of each of those."""
PROTOTYPE_DRAWS = 2
"""Draws of every class of those; of another kind, one."""

Tensors = dict[str, Tensor]


def restored_kinds(classes: Classes) -> list[str]:
    """The kinds that a domain's restorer knows: those with more than a few severities."""
    kinds = dict.fromkeys(kind for kind, _ in classes[1:])
    return [kind for kind in kinds if not is_coarse(classes, kind)]


def fold_of(number: int) -> int:
    """The fold of a reference."""
    return number % FOLDS


def fit_kind(drawer: DomainDrawer, kind: str) -> Tensors:
    """Prototypes and maps of one kind, with a member for each of `PAIRS`; arrays by name."""
    labels = [i for i, (name, _) in enumerate(drawer.classes) if name == kind]
    known = _prototypes(drawer, kind, labels)
    predictors = known.of_members(single(PAIRS))
    by_fold = [MapMoments.empty(len(labels), scales=1) for _ in range(FOLDS)]
    for row, label in enumerate(labels):
        for number in _some(drawer, MAPS_OF, label):
            fold = fold_of(number)
            rng = np.random.default_rng([drawer.seed, 9, label, number])
            pixels = SomePixels.of(drawer.pair(label, number, 0), PIXELS, rng)
            features = pixels.features(predictors, torch.tensor([fold]))
            by_fold[fold].add(0, row, features, pixels.wanted)
    maps = torch.stack([solve_maps(by_fold, pair)[0, :-1] for pair in PAIRS])
    return {
        "maps": maps,
        **_under("additive", known.additive.to_tensors()),
        **_under("gain", known.gain.to_tensors()),
    }


def assembled(drawer: DomainDrawer, by_kind: Mapping[str, Tensors]) -> EnsembleRestorer:
    """The restorer of every kind, with a member for each of `PAIRS`."""
    classes = tuple(pair for kind in by_kind for pair in drawer.classes if pair[0] == kind)
    tensors = {"maps": torch.cat([found["maps"] for found in by_kind.values()], dim=1)[None]}
    for kind, found in by_kind.items():
        tensors |= {f"{kind}.{name}": one for name, one in found.items() if name != "maps"}
    return EnsembleRestorer.from_tensors(classes, tensors)


def _prototypes(drawer: DomainDrawer, kind: str, labels: Sequence[int]) -> Prototypes:
    many = kind in BY_PROTOTYPES
    drawn = [
        (label, number, draw)
        for label in labels
        for draw in range(PROTOTYPE_DRAWS if many else 1)
        for number in _some(drawer, PROTOTYPES_OF, 0)
    ]
    return fit_prototypes(
        thumbnail_rows(drawer.pair(*one) for one in drawn),
        torch.tensor([number for _, number, _ in drawn]),
        torch.tensor([fold_of(number) for _, number, _ in drawn]),
        PAIRS,
        drawer.seed,
        most=LANDMARKS if many else FEW_LANDMARKS,
    )


def _some(drawer: DomainDrawer, most: int, label: int) -> list[int]:
    """Numbers of at most so many references, in an order of the class' own."""
    order = np.random.default_rng([drawer.seed, 10, label]).permutation(len(drawer.references))
    return [int(number) for number in order[:most]]


def _under(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}
