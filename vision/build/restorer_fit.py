"""Fitting the pixel stage on clean references and noisy draws of them: closed form, no labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vision.report import UNKNOWN
from vision.restore.landmarks import fit_landmarks
from vision.restore.pixel_context import pixel_context
from vision.restore.restorer import READ, PixelRestorer, Prototypes, recalled, unknown_last
from vision.restore.thumbnails import gain, loss, vectors
from vision.restore.tone_curves import drives, tone_context

LANDMARKS = 512
"""Prototypes of each kind that the regressions keep."""
ROWS = 6144
"""Most draws a regression of one kind is fitted on: bounds time and memory."""
PIXELS = 2048
"""Pixels of each draw that the linear maps are fitted on, drawn at random."""
MAP_IMAGES = 256
"""References that the linear map of one class is fitted on: a few hundred weights need no more."""
RIDGE = 1e-4
"""Ridge of the linear maps, relative to each channel's own power."""

FOLDS = 3
_BATCH = 16

Pictures = Callable[[str, int, int, Sequence[int]], Sequence[Tensor]]
"""(kind, severity, draw, numbers) -> the noisy references of those numbers, (H, W) in [0, 1], each
of its reference's size."""

_Drawn = tuple[str, int, int]
_Told = dict[int, tuple[Tensor, Tensor]]
"""Of each reference: the loss and the gain that prototypes of other references tell."""


class _Ridge:
    """Streaming least squares onto one output."""

    def __init__(self) -> None:
        self.gram = torch.zeros(READ, READ, dtype=torch.float64)
        self.cross = torch.zeros(READ, dtype=torch.float64)

    def add(self, read: Tensor, wanted: Tensor) -> None:
        self.gram += (read.T @ read).double()
        self.cross += (read.T @ wanted).double()

    def solve(self) -> Tensor:
        power = self.gram.diagonal().clamp_min(1e-12)
        floor = 1e-8 * power.mean() * torch.ones_like(power)
        solved: Tensor = torch.linalg.solve(
            self.gram + torch.diag(RIDGE * power + floor), self.cross
        )
        return solved.float()


def fit_restorer(
    clean: Sequence[Tensor],
    noisy: Pictures,
    classes: Sequence[tuple[str, int]],
    *,
    draws: int,
    seed: int,
    tell: Callable[[str], None] = lambda kind: None,
) -> tuple[PixelRestorer, list[PixelRestorer]]:
    """Fit every kind's prototypes and maps, and those pooled over all kinds.

    Returns the restorer, and for each fold of references (number modulo `FOLDS`) one whose
    prototypes are the other folds': what restored references look like when they are new.

    Args:
        clean: the references (H, W) in [0, 1].
        noisy: draws of them.
        classes: (kind, severity) of every noisy class.
        draws: draws of every class that the prototypes are taken from.
        seed: of the choice of landmarks and pixels.
        tell: is told of every kind begun.
    """
    kinds = list(dict.fromkeys(kind for kind, _ in classes))
    fit = _Fit(list(clean), noisy, seed)
    tell(UNKNOWN)
    unknown, shared = fit.pooled(classes)
    maps: dict[tuple[str, int], Tensor] = {}
    prototypes: dict[str, list[Prototypes]] = {}
    for kind in kinds:
        tell(kind)
        severities = [severity for name, severity in classes if name == kind]
        prototypes[kind], ridges = fit.kind(kind, severities, draws, shared)
        maps.update({(kind, severity): ridge.solve() for severity, ridge in ridges.items()})
    prototypes[UNKNOWN] = unknown
    maps[UNKNOWN, 0] = shared.ridge.solve()
    order = unknown_last(tuple(classes))
    stacked = torch.stack([maps[pair] for pair in order])
    whole, *folded = [
        PixelRestorer(order, stacked, {kind: known[i] for kind, known in prototypes.items()})
        for i in range(FOLDS + 1)
    ]
    return whole, folded


@dataclass
class _Shared:
    """The map that is fitted on every class together, while each class's own is fitted."""

    numbers: dict[_Drawn, list[int]]
    """By draw: the references in the order in which maps are fitted on them."""
    told: dict[_Drawn, _Told]
    """What prototypes of all kinds tell of the first of those."""
    ridge: _Ridge = field(default_factory=_Ridge)


