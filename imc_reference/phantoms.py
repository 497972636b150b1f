"""Phantoms: simulated CT, radiograph, MR, ultrasound, dermoscopy, with lesions of known truth.

Sides are sides *of the image*, which is how the questions about phantoms name them, so that they
never contradict the radiological convention of the real data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imc_reference import tomography

PhantomModality = Literal["ct", "x-ray", "mri", "ultrasound", "dermoscopy"]
MODALITIES: tuple[PhantomModality, ...] = get_args(PhantomModality)
REGION: dict[str, str] = {
    "ct": "abdomen",
    "x-ray": "chest",
    "mri": "brain",
    "ultrasound": "liver",
    "dermoscopy": "skin",
}

MAX_LESIONS = 3
SMALL_RADIUS = (0.065, 0.095)
LARGE_RADIUS = (0.15, 0.2)
"""Lesion radii in half fields of view: 4 to 5 and 8 to 11 pixels at 112, a clear gap between."""


@dataclass(frozen=True)
class Lesion:
    """One lesion: centre and radius in half fields of view, x to the image's right, y down."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Phantom:
    """A simulated image with its truth."""

    image: NDArray[np.uint8]
    """(H, W) grey or (H, W, 3) colour."""
    modality: PhantomModality
    region: str
    lesions: tuple[Lesion, ...]
    side: Literal["left", "right"] | None
    """Side of the image that holds all lesions; None without lesions."""
    size: Literal["small", "large"] | None

    @property
    def count(self) -> int:
        """Number of lesions, 0 to MAX_LESIONS."""
        return len(self.lesions)

    def lesion_fraction(self, grid: int) -> NDArray[np.float32]:
        """Share of each of grid × grid patches that is lesion, (grid, grid), 0 to 1."""
        fine = grid * 8
        xx, yy = _axes(fine)
        mask = np.zeros((fine, fine), dtype=bool)
        for lesion in self.lesions:
            mask |= (xx - lesion.x) ** 2 + (yy - lesion.y) ** 2 < lesion.radius**2
        return np.asarray(mask.reshape(grid, 8, grid, 8).mean((1, 3)), dtype=np.float32)


def make_phantom(
    rng: np.random.Generator, modality: PhantomModality | None = None, size: int = 112
) -> Phantom:
    """Draw one phantom of `size` pixels a side; a random modality unless one is given."""
    if modality is not None and modality not in MODALITIES:
        raise ValueError(f"unknown phantom modality {modality!r}; choose from {MODALITIES}")
    chosen = modality or MODALITIES[int(rng.integers(len(MODALITIES)))]
    count = int(rng.choice(MAX_LESIONS + 1, p=(0.28, 0.24, 0.24, 0.24)))
    side: Literal["left", "right"] = "left" if rng.random() < 0.5 else "right"
    extent: Literal["small", "large"] = "small" if rng.random() < 0.5 else "large"
    lesions = _place(rng, chosen, count, side, SMALL_RADIUS if extent == "small" else LARGE_RADIUS)
    picture = _PAINTERS[chosen](rng, lesions, size)
    return Phantom(
        image=np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8),
        modality=chosen,
        region=REGION[chosen],
        lesions=lesions,
        side=side if lesions else None,
        size=extent if lesions else None,
    )


_FIELD: dict[str, tuple[float, float, float, float]] = {
    # where lesions may lie on the right half: x range, y range (mirrored for the left)
    "ct": (0.16, 0.58, -0.38, 0.3),
    "x-ray": (0.24, 0.56, -0.42, 0.3),
    "mri": (0.16, 0.5, -0.5, 0.5),
    "ultrasound": (0.12, 0.5, -0.1, 0.62),
    "dermoscopy": (0.16, 0.75, -0.7, 0.7),
}


def _place(
    rng: np.random.Generator,
    modality: str,
    count: int,
    side: str,
    radii: tuple[float, float],
) -> tuple[Lesion, ...]:
    """Lesions on one side that do not touch (retries, then lesions are allowed to be closer)."""
    x0, x1, y0, y1 = _FIELD[modality]
    sign = 1.0 if side == "right" else -1.0
    for _ in range(50):
        placed: list[Lesion] = []
        for _ in range(60):
            if len(placed) == count:
                break
            new = Lesion(sign * rng.uniform(x0, x1), rng.uniform(y0, y1), rng.uniform(*radii))
            gap = 0.05
            if all(
                np.hypot(new.x - o.x, new.y - o.y) > new.radius + o.radius + gap for o in placed
            ):
                placed.append(new)
        if len(placed) == count:
            return tuple(placed)
    return tuple(placed)


