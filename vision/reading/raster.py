"""PNG, JPEG, TIFF and WebP to RGB: checked against their headers, then decoded."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from vision.errors import ImageRefused
from vision.reading import jpeg, png, tiff, tiff_page
from vision.reading.bounds import check_cost, check_frame, check_size
from vision.reading.grey import UInt8Array
from vision.reading.native_errors import native_errors_raised
from vision.reading.pillow_pixels import BROKEN, pillow_rgb, quiet, upright
from vision.reading.tiff_directory import Tag, orientation

WEBP_BYTES = 16
"""Bytes a pixel that libwebp and Pillow hold beside the result: two canvases and two copies."""


def raster_rgb(
    stream: BinaryIO, known_format: str, what: str, *, frame: int | None, max_pixels: int
) -> UInt8Array:
    """Decode a file of a known format, whatever its name says.

    Args:
        stream: the whole file.
        known_format: ``PNG``, ``JPEG``, ``TIFF`` or ``WEBP``, from the first bytes.
        what: how messages call the source.
        frame: page or frame, from 0; None is the first.
        max_pixels: refused above this many, before anything is decoded.

    Returns:
        ``(H, W, 3)`` ``uint8``.

    Raises:
        ImageRefused: damaged, too large or too costly, an unsupported kind of pixel or no such
            frame.
    """
    decode = {"PNG": _png, "JPEG": _jpeg, "TIFF": _tiff, "WEBP": _webp}[known_format]
    with quiet():
        try:
            return decode(stream, what, frame, max_pixels)
        except ImageRefused:
            raise
        except (UnidentifiedImageError, Image.DecompressionBombError):
            raise ImageRefused(
                f"cannot read {what}: this {known_format} is damaged or of an unsupported kind; "
                "save it again as an 8-bit PNG"
            ) from None
        except BROKEN:
            raise ImageRefused(
                f"cannot read {what}: this {known_format} is truncated or damaged; "
                "copy or export it again"
            ) from None


def _png(stream: BinaryIO, what: str, frame: int | None, max_pixels: int) -> UInt8Array:
    header = png.read_header(stream, what, frame=frame, max_pixels=max_pixels)
    if header.deep and not frame:
        return png.deep_rgb(stream, header)
    stream.seek(0)
    with Image.open(stream, formats=["PNG"]) as image:
        if header.frames > 1:
            image.seek(frame or 0)
        return pillow_rgb(image, what, orientation(image.info))


def _jpeg(stream: BinaryIO, what: str, frame: int | None, max_pixels: int) -> UInt8Array:
    content = stream.read(jpeg.MAX_ENCODED + 1)
    if len(content) > jpeg.MAX_ENCODED:
        check_cost(what, samples=float("inf"), why="its length")
    found, content = jpeg.read_frame(content)
    check_frame(frame, 1, what)
    check_size(found.width, found.height, what, max_pixels)
    jpeg.check_frame_cost(found, what)
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        image.load()
        last = image.getpixel((image.width - 1, image.height - 1))
        if jpeg.ends_early(content, found, last if isinstance(last, tuple) else (last or 0,)):
            raise ValueError("the data end before the image does")
        return pillow_rgb(image, what, orientation({"exif": found.exif}))


def _tiff(stream: BinaryIO, what: str, frame: int | None, max_pixels: int) -> UInt8Array:
    page = tiff_page.read_page(stream, what, frame=frame, max_pixels=max_pixels)
    turned = page.directory.one(Tag.ORIENTATION, 1)
    turned = turned if 1 <= turned <= 8 else 1
    if page.bits > 8 and page.photometric == tiff_page.CMYK:
        raise ImageRefused(
            f"cannot read {what}: CMYK of more than 8 bits is not supported; save it as RGB"
        )
    if page.deep:
        return upright(tiff.deep_rgb(stream, page, what), turned)
    stream.seek(0)
    with native_errors_raised(), Image.open(stream, formats=["TIFF"]) as image:
        if frame:
            image.seek(frame)
        return pillow_rgb(image, what, turned, inverted=page.photometric == tiff_page.WHITE_IS_ZERO)


def _webp(stream: BinaryIO, what: str, frame: int | None, max_pixels: int) -> UInt8Array:
    start = stream.read(30)
    if start[12:16] == b"VP8X":
        width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
    elif start[12:16] == b"VP8L":
        packed = int.from_bytes(start[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(start[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    check_size(width, height, what, max_pixels)
    pixels = width * height
    working = WEBP_BYTES * pixels + stream.seek(0, 2)
    check_cost(what, working=working, samples=4 * pixels * (1 + max(0, frame or 0)))
    stream.seek(0)
    with Image.open(stream, formats=["WEBP"]) as image:
        frames = int(getattr(image, "n_frames", 1))
        check_frame(frame, frames, what)
        if frames > 1:
            image.seek(frame or 0)
        return pillow_rgb(image, what, orientation(image.info))


def opened_pillow_rgb(image: Image.Image, frame: int | None, max_pixels: int) -> UInt8Array:
    """A Pillow image that the caller opened, upright, as ``(H, W, 3)`` ``uint8``.

    Raises:
        ImageRefused: closed, damaged, too large, of an unsupported mode, or no such frame.
    """
    what = "the Pillow image"
    try:
        with quiet():
            frames = int(getattr(image, "n_frames", 1))
            check_frame(frame, frames, what)
            if frames > 1:
                image.seek(frame or 0)
            check_size(image.width, image.height, what, max_pixels)
            turned = int(image.getexif().get(Tag.ORIENTATION, 1))
            inverted = dict(getattr(image, "tag_v2", None) or {}).get(Tag.PHOTOMETRIC) == 0
            if image.format == "TIFF":
                with native_errors_raised():
                    image.load()
            return pillow_rgb(image, what, turned if 1 <= turned <= 8 else 1, inverted=inverted)
    except ImageRefused:
        raise
    except BROKEN:
        raise ImageRefused(
            "cannot read the Pillow image: it is closed, damaged or of an unsupported mode"
        ) from None