class _Fit:
    def __init__(self, clean: list[Tensor], noisy: Pictures, seed: int) -> None:
        self.clean = clean
        self.noisy = noisy
        self.seed = seed
        self.draw = torch.Generator().manual_seed(seed)

    def kind(
        self, kind: str, severities: Sequence[int], draws: int, shared: _Shared
    ) -> tuple[list[Prototypes], dict[int, _Ridge]]:
        """Prototypes of one kind (all, then without each fold), and its map at each severity."""
        everyone = list(range(len(self.clean)))
        wanted = [(kind, severity, draw) for draw in range(draws) for severity in severities]
        known, told = self._prototypes({drawn: everyone for drawn in wanted})
        ridges = {
            severity: self._ridge((kind, severity, 0), told[kind, severity, 0], shared)
            for severity in severities
        }
        return known, ridges

    def pooled(self, classes: Sequence[tuple[str, int]]) -> tuple[list[Prototypes], _Shared]:
        """Prototypes over all kinds, on an equal share of the references in each class."""
        share = max(1, min(len(self.clean), ROWS // len(classes)))
        numbers = {(kind, severity, 0): self._shuffled() for kind, severity in classes}
        known, told = self._prototypes({drawn: some[:share] for drawn, some in numbers.items()})
        return known, _Shared(numbers, told)

    def _shuffled(self) -> list[int]:
        return [int(i) for i in torch.randperm(len(self.clean), generator=self.draw)]

    def _prototypes(
        self, wanted: Mapping[_Drawn, Sequence[int]]
    ) -> tuple[list[Prototypes], dict[_Drawn, _Told]]:
        """Prototypes from draws of references, and what others tell of each of those."""
        rows = [(drawn, number) for drawn, numbers in wanted.items() for number in numbers]
        found: list[tuple[Tensor, ...]] = [()] * len(rows)
        begun = 0
        for drawn, numbers in wanted.items():
            pictures = self.noisy(*drawn, numbers)
            for positions in _same_shape(pictures):
                corrupted = torch.stack([pictures[i] for i in positions])
                whole = torch.stack([self.clean[numbers[i]] for i in positions])
                read = (*vectors(corrupted), loss(whole, corrupted), gain(whole, corrupted))
                for place, i in enumerate(positions):
                    found[begun + i] = tuple(part[place] for part in read)
            begun += len(numbers)
        plain, logarithmic, lost, gains = (torch.stack(part) for part in zip(*found, strict=True))
        folds = torch.tensor([number % FOLDS for _, number in rows])
        additive = fit_landmarks(plain, lost, folds, LANDMARKS, self.seed)
        gaining = fit_landmarks(logarithmic, gains, folds, LANDMARKS, self.seed)
        told_lost, told_gain = torch.zeros_like(lost), torch.zeros_like(gains)
        for fold in range(FOLDS):
            own = folds == fold
            told_lost[own] = additive[1][fold](plain[own])
            told_gain[own] = gaining[1][fold](logarithmic[own])
        told: dict[_Drawn, _Told] = {drawn: {} for drawn in wanted}
        for row, (drawn, number) in enumerate(rows):
            told[drawn][number] = (told_lost[row], told_gain[row])
        known = [
            Prototypes(*pair)
            for pair in zip((additive[0], *additive[1]), (gaining[0], *gaining[1]), strict=True)
        ]
        return known, told

    def _ridge(self, drawn: _Drawn, told: _Told, shared: _Shared) -> _Ridge:
        """Moments of one class's map, on what prototypes of *other* references tell.

        Some of the same pixels, read with what prototypes of all kinds tell, go to the shared map.
        """
        ridge = _Ridge()
        every = shared.told[drawn]
        both = [number for number in shared.numbers[drawn] if number in every][: MAP_IMAGES // 2]
        seen = set(both)
        alone = [number for number in shared.numbers[drawn] if number not in seen]
        for numbers, also in ((both, True), (alone[: MAP_IMAGES - len(both)], False)):
            pictures = self.noisy(*drawn, numbers)
            for positions in _same_shape(pictures):
                corrupted = torch.stack([pictures[i] for i in positions])
                whole = torch.stack([self.clean[numbers[i]] for i in positions])
                pixels = corrupted.shape[1] * corrupted.shape[2]
                some = torch.randperm(pixels, generator=self.draw)[:PIXELS]
                context = pixel_context(corrupted, some)
                wanted = (whole - corrupted).flatten(1)[:, some].reshape(-1)
                of = [numbers[i] for i in positions]
                ridge.add(_read(context, corrupted, some, told, of), wanted)
                if also:
                    shared.ridge.add(_read(context, corrupted, some, every, of), wanted)
        return ridge


def _read(
    context: Tensor, corrupted: Tensor, some: Tensor, told: _Told, numbers: Sequence[int]
) -> Tensor:
    """(pixels of all pictures, READ): what a readout of pictures (images, H, W) sees of `some`
    pixels, with what prototypes told of the references of these `numbers`."""
    lost = torch.stack([told[number][0] for number in numbers])
    gains = torch.stack([told[number][1] for number in numbers])
    memory = recalled(corrupted, lost, gains).flatten(2)[:, :, some]
    chosen = corrupted.flatten(1)[:, None, some]
    tones = tone_context(chosen, drives(corrupted, lost, gains))[:, :, 0]
    return torch.cat([context, memory, tones], dim=1).transpose(1, 2).reshape(-1, READ)


def _same_shape(pictures: Sequence[Tensor]) -> Iterator[list[int]]:
    """Positions of pictures that stack, a batch at a time."""
    together: dict[tuple[int, ...], list[int]] = {}
    for position, picture in enumerate(pictures):
        together.setdefault(tuple(picture.shape), []).append(position)
    for positions in together.values():
        for start in range(0, len(positions), _BATCH):
            yield positions[start : start + _BATCH]
