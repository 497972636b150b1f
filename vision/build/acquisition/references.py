"""The clean references by origin, their folds, and the reproducible draws of noise on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imc_noise import CORE_IMAGE
from vision.acquisition.scales import SCALES, planes_of
from vision.build.wider_draws import wider_draw
from vision.errors import BankRefused
from vision.reading import read_image
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import at_size, resize_rgb

FOLDS = 6
"""Origins are dealt to this many folds; every choice is judged on folds that were left out."""
MORE_KINDS = (
    "speckle",
    "shot",
    "rician",
    "impulse",
    "gamma_up",
    "gamma_down",
    "contrast_up",
    "contrast_down",
    "brightness_up",
    "kspace_spike",
    "defocus",
    "motion_blur",
    "zoom",
    "pixelate",
    "jpeg",
    "gibbs",
    "undersampling",
    "shading",
)
"""Kinds beside the core six, each at two severities: noises that the core six do not cover and that
would otherwise be classified as one of these and corrected wrongly. `brightness_down` is covered:
it is `low_contrast` without fog."""
GRID = (1, 2, 3, 4, 5, 6)
"""Severities of the core kinds' classes; 6 is noise on top of noise."""
COARSE = (2, 4)
"""Severities of the others' classes."""

SCALE_SHARES = (0.55, 0.18, 0.2, 0.05, 0.02)
"""Shares of the draws by working scale: large ones cost most, and their maps lean on others'."""
TRIAL_SHARES = (0.6, 0.2, 0.16, 0.03, 0.01)
"""The same of trial restorations, which cost ten times as much at 672 pixels as at 112."""
_JITTER = 1.15
"""A draw's shorter side is within this factor of its scale; that of half of the draws is it."""
_SQUARE = 0.5
"""Share of the draws squeezed into a square, as fixed-size towers see them."""
_AT_SIZE = 0.7
"""Share of the draws to which noise is added at the working size; to the others at up to `_FINER`
times that, so that resizing has smoothed it."""
_FINER = 1.5
_LARGEST = SCALES[-1] * _JITTER * _FINER
"""Shorter side in pixels to which a reference is reduced."""
_ENLARGED = 1.2
"""A draw enlarges its picture by at most this factor."""
_MORE_WEIGHT = 0.6
"""How often a class of the other kinds is drawn, against one of the core six."""


def noise_classes(
    core: Sequence[str] = CORE_IMAGE, more: Sequence[str] = MORE_KINDS
) -> tuple[tuple[str, int], ...]:
    """(kind, severity) of every noisy class."""
    further = [kind for kind in more if kind not in core]
    grid = [(kind, severity) for kind in core for severity in GRID]
    return (*grid, *((kind, severity) for kind in further for severity in COARSE))


@dataclass(frozen=True)
class Reference:
    """One clean image."""

    number: int
    file: Path
    origin: str
    fold: int

    def load(self) -> MedicalImage:
        """Read and check the file."""
        return read_image(self.file)


@dataclass(frozen=True)
class OriginReferences:
    """Clean references of several origins, dealt to folds."""

    references: tuple[Reference, ...]

    @classmethod
    def of(cls, origins: Mapping[str, Sequence[Path]]) -> OriginReferences:
        """Deal origins to folds, the largest first, each to the fold with the fewest images.

        Raises BankRefused for fewer origins than folds.
        """
        if len(origins) < FOLDS:
            raise BankRefused(
                f"the acquisition half is fitted on at least {FOLDS} origins, each left out of one "
                f"fit, got {len(origins)}: add clean images of other sources"
            )
        sizes = [0] * FOLDS
        fold_of: dict[str, int] = {}
        for origin in sorted(origins, key=lambda name: (-len(origins[name]), name)):
            fold_of[origin] = sizes.index(min(sizes))
            sizes[fold_of[origin]] += len(origins[origin])
        listed = [(origin, file) for origin in sorted(origins) for file in origins[origin]]
        return cls(
            tuple(
                Reference(number, file, origin, fold_of[origin])
                for number, (origin, file) in enumerate(listed)
            )
        )

    def fold_of(self, origin: str) -> int:
        """The fold that holds an origin. KeyError where there is none of that name."""
        folds = {reference.origin: reference.fold for reference in self.references}
        return folds[origin]


@dataclass(frozen=True)
class Draw:
    """One version of a reference at a working size."""

    labels: tuple[int, ...]
    """Class numbers of the noises, in the order in which they were added; (0,) for clean."""
    clean: Tensor
    """(planes, H, W) in [0, 1]."""
    noisy: Tensor
    """(planes, H, W) in [0, 1]; the same for clean."""

    @property
    def grey_clean(self) -> Tensor:
        """(H, W)."""
        return self.clean.mean(0)

    @property
    def grey(self) -> Tensor:
        """(H, W)."""
        return self.noisy.mean(0)


