"""Things in the way of the picture: stain, bubbles, a round aperture, burnt-in characters.

What is hidden is gone. Their severity is how much is hidden, the same share at every image size,
and not an SSIM band: at an SSIM of 0.5 half of the anatomy would lie behind them.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from imc_noise.image.planes import Planes

STAIN_DENSITY = (0.9, 1.7, 2.3)
"""Absorbance of a brown stain in red, green and blue (natural logarithm); their mean on greys."""

STAIN_ORDER = 5
"""Highest order of the cosines whose random sum gives a stain its outline."""

BUBBLE_RADIUS = (0.03, 0.11)
"""Radii of bubbles as a fraction of the field of view."""

MOST_BUBBLES = 400
RIM = 0.18
"""Width of a bubble's dark rim as a fraction of its radius."""

APERTURE_EDGE = 0.02
"""Width of the soft edge of a round aperture, as a fraction of its radius."""

MOST_STRINGS = 40
CHARACTERS = "ABCDEFGHJKMNPQSTUVWXYZ0123456789"
"""Burnt in as strings of three to eight: never a lone L or R, which would name a side."""


def stain(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """A dye or contrast medium spilt on slide, film or lens: brown patches that absorb light.

    `strength` is the share of the picture stained, up to 1. The outline is a level line of a sum of
    low-order cosines; under one generator state a larger stain contains a smaller one. Some light
    comes through (41 % red, 10 % blue; 20 % on a grey picture).
    """
    height, width = planes.shape[1:]
    orders = np.arange(STAIN_ORDER + 1)
    weights = rng.normal(size=(STAIN_ORDER + 1, STAIN_ORDER + 1))
    weights /= 1.0 + np.hypot(orders[:, None], orders[None, :])
    turns = rng.uniform(0.0, math.pi, size=(2, STAIN_ORDER + 1))
    down = np.cos(math.pi * np.outer(_centres(height), orders) + turns[0])
    across = np.cos(math.pi * np.outer(_centres(width), orders) + turns[1])
    depth = (down @ weights @ across.T).astype(np.float32)
    level = np.quantile(depth, 1.0 - min(strength, 1.0))
    softness = max(0.05 * float(depth.std()), 1e-6)
    mask = np.clip((depth - level) / softness + 0.5, 0.0, 1.0)
    densities = STAIN_DENSITY if len(planes) == 3 else (sum(STAIN_DENSITY) / 3.0,) * len(planes)
    through = np.exp(-np.asarray(densities, np.float32)[:, None, None] * mask[None])
    corrupted: Planes = planes * through.astype(np.float32)
    return corrupted


def bubble(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Air under a cover slip, in gel or before the lens: pale discs with a dark rim.

    `strength` is the share of the picture's area in bubbles, overlaps counted twice, up to 2. Under
    one generator state a stronger draw holds the bubbles of a weaker one, the last grown.
    """
    height, width = planes.shape[1:]
    radii = rng.uniform(*BUBBLE_RADIUS, size=MOST_BUBBLES)
    places = rng.random((MOST_BUBBLES, 2))
    corrupted = planes.copy()
    left = min(strength, 2.0) / math.pi  # in squared radii, as fractions of the field of view
    for radius, (y, x) in zip(radii.tolist(), places.tolist(), strict=True):
        if left <= 0.0:
            break
        size = min(radius, math.sqrt(left)) * math.sqrt(height * width)
        left -= radius**2
        _blow(corrupted, y * height, x * width, size)
    return corrupted


def black_corner(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """The round aperture of an endoscope or dermatoscope, not quite centred: black corners.

    `strength` is the share of the picture that is black, up to 1.
    """
    height, width = planes.shape[1:]
    centre = 0.5 + rng.uniform(-0.06, 0.06, size=2)
    y = (_centres(height) - centre[0]) * height
    x = (_centres(width) - centre[1]) * width
    distance = np.hypot(y[:, None], x[None, :]).astype(np.float32)
    radius = float(np.quantile(distance, 1.0 - min(strength, 1.0)))
    edge = max(APERTURE_EDGE * radius, 0.5)
    seen = np.clip((radius - distance) / edge + 0.5, 0.0, 1.0).astype(np.float32)
    corrupted: Planes = planes * seen[None]
    return corrupted


def characters(planes: Planes, strength: float, rng: np.random.Generator) -> Planes:
    """Burnt-in annotation: strings of letters and digits that mean nothing, white, anywhere.

    `strength` is how many strings; a fraction is the last one's opacity. Letters are 4 % to 9 % of
    the field of view high. Under one generator state a stronger draw holds a weaker one's strings.
    """
    height, width = planes.shape[1:]
    wanted = min(strength, float(MOST_STRINGS))
    lengths = rng.integers(3, 9, size=MOST_STRINGS)
    letters = rng.integers(len(CHARACTERS), size=(MOST_STRINGS, 8))
    sizes = rng.uniform(0.04, 0.09, size=MOST_STRINGS) * math.sqrt(height * width)
    places = rng.random((MOST_STRINGS, 2))
    ink = np.zeros((height, width), np.float32)
    for number in range(math.ceil(wanted)):
        text = "".join(CHARACTERS[i] for i in letters[number, : lengths[number]])
        font = ImageFont.load_default(max(1.0, float(sizes[number])))
        left, top, right, bottom = font.getbbox(text)
        written = Image.new("L", (width, height))
        # Inside the picture where it fits; a string wider than the picture runs over its edge.
        x = places[number, 0] * max(0.0, width - (right - left)) - left
        y = places[number, 1] * max(0.0, height - (bottom - top)) - top
        ImageDraw.Draw(written).text((x, y), text, fill=255, font=font)
        opacity = np.float32(min(1.0, wanted - number) / 255.0)
        ink = np.maximum(ink, np.asarray(written, np.float32) * opacity)
    corrupted: Planes = planes + (np.float32(1.0) - planes) * ink[None]
    return corrupted


def _centres(length: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Centres of `length` pixels on [0, 1]."""
    return (np.arange(length) + 0.5) / length


def _blow(planes: Planes, y: float, x: float, radius: float) -> None:
    """Draw one bubble (centre and radius in pixels) into `planes`."""
    rows = slice(max(0, math.floor(y - radius - 1)), max(0, math.ceil(y + radius + 1)))
    columns = slice(max(0, math.floor(x - radius - 1)), max(0, math.ceil(x + radius + 1)))
    part = planes[:, rows, columns]
    if part.size == 0:
        return
    down = np.arange(part.shape[1]) + rows.start + 0.5 - y
    across = np.arange(part.shape[2]) + columns.start + 0.5 - x
    distance = np.hypot(down[:, None], across[None, :])
    inside = np.clip(radius - distance + 0.5, 0.0, 1.0).astype(np.float32)
    rim = np.clip((distance - radius * (1.0 - RIM)) / max(radius * RIM, 0.5), 0.0, 1.0)
    pale = np.float32(0.35) + np.float32(0.5) * part
    seen = pale * (1.0 - 0.8 * rim).astype(np.float32)
    planes[:, rows, columns] = part + (seen - part) * inside
