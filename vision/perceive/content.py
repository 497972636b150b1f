"""What is seen, apart from how it was acquired: content statistics, and a test of them.

References are a source's own pictures. A picture's content is unlike theirs where it is unlike each
of their versions: clean, and with every core noise at two severities. A noise alone therefore does
not make a picture's content unlike; another part of the body, modality or picture format does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.spatial.distance import cdist
from torch import Tensor

from imc_noise import CORE_IMAGE, Severity, apply_image, noise_rng
from vision.reading.medical_image import MedicalImage

Floats = NDArray[np.float64]

CONTENT_REFERENCES = 50
"""Pictures whose content is compared with: enough for p-values of .02, quick to corrupt."""

STRANGERS = 0.1
"""Share of a domain's own pictures that may be taken for another's: their noise is then classified
against pictures of every origin, as another's is."""

_SEVERITIES: tuple[Severity, ...] = (3, 5)
_SIDE = 112
"""Shorter side at which references are corrupted; larger pictures are reduced to it."""
_CELLS, _ORDERS = 8, 4
_GRID = 64
SIZE = _ORDERS**2 - 1 + 4 + 3
"""Number of content statistics."""
_FLOOR = 0.02
"""Under spreads of grey, and of a statistic over references: uniform pictures exist."""
_NEIGHBOURS = 3
_SIZE_WEIGHT = 0.5
"""Of the logarithm of a side to base 2 beside the other statistics, which are around 1."""


def content_statistics(rgb: NDArray[np.uint8]) -> Floats:
    """Statistics (SIZE,) of an (H, W, 3) picture that contrast and brightness leave as they are.

    Low cosine orders of a standardised 8 x 8 thumbnail, mean and spread of both colour channels
    relative to the spread of grey, and the grey quartiles between the extreme values.
    """
    image = Image.fromarray(rgb).convert("YCbCr")
    cells = np.asarray(image.resize((_GRID, _GRID), Image.Resampling.BOX), dtype=np.float64) / 255.0
    grey, colour = cells[..., 0], cells[..., 1:] - 0.5
    block = _GRID // _CELLS
    thumbnail = grey.reshape(_CELLS, block, _CELLS, block).mean(axis=(1, 3))
    standard = (thumbnail - thumbnail.mean()) / (thumbnail.std() + _FLOOR)
    orders = dctn(standard, norm="ortho")[:_ORDERS, :_ORDERS].ravel()[1:] / _CELLS
    spread = grey.std() + _FLOOR
    low, first, middle, third, high = np.quantile(grey, (0.05, 0.25, 0.5, 0.75, 0.95))
    quartiles = np.array([low - middle, first - middle, third - middle]) / (high - low + _FLOOR)
    colours = [colour.mean(axis=(0, 1)) / spread, colour.std(axis=(0, 1)) / spread]
    return np.concatenate([orders, *colours, quartiles])


def content_versions(rgb: NDArray[np.uint8], name: str) -> Floats:
    """Content statistics (13, SIZE) of a clean picture, and with each core noise at two severities.

    Args:
        rgb: (H, W, 3), reduced to a shorter side of 112.
        name: seed of the noises.
    """
    small = _reduced(rgb)
    noisy = [
        apply_image(kind, small, severity, noise_rng(name, kind, severity))
        for kind in CORE_IMAGE
        for severity in _SEVERITIES
    ]
    return np.stack([content_statistics(version) for version in (small, *noisy)])