def _axes(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = (np.arange(size) + 0.5) / size * 2 - 1
    xx, yy = np.meshgrid(axis, axis)
    return xx, yy


def _inside(
    xx: NDArray[np.float64], yy: NDArray[np.float64], x: float, y: float, a: float, b: float
) -> NDArray[np.float64]:
    """1 inside an ellipse, 0 outside, with a one-pixel soft edge."""
    r = np.sqrt(((xx - x) / a) ** 2 + ((yy - y) / b) ** 2)
    softness = 2.0 / xx.shape[0] / min(a, b)
    return np.asarray(np.clip((1 - r) / softness + 0.5, 0, 1))


def _texture(rng: np.random.Generator, size: int, grain: float) -> NDArray[np.float64]:
    """Smooth random field, zero mean and unit deviation, correlated over `grain` fields of view."""
    cells = max(3, int(2 / grain))
    zoom = ndimage.zoom(rng.standard_normal((cells, cells)), size / cells, order=1)
    return np.asarray(zoom[:size, :size] / (zoom.std() + 1e-9))


def _ct(rng: np.random.Generator, lesions: tuple[Lesion, ...], size: int) -> NDArray[np.float64]:
    wide, high = rng.uniform(0.78, 0.92), rng.uniform(0.6, 0.74)
    parts: list[tomography.Ellipse] = [
        (0, 0, wide, high, 0, 1.0),
        (0, 0, wide - 0.06, high - 0.06, 0, 0.04),
        (0, high * 0.6, 0.11, 0.12, 0, 0.5),
        (-0.36, -0.08, 0.34, 0.38, rng.uniform(-0.2, 0.2), 0.06),
        (0.44, -0.1, 0.16, 0.26, rng.uniform(-0.3, 0.3), 0.05),
        (-0.34, 0.34, 0.12, 0.16, 0.3, 0.07),
        (0.34, 0.34, 0.12, 0.16, -0.3, 0.07),
        (0.08, 0.26, 0.06, 0.06, 0, 0.06),
    ]
    contrast = rng.choice((-1.0, 1.0)) * rng.uniform(0.16, 0.26)
    parts += [(s.x, s.y, s.radius, s.radius * rng.uniform(0.85, 1.0), 0, contrast) for s in lesions]
    water = 2.2  # attenuation lengths across a half field of view: a large abdomen at 120 kVp
    sinogram = tomography.line_integrals(np.array(parts, dtype=np.float64)) * water
    measured = tomography.count_photons(sinogram, rng.uniform(4e4, 2e5), rng)
    density = tomography.reconstruct(measured, size) / water
    return np.asarray((density - 0.72) / 0.62)


def _radiograph(
    rng: np.random.Generator, lesions: tuple[Lesion, ...], size: int
) -> NDArray[np.float64]:
    xx, yy = _axes(size)

    def thickness(x: float, y: float, a: float, b: float) -> NDArray[np.float64]:
        r2 = ((xx - x) / a) ** 2 + ((yy - y) / b) ** 2
        return np.sqrt(np.maximum(1 - r2, 0))

    tall = rng.uniform(0.6, 0.7)
    path = 1.5 * thickness(0, 0.3, 1.05, 1.5)
    path -= 1.1 * thickness(-0.4, -0.08, 0.28, tall) + 1.1 * thickness(0.4, -0.08, 0.28, tall)
    path += 0.8 * thickness(0.12, 0.3, rng.uniform(0.24, 0.34), 0.3)
    path += 0.5 * np.exp(-((xx / 0.08) ** 2)) + 0.7 * (1 / (1 + np.exp(-(yy - 0.62) * 18)))
    spacing = rng.uniform(0.19, 0.24)
    ribs = np.cos(2 * np.pi * (yy + 0.35 * np.abs(xx) ** 1.5) / spacing)
    path += 0.16 * np.clip(ribs - 0.3, 0, 1) * (np.abs(xx) > 0.1) * (np.abs(xx) < 0.75)
    path += 0.3 * np.exp(-(((yy + 0.72 - 0.15 * np.abs(xx)) / 0.035) ** 2)) * (np.abs(xx) < 0.7)
    for s in lesions:
        path += 0.75 * thickness(s.x, s.y, s.radius, s.radius) ** 0.7
    photons = rng.uniform(8e3, 3e4)
    counts = rng.poisson(photons * np.exp(-np.maximum(path, 0)))
    return np.asarray(-np.log(np.maximum(counts, 1) / photons) / 2.5)


def _brain(rng: np.random.Generator, lesions: tuple[Lesion, ...], size: int) -> NDArray[np.float64]:
    xx, yy = _axes(size)
    a, b = rng.uniform(0.66, 0.74), rng.uniform(0.8, 0.9)
    t2 = rng.random() < 0.5
    grey, white, fluid, fat = (0.5, 0.4, 0.95, 0.7) if t2 else (0.45, 0.6, 0.12, 0.9)
    image = fat * (
        _inside(xx, yy, 0, 0, a + 0.1, b + 0.08) - _inside(xx, yy, 0, 0, a + 0.05, b + 0.03)
    )
    brain = _inside(xx, yy, 0, 0, a, b)
    image = image * (1 - brain) + grey * brain
    fold = 0.05 * np.sin(np.arctan2(yy, xx) * rng.integers(14, 22))
    radius = np.sqrt((xx / a) ** 2 + (yy / b) ** 2)
    inner = np.clip((0.82 + fold - radius) * 20, 0, 1)
    image = image * (1 - inner) + white * inner
    for sign in (-1, 1):
        horn = _inside(xx, yy, sign * 0.1, rng.uniform(-0.1, 0.05), 0.07, rng.uniform(0.18, 0.26))
        image = image * (1 - horn) + fluid * horn
    image -= 0.12 * np.exp(-((xx / 0.015) ** 2)) * brain
    level = 1.0 if t2 else rng.choice((0.95, 0.05))
    for s in lesions:
        blob = _inside(xx, yy, s.x, s.y, s.radius, s.radius * rng.uniform(0.85, 1.0))
        image = image * (1 - blob) + level * blob
    image = image + 0.02 * _texture(rng, size, 0.1) * brain
    sigma = rng.uniform(0.008, 0.02)
    real, imaginary = rng.standard_normal((2, size, size)) * sigma
    return np.asarray(np.hypot(image + real, imaginary))


def _ultrasound(
    rng: np.random.Generator, lesions: tuple[Lesion, ...], size: int
) -> NDArray[np.float64]:
    xx, yy = _axes(size)
    depth = np.hypot(xx, yy + 1.15)
    angle = np.abs(np.arctan2(xx, yy + 1.15))
    sector = (depth > 0.35) & (depth < 2.05) & (angle < rng.uniform(0.6, 0.72))
    echo = 0.42 + 0.06 * _texture(rng, size, 0.25)
    kidney = _inside(xx, yy, rng.uniform(-0.1, 0.1), 0.72, 0.3, 0.12)
    echo = echo * (1 - 0.45 * kidney)
    echo += 0.35 * np.exp(-(((depth - 1.95) / 0.03) ** 2))
    for s in lesions:
        blob = _inside(xx, yy, s.x, s.y, s.radius, s.radius)
        echo = echo * (1 - blob) + 0.06 * blob
        behind = (np.abs(xx - s.x) < s.radius * 0.8) & (yy > s.y + s.radius)
        echo = echo + 0.1 * behind * np.exp(-(yy - s.y - s.radius) / 0.25)
    speckle = ndimage.gaussian_filter(rng.standard_normal((2, size, size)), (0, 0.6, 0.9))
    envelope = np.hypot(speckle[0], speckle[1])
    envelope /= envelope.mean()
    return np.asarray(np.clip(echo, 0.02, 1) * (0.55 + 0.45 * envelope) * sector)


def _skin(rng: np.random.Generator, lesions: tuple[Lesion, ...], size: int) -> NDArray[np.float64]:
    xx, yy = _axes(size)
    tone = np.array([0.86, 0.68, 0.56]) * rng.uniform(0.8, 1.08) + rng.uniform(-0.03, 0.03, 3)
    light = 1 - rng.uniform(0.02, 0.12) * (xx**2 + yy**2)
    image = tone[None, None] * light[..., None] * (1 + 0.025 * _texture(rng, size, 0.08))[..., None]
    pigment = np.array([0.38, 0.22, 0.14]) * rng.uniform(0.8, 1.3)
    for s in lesions:
        wobble = 1 + 0.12 * np.sin(np.arctan2(yy - s.y, xx - s.x) * 3 + rng.uniform(0, 6))
        r = np.hypot(xx - s.x, yy - s.y) / (s.radius * wobble)
        blob = np.clip((1 - r) * 6 + 0.5, 0, 1)[..., None]
        image = (
            image * (1 - blob) + pigment * blob * (1 + 0.1 * _texture(rng, size, 0.1))[..., None]
        )
    for _ in range(int(rng.integers(0, 4))):
        slope, offset, bend = rng.uniform(-1, 1), rng.uniform(-0.9, 0.9), rng.uniform(-0.3, 0.3)
        hair = np.exp(-(((yy - slope * xx - offset - bend * xx**2) / 0.012) ** 2))[..., None]
        image = image * (1 - 0.55 * hair)
    return np.asarray(image + 0.01 * rng.standard_normal(image.shape))


_PAINTERS: dict[
    str, Callable[[np.random.Generator, tuple[Lesion, ...], int], NDArray[np.float64]]
] = {
    "ct": _ct,
    "x-ray": _radiograph,
    "mri": _brain,
    "ultrasound": _ultrasound,
    "dermoscopy": _skin,
}
