"""Pictures that no acquisition half was fitted on: tiny, flat, lettered, coloured, not medical."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

Pixels = NDArray[np.uint8]


def _rgb(grey: NDArray[np.floating]) -> Pixels:
    levels = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2)


def _smooth(shape: tuple[int, int], width: float, seed: int) -> NDArray[np.float64]:
    """A smooth random field of standard deviation 1."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), width)
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-9))


def slice_like(height: int, width: int, seed: int = 0) -> Pixels:
    """An ellipse of soft tissue with a brighter rim and organs, on black."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    body = (x / 0.8) ** 2 + (y / 0.9) ** 2
    grey = np.where(body < 1.0, 95.0, 0.0) + np.where(abs(body - 0.93) < 0.07, 95.0, 0.0)
    for place in np.random.default_rng(seed).uniform(-0.5, 0.5, size=(5, 2)):
        organ = ((x - place[0]) / 0.17) ** 2 + ((y - place[1]) / 0.22) ** 2 < 1.0
        grey = np.where(organ, grey + 25.0 * np.sign(place[0]), grey)
    texture = 4.0 * _smooth((height, width), 1.2, seed) * (body < 1.0)
    return _rgb(ndimage.gaussian_filter(grey, 0.8) + texture)


def slice_16_px() -> Pixels:
    """A slice of 16 pixels a side."""
    return slice_like(16, 16)


def slice_of_three_rows() -> Pixels:
    """A strip of three rows."""
    return slice_like(96, 200)[47:50]


def one_pixel() -> Pixels:
    """One grey pixel."""
    return np.full((1, 1, 3), 130, np.uint8)


def black() -> Pixels:
    """Black."""
    return np.zeros((200, 240, 3), np.uint8)


def white() -> Pixels:
    """White."""
    return np.full((200, 240, 3), 255, np.uint8)


def mid_grey() -> Pixels:
    """One grey level."""
    return np.full((128, 128, 3), 117, np.uint8)


def one_colour() -> Pixels:
    """One colour."""
    return np.full((128, 160, 3), (40, 90, 200), np.uint8)


def lettered_slice() -> Pixels:
    """A slice between wide black borders, with names of the view and a scale burnt in."""
    whole = np.zeros((360, 520, 3), np.uint8)
    whole[40:320, 120:400] = slice_like(280, 280, seed=3)
    picture = Image.fromarray(whole)
    draw = ImageDraw.Draw(picture)
    texts = {(8, 8): "AP ERECT", (8, 330): "R", (410, 8): "L 12:30", (430, 330): "PORTABLE"}
    for place, text in texts.items():
        draw.text(place, text, fill=(255, 255, 255), font=ImageFont.load_default(18))
    draw.line([(500, 60), (500, 300)], fill=(255, 255, 255))
    for row in range(60, 301, 24):
        draw.line([(492, row), (500, row)], fill=(255, 255, 255))
    return np.asarray(picture)


def colour_doppler() -> Pixels:
    """A sector of speckle on black with a box of red and blue flow and a colour bar."""
    height, width = 300, 400
    y, x = np.mgrid[0:height, 0:width]
    angle, depth = np.arctan2(x - width / 2, y + 60.0), np.hypot(x - width / 2, y + 60.0)
    sector = (np.abs(angle) < 0.6) & (depth > 80.0) & (depth < 340.0)
    grain = np.random.default_rng(5).rayleigh(size=(height, width))
    grain = ndimage.gaussian_filter(grain, (0.8, 1.6)) / 1.25
    tissue = 70.0 + 30.0 * _smooth((height, width), 14.0, 6)
    picture = _rgb(np.where(sector, tissue * grain, 0.0)).astype(np.float64)
    flow = _smooth((height, width), 9.0, 7)
    box = sector & (np.abs(x - 210) < 60) & (np.abs(y - 170) < 50) & (np.abs(flow) > 0.7)
    red = np.stack([120.0 + 60.0 * flow, 30.0 + 20.0 * flow, 20.0 + 0.0 * flow], axis=2)
    blue = np.stack([20.0 + 0.0 * flow, 30.0 - 20.0 * flow, 120.0 - 60.0 * flow], axis=2)
    picture[box] = np.where(flow[..., None] > 0, red, blue)[box]
    bar = np.linspace(-1.0, 1.0, 120)
    picture[40:160, 370:382, 0] = np.clip(255.0 * -bar, 0, 255)[:, None]
    picture[40:160, 370:382, 2] = np.clip(255.0 * bar, 0, 255)[:, None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def screenshot() -> Pixels:
    """A window with a title, a list, lines of text, buttons and a small picture."""
    picture = Image.new("RGB", (640, 420), (246, 246, 248))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, 640, 28], fill=(38, 70, 120))
    draw.text((12, 6), "Study list", fill=(255, 255, 255), font=ImageFont.load_default(15))
    draw.rectangle([0, 29, 150, 420], fill=(226, 230, 236))
    for row in range(9):
        draw.text((10, 44 + 40 * row), f"Series {row + 1}", fill=(30, 30, 40))
        words = f"Row {row}: image {17 * row + 3} of {900 - 31 * row}, window {350 + row}"
        draw.text((170, 44 + 22 * row), words, fill=(20, 20, 20))
    for column in range(3):
        draw.rectangle([170 + 110 * column, 370, 260 + 110 * column, 400], fill=(60, 120, 200))
    picture.paste(Image.fromarray(slice_like(110, 110, seed=9)), (500, 60))
    return np.asarray(picture)


def photograph() -> Pixels:
    """Sky, a tree line, ground with grass, two bright discs: colours and detail at all scales."""
    height, width = 360, 480
    y = np.linspace(0.0, 1.0, height)[:, None, None]
    sky = np.array([110.0, 160.0, 220.0]) + y * np.array([80.0, 50.0, 10.0])
    ground = np.array([90.0, 110.0, 50.0]) - y * np.array([20.0, 30.0, 20.0])
    line = 190.0 + 14.0 * _smooth((height, width), 12.0, 1)[0]
    below = np.arange(height)[:, None] > line[None, :]
    scales = (0.7, 2.0, 6.0)
    detail = np.sum([_smooth((height, width), scale, 11 + int(scale)) for scale in scales], axis=0)
    clouds = 14.0 * _smooth((height, width), 22.0, 2)
    whole = np.where(below[..., None], ground + 9.0 * detail[..., None], sky + clouds[..., None])
    picture = Image.fromarray(np.clip(whole, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.ellipse([60, 30, 110, 80], fill=(250, 240, 190))
    draw.ellipse([300, 240, 360, 300], fill=(200, 60, 40))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(0.6)))


def document_page() -> Pixels:
    """A white page of printed lines."""
    picture = Image.new("RGB", (420, 560), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    for row in range(26):
        words = " ".join(f"word{(row * 7 + n * 5) % 23}" for n in range(8))
        draw.text((30, 24 + 20 * row), words, fill=(15, 15, 15))
    return np.asarray(picture)


ODD: tuple[Callable[[], Pixels], ...] = (
    slice_16_px,
    slice_of_three_rows,
    one_pixel,
    black,
    white,
    mid_grey,
    one_colour,
    lettered_slice,
    colour_doppler,
    screenshot,
    photograph,
    document_page,
)
"""Every picture by the function that draws it."""