@dataclass(frozen=True)
class KnownContent:
    """Gaussians over the content of references: of the clean ones, and with each noise.

    Of each version mean and covariance alone: nobody's picture.
    """

    centres: Floats
    """(13, SIZE) means, of the versions of `content_versions`."""
    whiten: Floats
    """(13, SIZE, SIZE): deviations times this have unit covariance."""
    farthest: Floats
    """(13,) squared distance within which all but `STRANGERS` of left-out references lie."""

    @classmethod
    def of(cls, images: Sequence[MedicalImage]) -> KnownContent:
        """Of clean references; distances are those of one half from the other half's Gaussians."""
        versions = np.stack([content_versions(one.rgb, one.sha256) for one in images], axis=1)
        halves = versions[:, ::2], versions[:, 1::2]
        left_out = [
            _squared(other, *_gaussians(known)) for known, other in (halves, halves[::-1])
        ]
        farthest = np.quantile(np.concatenate(left_out, axis=1), 1.0 - STRANGERS, axis=1)
        return cls(*_gaussians(versions), np.asarray(farthest))

    def to_tensors(self) -> dict[str, Tensor]:
        """Every array by name."""
        return {
            name: torch.tensor(value, dtype=torch.float64) for name, value in vars(self).items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> KnownContent:
        """Rebuild; KeyError or ValueError where arrays are missing or do not fit."""
        found = {name: tensors[name].double().numpy() for name in ("centres", "whiten", "farthest")}
        versions = len(found["farthest"])
        shapes = [one.shape for one in found.values()]
        if shapes != [(versions, SIZE), (versions, SIZE, SIZE), (versions,)] or not versions:
            raise ValueError("the arrays of the references' content do not fit together")
        return cls(**found)

    def __contains__(self, image: MedicalImage) -> bool:
        """Whether a picture, clean or noisy, shows what the references show."""
        found = np.broadcast_to(content_statistics(image.rgb), (len(self.farthest), 1, SIZE))
        return bool((_squared(found, self.centres, self.whiten)[:, 0] <= self.farthest).any())


def _gaussians(versions: Floats) -> tuple[Floats, Floats]:
    """Means (v, SIZE) and whitening (v, SIZE, SIZE) of versions (v, n, SIZE)."""
    centres = versions.mean(axis=1)
    apart = versions - centres[:, None]
    covariances = np.swapaxes(apart, 1, 2) @ apart / versions.shape[1] + _FLOOR**2 * np.eye(SIZE)
    return centres, np.linalg.cholesky(np.linalg.inv(covariances))


def _squared(versions: Floats, centres: Floats, whiten: Floats) -> Floats:
    """Squared Mahalanobis distances (v, n) of versions (v, n, SIZE), each from its own Gaussian."""
    return np.asarray((((versions - centres[:, None]) @ whiten) ** 2).sum(axis=2))


class ContentReferences:
    """The content of a source's pictures, at most `size` of them; later ones are not kept."""

    def __init__(self, size: int = CONTENT_REFERENCES) -> None:
        self.size = size
        self.images = 0
        """How many were added."""
        self._versions: list[list[Floats]] = []
        """By picture: its statistics without noise, and with each noise."""
        self._fitted: list[tuple[Floats, Floats]] = []
        self._scale: Floats = np.ones(0)

    @property
    def is_complete(self) -> bool:
        """Whether `size` pictures were added; only then are there p-values."""
        return self.images >= self.size

    def add(self, image: MedicalImage) -> None:
        """Add a picture of the source; without effect once there are enough."""
        if self.is_complete:
            return
        size = _size(image)
        versions = content_versions(image.rgb, image.sha256)
        self._versions.append([np.append(version, size) for version in versions])
        self.images += 1
        if self.is_complete:
            self.complete()

    def complete(self) -> None:
        """Compare with the pictures that were added, however few; no others are added."""
        self.size = self.images
        versions = np.asarray(self._versions).swapaxes(0, 1)
        self._scale = versions[0].std(axis=0) + _FLOOR
        for version in versions / self._scale:
            distances = cdist(version, version)
            np.fill_diagonal(distances, np.inf)
            self._fitted.append((version, _nearness(distances)))
        self._versions.clear()

    def p_value(self, image: MedicalImage) -> float | None:
        """p-value of "the content is as the references'": the largest over their versions.

        The score is the mean distance to the three nearest references. None before there are
        enough references.
        """
        if not self.is_complete:
            return None
        found = np.append(content_statistics(_reduced(image.rgb)), _size(image)) / self._scale
        p_values = []
        for known, scores in self._fitted:
            at_least = np.count_nonzero(scores >= _nearness(cdist(found[None], known))[0])
            p_values.append((1 + at_least) / (1 + len(scores)))
        return float(max(p_values))


def _nearness(distances: Floats) -> Floats:
    """(n, references) -> (n,) mean distance to the nearest references."""
    return np.asarray(np.sort(distances, axis=1)[:, :_NEIGHBOURS].mean(axis=1))


def _size(image: MedicalImage) -> Floats:
    return _SIZE_WEIGHT * np.log2([image.width, image.height])


def _reduced(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    share = _SIDE / min(height, width)
    if share >= 1.0:
        return rgb
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX))
