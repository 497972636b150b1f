"""Fits the pixel stage on clean references and noisy draws of them, in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.report import UNKNOWN
from vision.restore.landmarks import fit_landmarks
from vision.restore.pixel_context import pixel_context
from vision.restore.restorer import (
    PIXEL_FEATURES,
    PixelRestorer,
    Prototypes,
    prototype_features,
    restorer_classes,
)
from vision.restore.thumbnails import additive_loss, log_gain, thumbnail_vectors
from vision.restore.tone_curves import curve_covariates, tone_features

LANDMARKS = 512
"""Prototypes of each kind that a regression keeps."""
ROWS = 6144
"""Most draws that a regression is fitted on: bounds time and memory."""
PIXELS = 2048
"""Randomly chosen pixels of each draw that the linear maps are fitted on."""
MAP_IMAGES = 256
"""References that the linear map of one class, a few hundred weights, is fitted on."""
RIDGE = 1e-4
"""Ridge of the linear maps, relative to the mean square of each feature."""

FOLDS = 3
_BATCH = 16

NoisyPictures = Callable[[str, int, int, Sequence[int]], Sequence[Tensor]]
"""(kind, severity, draw, numbers) -> noisy draws of the references of those numbers, (H, W) in
[0, 1], each of its reference's size."""

_DrawKey = tuple[str, int, int]
_Predictions = dict[int, tuple[Tensor, Tensor]]
"""By reference: loss and gain coefficients predicted by prototypes of other references."""


class _Ridge:
    """Streaming ridge regression onto one output."""

    def __init__(self) -> None:
        self.gram = torch.zeros(PIXEL_FEATURES, PIXEL_FEATURES, dtype=torch.float64)
        self.cross = torch.zeros(PIXEL_FEATURES, dtype=torch.float64)

    def add(self, features: Tensor, wanted: Tensor) -> None:
        self.gram += (features.T @ features).double()
        self.cross += (features.T @ wanted).double()

    def solve(self) -> Tensor:
        power = self.gram.diagonal().clamp_min(1e-12)
        floor = 1e-8 * power.mean() * torch.ones_like(power)
        solved: Tensor = torch.linalg.solve(
            self.gram + torch.diag(RIDGE * power + floor), self.cross
        )
        return solved.float()


def fit_restorer(
    clean: Sequence[Tensor],
    noisy: NoisyPictures,
    classes: Sequence[tuple[str, int]],
    *,
    draws: int,
    seed: int,
    progress: Callable[[str], None] = lambda kind: None,
) -> tuple[PixelRestorer, list[PixelRestorer]]:
    """Fit the prototypes and maps of every kind, and those of all kinds together.

    Args:
        clean: the references, (H, W) in [0, 1].
        noisy: returns draws of them.
        classes: (kind, severity) of every noisy class.
        draws: draws of every class that the prototypes are taken from.
        seed: of the choice of landmarks and pixels.
        progress: called with every kind before its fit.

    Returns:
        The restorer, and for each fold of references (number modulo `FOLDS`) one whose prototypes
        are those of the other folds: it restores references of the fold out of sample.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in classes))
    fit = _Fit(list(clean), noisy, seed)
    progress(UNKNOWN)
    unknown, shared = fit.pooled(classes)
    maps: dict[tuple[str, int], Tensor] = {}
    prototypes: dict[str, list[Prototypes]] = {}
    for kind in kinds:
        progress(kind)
        severities = [severity for name, severity in classes if name == kind]
        prototypes[kind], ridges = fit.kind(kind, severities, draws, shared)
        maps.update({(kind, severity): ridge.solve() for severity, ridge in ridges.items()})
    prototypes[UNKNOWN] = unknown
    maps[UNKNOWN, 0] = shared.ridge.solve()
    order = restorer_classes(tuple(classes))
    stacked = torch.stack([maps[pair] for pair in order])
    whole, *folded = [
        PixelRestorer(order, stacked, {kind: known[i] for kind, known in prototypes.items()})
        for i in range(FOLDS + 1)
    ]
    return whole, folded


@dataclass
class _PooledFit:
    """The map of all classes together, accumulated while each class's own map is fitted."""

    numbers: dict[_DrawKey, list[int]]
    """By draw: numbers of the references, in the order in which maps are fitted on them."""
    predicted: dict[_DrawKey, _Predictions]
    """By draw: predictions of the prototypes of all kinds, for the first of those."""
    ridge: _Ridge = field(default_factory=_Ridge)


