"""Pixels out of an opened Pillow image, a few rows at a time: RGB, or samples as they are."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image

from vision.errors import ImageRefused
from vision.reading.grey import BAND, Pixels, UInt8Array, by_depth, grey_rgb

DEEP_GREY = {"I": "=i4", "F": "=f4", "I;16": "<u2", "I;16L": "<u2", "I;16B": ">u2", "I;16N": "=u2"}
"""Pillow modes with more than 8 bits, which its own conversion clips to 255, and their samples."""

BROKEN = (
    OSError,
    SyntaxError,  # how Pillow reports a bad chunk
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    AssertionError,
    EOFError,
    OverflowError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Every way in which Pillow was seen to fail on damaged bytes."""

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back Python warnings (size, metadata): the outcome is an image or one refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def pillow_array(image: Image.Image, dtype: DTypeLike, channels: int = 0) -> Pixels:
    """The samples of an image as ``(H, W)`` or ``(H, W, channels)``, without Pillow's copies."""
    shape = (image.height, image.width, channels) if channels else (image.height, image.width)
    out = np.empty(shape, dtype)
    for top, part in _parts(image):
        flat = np.frombuffer(part.tobytes(), out.dtype)
        out[top : top + part.height] = flat.reshape(part.height, *shape[1:])
    return out


def pillow_rgb(
    image: Image.Image, what: str, orientation: int, *, inverted: bool = False
) -> UInt8Array:
    """An opened Pillow image, upright, as ``(H, W, 3)`` ``uint8``.

    Transparent pixels lie on black, the background of radiology; CMYK and other spaces go
    through Pillow's plain conversion (ICC profiles are not applied); deep grey follows
    `vision.reading.grey.by_depth`.

    Args:
        image: opened; its pixels are decoded here.
        what: how messages call the source.
        orientation: EXIF orientation, 1 to 8.
        inverted: whether deep grey is stored with white as zero.

    Raises:
        ImageRefused: a mode with no RGB meaning.
        Exception: any of `BROKEN`, for damaged bytes; the caller knows how to name them.
    """
    if image.mode == "LAB":
        raise ImageRefused(
            f"cannot read {what}: CIE L*a*b* pixels are not supported; save it as RGB"
        )
    image.load()
    if image.mode in DEEP_GREY:
        grey = by_depth(pillow_array(image, DEEP_GREY[image.mode]))
        return upright(grey_rgb(np.uint8(255) - grey if inverted else grey), orientation)
    turned = orientation > 4
    size = (image.width, image.height) if turned else (image.height, image.width)
    rgb = np.empty((*size, 3), np.uint8)
    stored = _as_stored(rgb, orientation)
    transparent = image.has_transparency_data or image.mode in ("La", "RGBa", "PA")
    for top, part in _parts(image):
        shown = _over_black(part) if transparent else part.convert("RGB")
        flat = np.frombuffer(shown.tobytes(), np.uint8)
        stored[top : top + part.height] = flat.reshape(part.height, image.width, 3)
    return rgb


def over_black(colour: UInt8Array, alpha: UInt8Array) -> UInt8Array:
    """Grey ``(H, W, 1)`` or RGB ``(H, W, 3)`` over black by its ``alpha`` ``(H, W)``: RGB."""
    out = np.empty((*alpha.shape, 3), np.uint8)
    rows = max(1, BAND // max(1, alpha.shape[1]))
    for top in range(0, len(alpha), rows):
        band = slice(top, top + rows)
        rgb = np.broadcast_to(colour[band], out[band].shape)
        layer = Image.fromarray(np.concatenate([rgb, alpha[band, :, None]], axis=2))
        out[band] = np.asarray(_over_black(layer))
    return out


def upright(stored: UInt8Array, orientation: int) -> UInt8Array:
    """Stored pixels turned and mirrored as EXIF says; the same array where that is not at all."""
    if orientation == 1:
        return stored
    back = {6: 8, 8: 6}.get(orientation, orientation)
    return np.ascontiguousarray(_as_stored(stored, back))


def _as_stored(rgb: UInt8Array, orientation: int) -> UInt8Array:
    """A view of the upright picture in which the stored rows lie in their order (EXIF 4.6.4)."""
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return rgb.swapaxes(0, 1) if orientation > 4 else rgb


def _parts(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, BAND // max(1, image.width))
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _over_black(part: Image.Image) -> Image.Image:
    if part.mode in ("La", "PA"):
        part = part.convert("LA" if part.mode == "La" else "RGBA")
    layer = part.convert("RGBA")
    ground: Any = Image.new("RGBA", layer.size, (0, 0, 0, 255))
    return Image.alpha_composite(ground, layer).convert("RGB")
