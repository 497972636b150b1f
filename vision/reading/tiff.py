"""TIFF samples of more than 8 bits, signed or float: pages that Pillow would clip or wrap round.

The page is shown to Pillow as rows of bytes (a header of ours before the same compressed strips
or tiles), so that every compression it knows is undone; predictor, byte order and planes are then
undone here (TIFF 6.0 sections 14 and 15; Adobe's technical note 3 for the float predictor).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

import numpy as np
from PIL import Image

from vision.errors import ImageRefused
from vision.reading.bounds import MAX_FRAMES, check_cost, check_frame, check_size
from vision.reading.grey import Bytes, Pixels, by_depth
from vision.reading.native_errors import native_errors_raised
from vision.reading.pillow_pixels import over_black, pillow_array
from vision.reading.tiff_directory import (
    ORIENTATION,
    Directory,
    DirectoryTooLarge,
    NoSuchPage,
    read_directory,
)

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
STRIPS, CHANNELS, STRIP_ROWS, STRIP_BYTES, PLANAR, PREDICTOR = 273, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
WANTED = (
    WIDTH,
    HEIGHT,
    BITS,
    COMPRESSION,
    PHOTOMETRIC,
    FILL_ORDER,
    ORIENTATION,
    STRIPS,
    CHANNELS,
    STRIP_ROWS,
    STRIP_BYTES,
    PLANAR,
    PREDICTOR,
    TILE_WIDTH,
    TILE_HEIGHT,
    TILES,
    TILE_BYTES,
    EXTRA,
    FORMAT,
)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of alpha in ExtraSamples: colour already multiplied by it, or not."""

PREDICTED = frozenset({5, 8, 32946, 34925, 50000})
"""Compressions that differences are taken before: LZW, deflate (two numbers), LZMA, Zstandard."""

MAX_PIECES = 1 << 16
"""Strips or tiles of a page: a strip a row is common, and no image is 65,536 rows high."""

MAX_PLANE_BYTES = 178_000_000
"""Bytes of one plane of samples: Pillow opens no larger page of 8-bit samples."""


