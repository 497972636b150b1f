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
from vision.build.acquisition.landmark_fit import FEW_LANDMARKS, fit_landmarks
from vision.build.acquisition.passes import PIXELS, TONE_KINDS
from vision.build.acquisition.pixel_maps import MapMoments, pixel_features, solve_maps
from vision.build.acquisition.references import chosen_pixels
from vision.build.domain.draws import DomainDrawer
from vision.restore.landmarks import LandmarkRegression
from vision.restore.pixel_context import pixel_context
from vision.restore.thumbnails import additive_loss, log_gain, loss_in_cells, thumbnail_vectors

FOLDS = 3
"""Folds of the references."""
PAIRS = [(a, b) for a in range(FOLDS) for b in range(a, FOLDS)]
"""Members while fitting: without one fold (a, a), and without two."""
SINGLE = torch.tensor([PAIRS.index((fold, fold)) for fold in range(FOLDS)])
"""Indices of the members that are kept."""
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


def restored_kinds(drawer: DomainDrawer) -> list[str]:
    """The kinds that a domain's restorer knows: those with more than a few severities."""
    kinds = dict.fromkeys(kind for kind, _ in drawer.classes[1:])
    return [kind for kind in kinds if not drawer.coarse(kind)]


def fold_of(number: int) -> int:
    """The fold of a reference."""
    return number % FOLDS


def members_without(fold: int) -> Tensor:
    """Indices in `PAIRS` of the members that have not met a fold nor one other."""
    return torch.tensor([i for i, pair in enumerate(PAIRS) if fold in pair and pair[0] != pair[1]])


def fit_kind(drawer: DomainDrawer, kind: str) -> Tensors:
    """Prototypes and maps of one kind, with a member for each of `PAIRS`; arrays by name."""
    labels = [i for i, (name, _) in enumerate(drawer.classes) if name == kind]
    known = _prototypes(drawer, kind, labels)
    single = known.additive.of_members(SINGLE), known.gain.of_members(SINGLE)
    by_fold = [MapMoments.empty(len(labels), scales=1) for _ in range(FOLDS)]
    for row, label in enumerate(labels):
        for number in _some(drawer, MAPS_OF, label):
            _add_pixels(drawer, label, row, number, single, by_fold[fold_of(number)])
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
    rows: dict[str, list[Tensor]] = {"plain": [], "logarithmic": [], "lost": [], "gain": []}
    numbers = []
    many = kind in BY_PROTOTYPES
    for label in labels:
        for draw in range(PROTOTYPE_DRAWS if many else 1):
            for number in _some(drawer, PROTOTYPES_OF, 0):
                made = drawer.pair(label, number, draw)
                clean, noisy = made.grey_clean[None], made.grey[None]
                plain, logarithmic = thumbnail_vectors(noisy)
                rows["plain"].append(plain)
                rows["logarithmic"].append(logarithmic)
                rows["lost"].append(additive_loss(clean, noisy))
                rows["gain"].append(log_gain(clean, noisy))
                numbers.append(number)
    vectors = {name: torch.cat(parts) for name, parts in rows.items()}
    pictures = torch.tensor(numbers)
    folds = torch.tensor([fold_of(number) for number in numbers])
    additive, gain = (
        fit_landmarks(
            vectors[source],
            vectors[target],
            pictures,
            folds,
            PAIRS,
            drawer.seed,
            most=LANDMARKS if many else FEW_LANDMARKS,
        )
        for source, target in (("plain", "lost"), ("logarithmic", "gain"))
    )
    return Prototypes(additive, gain)


def _add_pixels(
    drawer: DomainDrawer,
    label: int,
    row: int,
    number: int,
    predictors: tuple[LandmarkRegression, LandmarkRegression],
    into: MapMoments,
) -> None:
    """Add pixels of one draw, with what prototypes of other folds predict."""
    draw = drawer.pair(label, number, 0)
    rng = np.random.default_rng([drawer.seed, 9, label, number])
    some = chosen_pixels(draw, PIXELS, rng)
    plane = int(rng.integers(len(draw.noisy)))
    noisy, grey = draw.noisy[plane][None], draw.grey[None]
    plain, logarithmic = thumbnail_vectors(grey)
    member = torch.tensor([fold_of(number)])
    lost = loss_in_cells(predictors[0](plain, member)[0])
    gain = predictors[1](logarithmic, member)[0]
    features = pixel_features(pixel_context(noisy, some), noisy, grey, some, lost, gain)
    wanted = (draw.clean[plane] - draw.noisy[plane]).flatten()[some]
    into.add(0, row, features, wanted)


def _some(drawer: DomainDrawer, most: int, label: int) -> list[int]:
    """Numbers of at most so many references, in an order of the class' own."""
    order = np.random.default_rng([drawer.seed, 10, label]).permutation(len(drawer.references))
    return [int(number) for number in order[:most]]


def _under(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{name}.{key}": tensor for key, tensor in tensors.items()}
