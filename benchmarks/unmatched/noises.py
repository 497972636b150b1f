"""Noise that PDC was not fitted on: other makers, strengths off the grid, other kinds, pairs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from scipy import ndimage
from skimage.exposure import adjust_gamma, adjust_sigmoid, equalize_hist
from skimage.filters import unsharp_mask
from skimage.util import random_noise

from imc_noise import apply_image, noise_rng

Pixels = NDArray[np.uint8]
Corruption = Callable[[Pixels, int], Pixels]
"""(pixels (H, W, 3), number of the image) -> corrupted."""
Floats = NDArray[np.float64]

MAKER, STRENGTH, KIND, TWO = "implementation", "strength", "kind", "two at once"
FITTED = "nothing: a further kind"
"""What is new to the fits in a condition; `FITTED`: kind and severity are among their classes."""


@dataclass(frozen=True)
class UnmatchedNoise:
    """One row."""

    name: str
    new: str
    corrupt: Corruption
    first: bool
    """Whether the first table had it: the mean over those 25 has an aim."""


def conditions(said: Callable[[str], None]) -> Iterator[UnmatchedNoise]:
    """Every condition; makers that are not installed are `said` to be left out."""
    parts = (
        (_conditions(), True),
        (_monai(said), True),
        (_also(), False),
        (_torchio(said), False),
    )
    for rows, first in parts:
        for (name, new), corrupt in rows.items():
            yield UnmatchedNoise(name, new, corrupt, first)


def _own(*noises: tuple[str, float]) -> Corruption:
    def corrupt(picture: Pixels, number: int) -> Pixels:
        for kind, severity in noises:
            rng = noise_rng(f"unmatched {number}", kind, severity)
            picture = apply_image(kind, picture, severity, rng)
        return picture

    return corrupt


def _grey(change: Callable[[Floats, int], Floats]) -> Corruption:
    """On brightness in [0, 1], the same on every plane."""

    def corrupt(picture: Pixels, number: int) -> Pixels:
        changed = change(picture.mean(axis=2) / 255.0, number)
        grey = np.clip(np.rint(255.0 * changed), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)

    return corrupt


def _scikit(mode: str, **options: float) -> Corruption:
    return _grey(lambda grey, number: random_noise(grey, mode=mode, rng=number, **options))


def _pixelated(grey: Floats) -> Floats:
    height, width = grey.shape
    whole = np.pad(grey, ((0, -height % 4), (0, -width % 4)), mode="edge")
    cells = whole.reshape(-(-height // 4), 4, -(-width // 4), 4).mean(axis=(1, 3))
    return np.asarray(np.kron(cells, np.ones((4, 4)))[:height, :width], dtype=np.float64)


Named = tuple[str, str]


def _conditions() -> dict[Named, Corruption]:
    return {
        ("gaussian .12 (scikit-image)", MAKER): _scikit("gaussian", var=0.12**2),
        ("gaussian .18 (scikit-image)", MAKER): _scikit("gaussian", var=0.18**2),
        ("Poisson, 25 a pixel (numpy)", MAKER): _grey(
            lambda grey, number: np.random.default_rng(number).poisson(25.0 * grey) / 25.0
        ),
        ("speckle .5 (scikit-image)", MAKER): _scikit("speckle", var=0.25),
        ("salt and pepper 5 % (scikit-image)", MAKER): _scikit("s&p", amount=0.05),
        ("gamma 1.6 and contrast .45 (scikit-image)", MAKER): _grey(
            lambda grey, number: 0.45 * adjust_gamma(grey, 1.6) + 0.1
        ),
        ("gaussian blur 1.8 (scipy)", MAKER): _grey(
            lambda grey, number: ndimage.gaussian_filter(grey, 1.8)
        ),
        ("pixelation 4", MAKER): _grey(lambda grey, number: _pixelated(grey)),
        ("low_contrast 2.5", STRENGTH): _own(("low_contrast", 2.5)),
        ("bias_field 3.5", STRENGTH): _own(("bias_field", 3.5)),
        ("ghosting 4.5", STRENGTH): _own(("ghosting", 4.5)),
        ("horizontal blur 9 (scipy)", MAKER): _grey(
            lambda grey, number: ndimage.uniform_filter1d(grey, 9, axis=1, mode="constant")
        ),
        ("zoom 4", FITTED): _own(("zoom", 4)),
        ("jpeg 5", STRENGTH): _own(("jpeg", 5)),
        ("undersampling 4", FITTED): _own(("undersampling", 4)),
        ("low_contrast 3 then gaussian 4", TWO): _own(("low_contrast", 3), ("gaussian", 4)),
        ("gaussian 3 then bias_field 4", TWO): _own(("gaussian", 3), ("bias_field", 4)),
        ("low_contrast 4 then motion 3", TWO): _own(("low_contrast", 4), ("motion", 3)),
        ("bias_field 3 then ghosting 3", TWO): _own(("bias_field", 3), ("ghosting", 3)),
        ("ghosting 3 then low_contrast 3", TWO): _own(("ghosting", 3), ("low_contrast", 3)),
    }


def _also() -> dict[Named, Corruption]:
    def pillow(change: Callable[[Image.Image], Image.Image]) -> Corruption:
        return lambda picture, number: np.asarray(change(Image.fromarray(picture)).convert("RGB"))

    return {
        ("contrast .4 (Pillow)", MAKER): pillow(lambda i: ImageEnhance.Contrast(i).enhance(0.4)),
        ("brightness .35 (Pillow)", MAKER): pillow(
            lambda i: ImageEnhance.Brightness(i).enhance(0.35)
        ),
        ("brightness 1.8 (Pillow)", MAKER): pillow(
            lambda i: ImageEnhance.Brightness(i).enhance(1.8)
        ),
        ("gaussian blur 2 (Pillow)", MAKER): pillow(
            lambda i: i.filter(ImageFilter.GaussianBlur(2))
        ),
        ("greys 60 to 160 (numpy)", MAKER): _grey(
            lambda grey, number: (60.0 + 100.0 * grey) / 255.0
        ),
        ("gamma .5 (scikit-image)", MAKER): _grey(lambda grey, number: adjust_gamma(grey, 0.5)),
        ("gamma 2 (scikit-image)", MAKER): _grey(lambda grey, number: adjust_gamma(grey, 2.0)),
        ("sigmoid curve (scikit-image)", KIND): _grey(
            lambda grey, number: adjust_sigmoid(grey, cutoff=0.5, gain=5)
        ),
        ("sparse_view 4", KIND): _own(("sparse_view", 4)),
        ("shot 4", FITTED): _own(("shot", 4)),
        ("8 greys (Pillow)", KIND): pillow(lambda i: ImageOps.posterize(i, 3)),
        ("histogram equalised (scikit-image)", KIND): _grey(
            lambda grey, number: equalize_hist(grey)
        ),
        ("unsharp mask 3, 2 (scikit-image)", KIND): _grey(
            lambda grey, number: unsharp_mask(grey, radius=3, amount=2)
        ),
        ("median 7 (scipy)", KIND): _grey(lambda grey, number: ndimage.median_filter(grey, 7)),
        ("contrast_down 3", STRENGTH): _own(("contrast_down", 3)),
        ("contrast_up 3", STRENGTH): _own(("contrast_up", 3)),
        ("gamma_down 3", STRENGTH): _own(("gamma_down", 3)),
    }


def _torchio(said: Callable[[str], None]) -> dict[Named, Corruption]:
    if importlib.util.find_spec("torchio") is None:
        said("TorchIO is not installed: its noises are left out")
        return {}
    import torchio

    def made(transform: Callable[[torch.Tensor], torch.Tensor]) -> Corruption:
        def change(grey: Floats, number: int) -> Floats:
            torch.manual_seed(number)
            corrupted = transform(torch.from_numpy(grey.astype(np.float32))[None, :, :, None])
            whole: Floats = np.asarray(corrupted, dtype=np.float64)[0, :, :, 0]
            return whole

        return _grey(change)

    return {
        ("ghosting (TorchIO)", MAKER): made(
            torchio.RandomGhosting(num_ghosts=(2, 6), axes=(0, 1), intensity=(0.6, 1.0))
        ),
        ("bias field (TorchIO)", MAKER): made(torchio.RandomBiasField(coefficients=0.9)),
        ("motion (TorchIO)", MAKER): made(
            torchio.RandomMotion(degrees=8, translation=8, num_transforms=2)
        ),
        ("k-space spike (TorchIO)", MAKER): made(torchio.RandomSpike(intensity=(0.3, 0.6))),
        ("noise .12 (TorchIO)", MAKER): made(torchio.RandomNoise(mean=0, std=(0.12, 0.12))),
    }


def _monai(said: Callable[[str], None]) -> dict[Named, Corruption]:
    if importlib.util.find_spec("monai") is None:
        said("MONAI is not installed: its noises are left out")
        return {}
    from monai import transforms

    def made(name: str, **options: object) -> Corruption:
        def change(grey: Floats, number: int) -> Floats:
            transform = getattr(transforms, name)(prob=1.0, **options)
            transform.set_random_state(number)
            corrupted = transform(torch.from_numpy(grey.astype(np.float32))[None])
            whole: Floats = np.asarray(corrupted, dtype=np.float64)[0]
            return whole

        return _grey(change)

    return {
        ("Rician .1 (MONAI)", MAKER): made("RandRicianNoise", mean=0.0, std=0.1),
        ("bias field (MONAI)", MAKER): made("RandBiasField", degree=3, coeff_range=(0.2, 0.5)),
        ("k-space spike (MONAI)", MAKER): made("RandKSpaceSpikeNoise", intensity_range=(9.5, 10.5)),
        ("Gibbs ringing (MONAI)", MAKER): made("RandGibbsNoise", alpha=(0.5, 0.7)),
        ("gamma 2.5-3.5 (MONAI)", MAKER): made("RandAdjustContrast", gamma=(2.5, 3.5)),
    }