@dataclass(frozen=True)
class Page:
    """How the samples of a TIFF page lie in its file."""

    directory: Directory
    width: int
    height: int
    bits: int
    channels: int

    @property
    def photometric(self) -> int:
        """PhotometricInterpretation; a missing one is read as black-is-zero."""
        return self.directory.one(PHOTOMETRIC, BLACK_IS_ZERO)

    @property
    def dtype(self) -> np.dtype[np.generic] | None:
        """Type of the samples in the file's byte order; None for what numpy has no type for."""
        kind = {1: "u", 2: "i", 3: "f", 4: "u"}.get(self.directory.one(FORMAT, 1))
        sizes = (16, 32, 64) if kind == "f" else (8, 16, 32, 64)
        if kind is None or self.bits not in sizes:
            return None
        return np.dtype(f"{self.directory.order}{kind}{self.bits // 8}")

    @property
    def deep(self) -> bool:
        """Whether Pillow would clip the samples or wrap them round."""
        return (
            self.dtype is not None
            and self.dtype != np.uint8
            and self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
        )

    @property
    def pieces(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Offsets and lengths of its strips or tiles; the lengths may be left out."""
        tags = self.directory.tags
        if TILES in tags:
            return tags[TILES], tags.get(TILE_BYTES, ())
        return tags.get(STRIPS, ()), tags.get(STRIP_BYTES, ())

    @property
    def tile(self) -> tuple[int, int] | None:
        """Height and width of its tiles; None for strips."""
        if TILES not in self.directory.tags:
            return None
        return self.directory.one(TILE_HEIGHT, 0), self.directory.one(TILE_WIDTH, 0)


def read_page(stream: BinaryIO, what: str, *, frame: int | None, max_pixels: int) -> Page:
    """The layout of a page, checked before anything is decoded.

    Raises:
        ImageRefused: no such page, too large, or tags that cost more than an image needs.
        ValueError: damaged tags.
    """
    if frame is not None and (frame < 0 or frame > MAX_FRAMES):
        raise ImageRefused(f"cannot read frame {frame} of {what}: give 0 to {MAX_FRAMES}")
    try:
        directory = read_directory(stream, WANTED, frame or 0)
    except NoSuchPage as fault:
        if fault.pages == 0 or frame is None:
            raise
        check_frame(frame, fault.pages, what)
        raise
    except DirectoryTooLarge:
        raise ImageRefused(
            f"cannot read {what}: its tags hold more than an image needs; save it again"
        ) from None
    bits = set(directory.tags.get(BITS, (1,)))
    page = Page(
        directory,
        directory.one(WIDTH, 0),
        directory.one(HEIGHT, 0),
        bits.pop() if len(bits) == 1 else 0,
        directory.one(CHANNELS, 1),
    )
    check_size(page.width, page.height, what, max_pixels)
    _check_pieces(page, stream.seek(0, 2), what)
    return page


def _check_pieces(page: Page, file_bytes: int, what: str) -> None:
    offsets, lengths = page.pieces
    tile_rows, tile_columns = page.tile or (1, 1)
    if any(at + length > file_bytes for at, length in zip(offsets, lengths, strict=False)):
        raise ValueError("a strip ends after the file")
    if (
        len(offsets) > MAX_PIECES
        or sum(lengths) > file_bytes
        or (tile_rows * tile_columns > max(1 << 22, 2 * page.width * page.height))
    ):
        raise ImageRefused(
            f"cannot read {what}: its strips or tiles cost more than an image needs; "
            "save it again with larger strips"
        )
    stored = page.width * page.height * page.channels * max(1, page.bits) / 8
    compressed = page.directory.one(COMPRESSION, 1) != 1
    whole = compressed and page.tile is None and len(offsets) <= max(1, page.channels)
    check_cost(
        what,
        samples=stored,
        working=4 * page.width * page.height + whole * stored,
        why="size of its strips",
    )


def deep_rgb(stream: BinaryIO, page: Page, what: str) -> Bytes:
    """A page of deep samples as ``(H, W, 3)`` ``uint8``, as stored (orientation not applied).

    Raises:
        ImageRefused: too costly, or channels without a meaning.
        ValueError, OSError: damaged.
    """
    colour = 3 if page.photometric == RGB else 1
    extra = page.directory.tags.get(EXTRA, ())
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
    planes = page.channels if page.directory.one(PLANAR, 1) == 2 else 1
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
    assert dtype is not None
    rows, columns = page.tile or (page.directory.one(STRIP_ROWS, page.height), page.width)
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
    predicted = page.directory.one(COMPRESSION, 1) in PREDICTED
    predictor = page.directory.one(PREDICTOR, 1) if predicted else 1
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


def _float_differences(rows: Bytes, channels: int, size: int) -> Bytes:
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
        WIDTH: (size[1],),
        HEIGHT: (size[0],),
        BITS: (8,),
        COMPRESSION: (page.directory.one(COMPRESSION, 1),),
        PHOTOMETRIC: (BLACK_IS_ZERO,),
        FILL_ORDER: (page.directory.one(FILL_ORDER, 1),),
        CHANNELS: (1,),
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
            TILE_WIDTH: (piece[1],),
            TILE_HEIGHT: (piece[0],),
            TILES: tuple(starts),
            TILE_BYTES: lengths,
        }
    else:
        tags |= {STRIPS: tuple(starts), STRIP_ROWS: (min(piece[0], size[0]),), STRIP_BYTES: lengths}
    entries, values = [], b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(packed) > 4:
            packed, values = struct.pack("<I", start + len(values)), values + packed
        entries.append(struct.pack("<HHI", tag, 4, len(numbers)) + packed)
    return b"".join((b"II*\0", struct.pack("<IH", 8, len(entries)), *entries, bytes(4), values))