class Drawer:
    """Draws noisy versions and clean views of one reference; every draw has a seed of its own."""

    def __init__(
        self, reference: Reference, classes: Sequence[tuple[str, int]], seed: int
    ) -> None:
        self.reference = reference
        loaded = reference.load()
        # read once and reduced once: no draw is larger than this
        shorter = min(1.0, _LARGEST / min(loaded.height, loaded.width))
        size = (round(loaded.height * shorter), round(loaded.width * shorter))
        self.image = at_size(loaded, size)
        self.classes = tuple(classes)
        self.seed = seed
        core = np.array([len({s for k, s in classes if k == kind}) > 2 for kind, _ in classes])
        weights = np.where(core, 1.0, _MORE_WEIGHT)
        self._weights = weights / weights.sum()

    def noisy(
        self, number: int, noises: int = 1, shares: Sequence[float] = SCALE_SHARES
    ) -> Draw:
        """Draw `number`: `noises` of different kinds, one after another, at a working size."""
        rng = np.random.default_rng([self.seed, 1, self.reference.number, number, noises])
        size = self._size(rng, self.image, shares)
        labels = [int(rng.choice(len(self.classes), p=self._weights))]
        while len(labels) < noises:
            other = int(rng.choice(len(self.classes), p=self._weights))
            if self.classes[other][0] not in {self.classes[label][0] for label in labels}:
                labels.append(other)
        finer = 1.0 if rng.random() < _AT_SIZE else float(rng.uniform(1.0, _FINER))
        at = (round(size[0] * finer), round(size[1] * finer))
        rgb = np.array(resize_rgb(self.image.rgb, at))
        for label in labels:
            kind, severity = self.classes[label]
            rgb = wider_draw(rgb, kind, self._strength(label, severity, rng), rng)
        noisy = planes_of(MedicalImage.from_rgb(rgb, "ARRAY"), size)
        clean = planes_of(self.image, size)
        planes = max(len(clean), len(noisy))
        return Draw(
            tuple(label + 1 for label in labels),
            clean.expand(planes, -1, -1),
            noisy.expand(planes, -1, -1),
        )

    def of_class(self, label: int) -> Draw:
        """One draw of a class at the smallest working scale, squeezed into a square."""
        rng = np.random.default_rng([self.seed, 4, self.reference.number, label])
        size = (SCALES[0], SCALES[0])
        kind, severity = self.classes[label - 1]
        rgb = np.array(resize_rgb(self.image.rgb, size))
        rgb = wider_draw(rgb, kind, self._strength(label - 1, severity, rng), rng)
        noisy = planes_of(MedicalImage.from_rgb(rgb, "ARRAY"), size)
        clean = planes_of(self.image, size)
        planes = max(len(clean), len(noisy))
        expanded = clean.expand(planes, -1, -1), noisy.expand(planes, -1, -1)
        return Draw((label,), *expanded)

    def view(self, number: int, shares: Sequence[float] = SCALE_SHARES) -> Draw:
        """Clean view `number`: 0 and 1 the whole picture, others turned and cropped."""
        rng = np.random.default_rng([self.seed, 2, self.reference.number, number])
        rgb = self.image.rgb
        if number > 1:
            rgb = np.rot90(rgb, int(rng.integers(4)))
            rgb = rgb[:, ::-1] if rng.integers(2) else rgb
            height, width = rgb.shape[:2]
            keep = float(rng.uniform(0.65, 1.0))
            rows, columns = max(round(height * keep), 8), max(round(width * keep), 8)
            top = int(rng.integers(height - rows + 1))
            left = int(rng.integers(width - columns + 1))
            rgb = rgb[top : top + rows, left : left + columns]
        image = MedicalImage.from_rgb(np.ascontiguousarray(rgb), "ARRAY")
        planes = planes_of(image, self._size(rng, image, shares))
        return Draw((0,), planes, planes)

    def _size(
        self, rng: np.random.Generator, image: MedicalImage, shares: Sequence[float]
    ) -> tuple[int, int]:
        """A working size: squeezed into a square, or with the picture's own aspect."""
        short = min(image.height, image.width)
        # an enlarged picture is smooth as no scan is
        fitting = np.array([scale <= max(_ENLARGED * short, SCALES[0]) for scale in SCALES])
        weights = np.array(shares) * fitting
        scale = SCALES[int(rng.choice(len(SCALES), p=weights / weights.sum()))]
        jitter = _JITTER ** float(rng.uniform(-1.0, 1.0)) if rng.random() < 0.5 else 1.0
        side = scale * jitter
        if rng.random() < _SQUARE:
            return round(side), round(side)
        # very long pictures are cut short: they cost and add nothing new
        height = min(round(image.height * side / short), round(2 * side))
        width = min(round(image.width * side / short), round(2 * side))
        return height, width

    def _strength(self, label: int, severity: int, rng: np.random.Generator) -> float:
        kind = self.classes[label][0]
        if sum(name == kind for name, _ in self.classes) <= len(COARSE):
            return float(np.clip(severity + rng.uniform(-1.0, 1.2), 1.0, 5.5))
        return float(np.clip(severity + rng.uniform(-0.5, 0.5), 1.0, 6.0))


def chosen_pixels(draw: Draw, count: int, rng: np.random.Generator) -> Tensor:
    """Flat indices of `count` pixels, or of all where there are fewer."""
    pixels = draw.clean.shape[1] * draw.clean.shape[2]
    return torch.from_numpy(rng.permutation(pixels)[:count].astype(np.int64))
