"""TIFF samples of more than 8 bits, signed or float: pages that Pillow would clip or wrap round.

The page is shown to Pillow as rows of bytes (a header of ours before the same compressed strips
or tiles), so that every compression it knows is undone; predictor, byte order and planes are then
undone here (TIFF 6.0 sections 14 and 15; Adobe's technical note 3 for the float predictor).
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image

from vision.errors import ImageRefused
from vision.reading.bounds import check_cost
from vision.reading.grey import Pixels, UInt8Array, by_depth
from vision.reading.native_errors import native_errors_raised
from vision.reading.pillow_pixels import over_black, pillow_array
from vision.reading.tiff_directory import Tag
from vision.reading.tiff_page import BLACK_IS_ZERO, RGB, UNASSOCIATED, WHITE_IS_ZERO, Page

PREDICTED = frozenset({5, 8, 32946, 34925, 50000})
"""Compressions that differences are taken before: LZW, deflate (two numbers), LZMA, Zstandard."""

MAX_PLANE_BYTES = 178_000_000
"""Bytes of one plane of samples: Pillow opens no larger page of 8-bit samples."""


def deep_rgb(stream: BinaryIO, page: Page, what: str) -> UInt8Array:
    """A page of deep samples as ``(H, W, 3)`` ``uint8``, as stored (orientation not applied).

    Raises:
        ImageRefused: too costly, or channels without a meaning.
        ValueError, OSError: damaged.
    """
    colour = 3 if page.photometric == RGB else 1
    extra = page.directory.tags.get(Tag.EXTRA, ())
    alpha = extra[0] if extra else (UNASSOCIATED if page.channels == 4 and colour == 3 else 0)
    if page.channels < colour or (page.channels > colour and not extra and not alpha):
        raise ImageRefused(
            f"cannot read {what}: its pixels have {page.channels} samples of unknown meaning; "
            "save it as grey or RGB"
        )
    samples = _samples(stream, page, what)
    pixels = by_depth(samples[:, :, :colour])
    if page.photometric == WHITE_IS_ZERO:
        pixels = np.uint8(255) - pixels
    if page.channels > colour and alpha == UNASSOCIATED:
        return over_black(pixels, by_depth(samples[:, :, colour]))
    return pixels if colour == 3 else np.repeat(pixels, 3, axis=2)


def _samples(stream: BinaryIO, page: Page, what: str) -> Pixels:
    """Samples ``(H, W, channels)`` of a page, in the machine's byte order."""
    planes = page.channels if page.directory.one(Tag.PLANAR, 1) == 2 else 1
    offsets, lengths = page.pieces
    stored = page.width * page.height * page.channels * page.bits // 8
    check_cost(what, working=2 * stored + sum(lengths), why="its sample depth")
    if len(offsets) != len(lengths) or len(offsets) % planes or not offsets:
        raise ValueError("strips without lengths")
    each = len(offsets) // planes
    found = [
        _plane(
            stream,
            page,
            page.channels // planes,
            offsets[at : at + each],
            lengths[at : at + each],
            what,
        )
        for at in range(0, len(offsets), each)
    ]
    return found[0] if planes == 1 else np.concatenate(found, axis=2)


