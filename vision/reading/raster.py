"""PNG, JPEG, TIFF and WebP to RGB: orientation, colour spaces, transparency, depth, pages."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from vision.errors import ImageRefused
from vision.reading.grey import by_depth

DEEP_GREY = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow modes with more than 8 bits; its own conversion clips them to 255."""

WHITE_IS_ZERO = 0
PHOTOMETRIC_TAG = 262
"""TIFF PhotometricInterpretation. Pillow inverts the white-is-zero kind only up to 8 bits."""

BROKEN = (
    OSError,
    SyntaxError,  # how Pillow reports a bad chunk
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    EOFError,
    OverflowError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""Every way in which Pillow was seen to fail on damaged bytes."""


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back Python warnings (size, metadata): the outcome is an image or one refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def raster_rgb(
    content: bytes, known_format: str, what: str, *, frame: int | None, max_pixels: int
) -> NDArray[np.uint8]:
    """Decode a file of a known format, whatever its name says.

    Args:
        content: the whole file.
        known_format: ``PNG``, ``JPEG``, ``TIFF`` or ``WEBP``, from the first bytes.
        what: how messages call the source.
        frame: page or frame, from 0; None is the first.
        max_pixels: refused above this many, before anything is decoded.

    Returns:
        ``(H, W, 3)`` ``uint8``.

    Raises:
        ImageRefused: damaged, too large, an unsupported kind of pixel or no such frame.
    """
    with quiet():
        try:
            with Image.open(io.BytesIO(content), formats=[known_format]) as image:
                return pillow_rgb(image, what, frame=frame, max_pixels=max_pixels)
        except ImageRefused:
            raise
        except Image.DecompressionBombError:
            raise ImageRefused(_too_large(what, max_pixels)) from None
        except UnidentifiedImageError:
            raise ImageRefused(
                f"cannot read {what}: this {known_format} is damaged or of an unsupported kind; "
                "save it again as an 8-bit PNG"
            ) from None
        except BROKEN:
            raise ImageRefused(
                f"cannot read {what}: this {known_format} is truncated or damaged; "
                "copy or export it again"
            ) from None


def pillow_rgb(
    image: Image.Image, what: str, *, frame: int | None, max_pixels: int
) -> NDArray[np.uint8]:
    """An opened Pillow image, upright, as ``(H, W, 3)`` ``uint8``.

    EXIF orientation is applied; transparent pixels lie on black, the background of radiology;
    CMYK and other spaces go through Pillow's plain conversion (ICC profiles are not applied);
    deep grey follows `vision.reading.grey.by_depth`.

    Raises:
        ImageRefused: no such frame, zero size, too many pixels, or a mode with no RGB meaning.
        Exception: any of `BROKEN`, for damaged bytes; the caller knows how to name them.
    """
    frames = int(getattr(image, "n_frames", 1))
    check_frame(frame, frames, what)
    if frames > 1:
        image.seek(frame or 0)
    check_size(image.width, image.height, what, max_pixels)
    inverted = image.mode in DEEP_GREY and _tiff_tags(image).get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO
    upright = ImageOps.exif_transpose(image)
    if upright.mode in DEEP_GREY:
        grey = by_depth(np.asarray(upright))
        return grey_rgb(np.uint8(255) - grey if inverted else grey)
    if upright.has_transparency_data or upright.mode in ("La", "RGBa", "PA"):
        if upright.mode in ("La", "PA"):
            upright = upright.convert("LA" if upright.mode == "La" else "RGBA")
        layer = upright.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(ground, layer)
    if upright.mode == "LAB":
        raise ImageRefused(
            f"cannot read {what}: CIE L*a*b* pixels are not supported; save it as RGB"
        )
    return np.array(upright.convert("RGB"), dtype=np.uint8)


def grey_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(H, W)`` to ``(H, W, 3)``, the same value in each channel."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def check_frame(frame: int | None, frames: int, what: str) -> None:
    """Refuse a frame that the image does not have (they count from 0)."""
    if frame is None or 0 <= frame < frames:
        return
    has = "one frame, 0" if frames == 1 else f"frames 0 to {frames - 1}"
    raise ImageRefused(f"cannot read frame {frame} of {what}: it has {has}")


def check_size(width: int, height: int, what: str, max_pixels: int) -> None:
    """Refuse an empty image and one over ``max_pixels``, from the header alone."""
    if width < 1 or height < 1:
        raise ImageRefused(f"cannot read {what}: its size is {width}×{height}; it has no pixels")
    if width * height > max_pixels:
        raise ImageRefused(
            f"cannot read {what}: {width}×{height} pixels are over the limit of {max_pixels}; "
            "scale it down or crop it"
        )


def _too_large(what: str, max_pixels: int) -> str:
    return f"cannot read {what}: it is over the limit of {max_pixels} pixels; scale it down"


def _tiff_tags(image: Image.Image) -> dict[int, Any]:
    return dict(getattr(image, "tag_v2", None) or {})