class _Fit:
    def __init__(self, clean: list[Tensor], noisy: NoisyPictures, seed: int) -> None:
        self.clean = clean
        self.noisy = noisy
        self.seed = seed
        self.draw = torch.Generator().manual_seed(seed)

    def kind(
        self, kind: str, severities: Sequence[int], draws: int, shared: _PooledFit
    ) -> tuple[list[Prototypes], dict[int, _Ridge]]:
        """Prototypes of one kind (of all folds, then without each), and its map by severity."""
        everyone = list(range(len(self.clean)))
        wanted = [(kind, severity, draw) for draw in range(draws) for severity in severities]
        known, predicted = self._prototypes({drawn: everyone for drawn in wanted})
        ridges = {
            severity: self._ridge((kind, severity, 0), predicted[kind, severity, 0], shared)
            for severity in severities
        }
        return known, ridges

    def pooled(self, classes: Sequence[tuple[str, int]]) -> tuple[list[Prototypes], _PooledFit]:
        """Prototypes of all kinds together, from an equal number of references in each class."""
        share = max(1, min(len(self.clean), ROWS // len(classes)))
        numbers = {(kind, severity, 0): self._shuffled() for kind, severity in classes}
        wanted = {drawn: some[:share] for drawn, some in numbers.items()}
        known, predicted = self._prototypes(wanted)
        return known, _PooledFit(numbers, predicted)

    def _shuffled(self) -> list[int]:
        return [int(i) for i in torch.randperm(len(self.clean), generator=self.draw)]

    def _prototypes(
        self, wanted: Mapping[_DrawKey, Sequence[int]]
    ) -> tuple[list[Prototypes], dict[_DrawKey, _Predictions]]:
        """Prototypes from draws of references, and their out-of-sample predictions by draw."""
        rows = [(drawn, number) for drawn, numbers in wanted.items() for number in numbers]
        found: list[tuple[Tensor, ...]] = [()] * len(rows)
        begun = 0
        for drawn, numbers in wanted.items():
            pictures = self.noisy(*drawn, numbers)
            for positions in _same_shape(pictures):
                noisy = torch.stack([pictures[i] for i in positions])
                clean = torch.stack([self.clean[numbers[i]] for i in positions])
                targets = (additive_loss(clean, noisy), log_gain(clean, noisy))
                batch = (*thumbnail_vectors(noisy), *targets)
                for place, i in enumerate(positions):
                    found[begun + i] = tuple(part[place] for part in batch)
            begun += len(numbers)
        plain, logarithmic, lost, gains = (torch.stack(part) for part in zip(*found, strict=True))
        folds = torch.tensor([number % FOLDS for _, number in rows])
        additive = fit_landmarks(plain, lost, folds, LANDMARKS, self.seed)
        gaining = fit_landmarks(logarithmic, gains, folds, LANDMARKS, self.seed)
        predicted_loss, predicted_gain = torch.zeros_like(lost), torch.zeros_like(gains)
        for fold in range(FOLDS):
            own = folds == fold
            predicted_loss[own] = additive[1][fold](plain[own])
            predicted_gain[own] = gaining[1][fold](logarithmic[own])
        predicted: dict[_DrawKey, _Predictions] = {drawn: {} for drawn in wanted}
        for row, (drawn, number) in enumerate(rows):
            predicted[drawn][number] = (predicted_loss[row], predicted_gain[row])
        known = [
            Prototypes(*pair)
            for pair in zip((additive[0], *additive[1]), (gaining[0], *gaining[1]), strict=True)
        ]
        return known, predicted

    def _ridge(self, drawn: _DrawKey, predicted: _Predictions, shared: _PooledFit) -> _Ridge:
        """Moments of one class's map, with the predictions of prototypes of *other* references.

        Half of the references also enter the shared map, with the predictions of all kinds.
        """
        ridge = _Ridge()
        every = shared.predicted[drawn]
        both = [number for number in shared.numbers[drawn] if number in every][: MAP_IMAGES // 2]
        seen = set(both)
        alone = [number for number in shared.numbers[drawn] if number not in seen]
        for numbers, also in ((both, True), (alone[: MAP_IMAGES - len(both)], False)):
            pictures = self.noisy(*drawn, numbers)
            for positions in _same_shape(pictures):
                noisy = torch.stack([pictures[i] for i in positions])
                clean = torch.stack([self.clean[numbers[i]] for i in positions])
                pixels = noisy.shape[1] * noisy.shape[2]
                some = torch.randperm(pixels, generator=self.draw)[:PIXELS]
                context = pixel_context(noisy, some)
                wanted = (clean - noisy).flatten(1)[:, some].reshape(-1)
                of = [numbers[i] for i in positions]
                ridge.add(_features(context, noisy, some, predicted, of), wanted)
                if also:
                    shared.ridge.add(_features(context, noisy, some, every, of), wanted)
        return ridge


def _features(
    context: Tensor, noisy: Tensor, some: Tensor, predicted: _Predictions, numbers: Sequence[int]
) -> Tensor:
    """phi of some pixels, (images * pixels, PIXEL_FEATURES).

    Args:
        context: (images, CHANNELS, pixels).
        noisy: (images, H, W).
        some: (pixels,) flat indices of pixels.
        predicted: by number of the reference.
        numbers: (images,) of the references.
    """
    lost = torch.stack([predicted[number][0] for number in numbers])
    gains = torch.stack([predicted[number][1] for number in numbers])
    from_prototypes = prototype_features(noisy, lost, gains).flatten(2)[:, :, some]
    chosen = noisy.flatten(1)[:, None, some]
    tones = tone_features(chosen, curve_covariates(noisy, lost, gains))[:, :, 0]
    return (
        torch.cat([context, from_prototypes, tones], dim=1)
        .transpose(1, 2)
        .reshape(-1, PIXEL_FEATURES)
    )


def _same_shape(pictures: Sequence[Tensor]) -> Iterator[list[int]]:
    """Positions of pictures of one shape, at most `_BATCH` at a time."""
    together: dict[tuple[int, ...], list[int]] = {}
    for position, picture in enumerate(pictures):
        together.setdefault(tuple(picture.shape), []).append(position)
    for positions in together.values():
        for start in range(0, len(positions), _BATCH):
            yield positions[start : start + _BATCH]