def _plane(
    stream: BinaryIO,
    page: Page,
    channels: int,
    offsets: tuple[int, ...],
    lengths: tuple[int, ...],
    what: str,
) -> Pixels:
    dtype = page.dtype
    if dtype is None:
        raise ValueError("samples without a type")
    rows, columns = page.tile or (page.directory.one(Tag.STRIP_ROWS, page.height), page.width)
    if rows < 1 or columns < 1:
        raise ValueError("tiles without a size")
    height = page.height if page.tile is None else -(-page.height // rows) * rows
    width = -(-page.width // columns) * columns
    if width * height > 4 * page.width * page.height + (1 << 22):
        raise ImageRefused(f"cannot read {what}: its tiles are larger than it; save it again")
    pixel = channels * dtype.itemsize
    if width * height * pixel > MAX_PLANE_BYTES:
        raise ImageRefused(f"cannot read {what}: its samples are too many; save it as 8-bit PNG")
    head = _bytes_page(page, offsets, lengths, (height, width * pixel), (rows, columns * pixel))
    body = [head]
    for offset, length in zip(offsets, lengths, strict=True):
        stream.seek(offset)
        body.append(stream.read(length))
        if len(body[-1]) < length:
            raise ValueError("a strip ends after the file")
    with native_errors_raised(), Image.open(BytesIO(b"".join(body)), formats=["TIFF"]) as image:
        body.clear()
        image.load()
        flat = pillow_array(image, np.uint8)
    predicted = page.directory.one(Tag.COMPRESSION, 1) in PREDICTED
    predictor = page.directory.one(Tag.PREDICTOR, 1) if predicted else 1
    if predictor == 3:
        dtype = dtype.newbyteorder(">")
    values = np.empty((height, width, channels), dtype.newbyteorder("="))
    for left in range(0, width, columns):
        part = np.ascontiguousarray(flat[:, left * pixel : (left + columns) * pixel])
        if predictor == 3:
            part = _float_differences(part, channels, dtype.itemsize)
        block = part.view(dtype).reshape(height, columns, channels)
        if predictor == 2:
            bits = block.view(np.dtype(f"{dtype.byteorder}u{dtype.itemsize}"))
            unsigned = bits.astype(f"=u{dtype.itemsize}")
            np.cumsum(unsigned, axis=1, dtype=unsigned.dtype, out=unsigned)
            block = unsigned.view(values.dtype)
        values[:, left : left + columns] = block
    return values[: page.height, : page.width]


def _float_differences(rows: UInt8Array, channels: int, size: int) -> UInt8Array:
    """Undo the float predictor: differences of bytes, most significant bytes of a row first."""
    height, length = rows.shape
    summed = rows.reshape(height, length // channels, channels)
    summed = np.cumsum(summed, axis=1, dtype=np.uint8).reshape(height, size, length // size)
    return np.ascontiguousarray(summed.transpose(0, 2, 1)).reshape(height, length)


def _bytes_page(
    page: Page,
    offsets: tuple[int, ...],
    lengths: tuple[int, ...],
    size: tuple[int, int],
    piece: tuple[int, int],
) -> bytes:
    """The head of a classic TIFF whose 8-bit grey page holds the strips that follow it."""
    tags: dict[int, tuple[int, ...]] = {
        Tag.WIDTH: (size[1],),
        Tag.HEIGHT: (size[0],),
        Tag.BITS: (8,),
        Tag.COMPRESSION: (page.directory.one(Tag.COMPRESSION, 1),),
        Tag.PHOTOMETRIC: (BLACK_IS_ZERO,),
        Tag.FILL_ORDER: (page.directory.one(Tag.FILL_ORDER, 1),),
        Tag.CHANNELS: (1,),
    }
    count = len(offsets)
    # 8 bytes of header, 12 a tag, then the offsets and the lengths where one field is too small.
    start = 8 + 2 + 12 * (len(tags) + (4 if page.tile else 3)) + 4
    tables = 8 * count if count > 1 else 0
    starts = [start + tables]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length)
    if page.tile:
        tags |= {
            Tag.TILE_WIDTH: (piece[1],),
            Tag.TILE_HEIGHT: (piece[0],),
            Tag.TILES: tuple(starts),
            Tag.TILE_BYTES: lengths,
        }
    else:
        tags |= {
            Tag.STRIPS: tuple(starts),
            Tag.STRIP_ROWS: (min(piece[0], size[0]),),
            Tag.STRIP_BYTES: lengths,
        }
    entries, values = [], b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(packed) > 4:
            packed, values = struct.pack("<I", start + len(values)), values + packed
        entries.append(struct.pack("<HHI", tag, 4, len(numbers)) + packed)
    return b"".join((b"II*\0", struct.pack("<IH", 8, len(entries)), *entries, bytes(4), values))
