"""What is seen, apart from how it was acquired: content statistics, and a test of them.

References are a source's own pictures. A picture's content is unlike theirs where it is unlike each
of their versions: clean, and with every core noise at two severities. A noise alone therefore does
not make a picture's content unlike; another part of the body, modality or picture format does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.spatial.distance import cdist

from imc_noise import CORE_IMAGE, Severity, apply_image, noise_rng
from vision.reading.medical_image import MedicalImage

Floats = NDArray[np.float64]

CONTENT_REFERENCES = 50
"""Pictures whose content is compared with: enough for p-values of .02, quick to corrupt."""

_SEVERITIES: tuple[Severity, ...] = (3, 5)
_SIDE = 112
"""Shorter side at which references are corrupted; larger pictures are reduced to it."""
_CELLS, _ORDERS = 8, 4
_GRID = 64
_FLOOR = 0.02
"""Under spreads of grey, and of a statistic over references: uniform pictures exist."""
_NEIGHBOURS = 3
_SIZE_WEIGHT = 0.5
"""Of the logarithm of a side to base 2 beside the other statistics, which are around 1."""


def content_statistics(rgb: NDArray[np.uint8]) -> Floats:
    """Statistics (22,) of an (H, W, 3) picture that contrast and brightness leave as they are.

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
        small = _reduced(image.rgb)
        noisy = [
            apply_image(kind, small, severity, noise_rng(image.sha256, kind, severity))
            for kind in CORE_IMAGE
            for severity in _SEVERITIES
        ]
        self._versions.append(
            [np.append(content_statistics(rgb), size) for rgb in (small, *noisy)]
        )
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
