"""A page of a TIFF: how its samples lie in the file, and what decoding them would cost."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from vision.errors import ImageRefused
from vision.reading.bounds import MAX_FRAMES, MAX_SAMPLE_BYTES, check_cost, check_frame, check_size
from vision.reading.tiff_directory import (
    Directory,
    DirectoryTooLarge,
    NoSuchPage,
    Tag,
    read_directory,
)

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5
ASSOCIATED, UNASSOCIATED = 1, 2
"""Kinds of alpha in ExtraSamples: colour already multiplied by it, or not."""

OLD_JPEG, JPEG = 6, 7
DEFLATE = (8, 32946)
MAX_JPEG_SCANS = 4
"""Scans of a JPEG strip or tile: one a component, as progressive JPEG is not allowed there."""

MAX_PIECES = 1 << 16
"""Strips or tiles of a page: a strip a row is common, and no image is 65,536 rows high."""


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
        return self.directory.one(Tag.PHOTOMETRIC, BLACK_IS_ZERO)

    @property
    def dtype(self) -> np.dtype[np.generic] | None:
        """Type of the samples in the file's byte order; None for what numpy has no type for."""
        kind = {1: "u", 2: "i", 3: "f", 4: "u"}.get(self.directory.one(Tag.FORMAT, 1))
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
        if Tag.TILES in tags:
            return tags[Tag.TILES], tags.get(Tag.TILE_BYTES, ())
        return tags.get(Tag.STRIPS, ()), tags.get(Tag.STRIP_BYTES, ())

    @property
    def tile(self) -> tuple[int, int] | None:
        """Height and width of its tiles; None for strips."""
        if Tag.TILES not in self.directory.tags:
            return None
        return self.directory.one(Tag.TILE_HEIGHT, 0), self.directory.one(Tag.TILE_WIDTH, 0)


def read_page(stream: BinaryIO, what: str, *, frame: int | None, max_pixels: int) -> Page:
    """The layout of a page, checked before anything is decoded.

    Raises:
        ImageRefused: no such page, too large, or tags that cost more than an image needs.
        ValueError: damaged tags.
    """
    if frame is not None and (frame < 0 or frame > MAX_FRAMES):
        raise ImageRefused(f"cannot read frame {frame} of {what}: give 0 to {MAX_FRAMES}")
    directory, pages = None, 0
    try:
        directory = read_directory(stream, Tag, frame or 0)
    except NoSuchPage as fault:
        pages = fault.pages
    except DirectoryTooLarge:
        raise ImageRefused(
            f"cannot read {what}: its tags hold more than an image needs; save it again"
        ) from None
    if directory is None:
        if pages:
            check_frame(frame, pages, what)
        raise ValueError("no pages")
    bits = set(directory.tags.get(Tag.BITS, (1,)))
    page = Page(
        directory,
        directory.one(Tag.WIDTH, 0),
        directory.one(Tag.HEIGHT, 0),
        bits.pop() if len(bits) == 1 else 0,
        directory.one(Tag.CHANNELS, 1),
    )
    check_size(page.width, page.height, what, max_pixels)
    _check_pieces(page, stream, what)
    return page


def _check_pieces(page: Page, stream: BinaryIO, what: str) -> None:
    offsets, lengths = page.pieces
    file_bytes = stream.seek(0, 2)
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
    compression = page.directory.one(Tag.COMPRESSION, 1)
    if compression == OLD_JPEG:
        raise ImageRefused(
            f"cannot read {what}: old-style JPEG in TIFF is not supported; save it as PNG"
        )
    if compression == JPEG:
        for offset, length in zip(offsets, lengths, strict=False):
            stream.seek(offset)
            if stream.read(length).count(b"\xff\xda") > MAX_JPEG_SCANS:
                check_cost(what, samples=float("inf"), why="scans of its JPEG strips")
    stored = page.width * page.height * page.channels * max(1, page.bits) / 8
    inflated = compression in DEFLATE
    whole = compression != 1 and page.tile is None and len(offsets) <= max(1, page.channels)
    check_cost(
        what,
        samples=stored * (1.5 if inflated else 1),
        working=4 * page.width * page.height + whole * stored,
        why="size of its strips",
    )
    if inflated:
        _check_inflated(stream, offsets, lengths)


def _check_inflated(stream: BinaryIO, offsets: tuple[int, ...], lengths: tuple[int, ...]) -> None:
    """Inflate the strips and forget them: libtiff does not compare their checksums."""
    left = MAX_SAMPLE_BYTES
    for offset, length in zip(offsets, lengths, strict=False):
        stream.seek(offset)
        inflater, piece = zlib.decompressobj(), stream.read(length)
        for at in range(0, length, 1 << 16):
            part = piece[at : at + (1 << 16)]
            while part and left > 0 and not inflater.eof:
                left -= len(inflater.decompress(part, 1 << 18))
                part = inflater.unconsumed_tail
