"""PNG: its chunks checked, and 16-bit samples that Pillow would cut to their high byte.

The chunks are walked once before anything is decoded (PNG 3rd edition, sections 5 and 11): a
wrong checksum, a missing end or more chunks than an image needs is a refusal.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from vision.errors import ImageRefused
from vision.reading.bounds import MAX_SAMPLE_BYTES, check_cost, check_frame, check_size
from vision.reading.grey import UInt8Array, by_depth
from vision.reading.pillow_pixels import over_black, pillow_array, upright
from vision.reading.tiff_directory import orientation

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Samples of a pixel by colour type."""

CHECKED = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT")
"""Chunks that decide the pixels: their checksums must be right."""

MAX_CHUNKS = 100_000
"""Writers put 8 KiB or more of pixels into a chunk: no image needs so many."""

MAX_OTHER_BYTES = 64 << 20
"""Bytes of chunks that hold no pixels, which Pillow keeps: profiles, texts, private ones."""

MAX_TWICE_BYTES = 160_000_000
"""Samples of 16-bit colour, which are inflated twice."""


@dataclass(frozen=True)
class PngHeader:
    """What the first chunk says, and the number of frames of an animation."""

    width: int
    height: int
    depth: int
    channels: int
    frames: int

    @property
    def deep(self) -> bool:
        """Whether Pillow keeps only the high byte of the samples, or ignores transparency."""
        return self.depth == 16


def read_header(stream: BinaryIO, what: str, *, frame: int | None, max_pixels: int) -> PngHeader:
    """Walk the chunks and check what decoding the frame would cost.

    Raises:
        ImageRefused: no such frame, or too costly.
        ValueError: a wrong checksum, or truncated.
    """
    stream.seek(8)
    header, frames, chunks, other = None, 1, 0, 0
    while True:
        length, kind = struct.unpack(">I4s", _exactly(stream, 8))
        chunks += 1
        other += 0 if kind in (b"IDAT", b"fdAT") else length
        if chunks > MAX_CHUNKS or other > MAX_OTHER_BYTES:
            raise ImageRefused(
                f"cannot read {what}: its chunks hold more than an image needs; save it again"
            )
        if header is None:
            if kind != b"IHDR" or length != 13:
                raise ValueError("no header")
            start = _exactly(stream, length)
            width, height, depth, colour = struct.unpack(">IIBB", start[:10])
            header = PngHeader(width, height, depth, CHANNELS.get(colour, 4), 1)
            check_size(width, height, what, max_pixels)
            stream.seek(-length, 1)
        elif kind == b"acTL":
            frames = max(1, struct.unpack(">I", _exactly(stream, 4))[0])
            stream.seek(-4, 1)
        if kind in CHECKED:
            checksum = zlib.crc32(kind)
            for at in range(0, length, 1 << 20):
                checksum = zlib.crc32(_exactly(stream, min(1 << 20, length - at)), checksum)
            if checksum != struct.unpack(">I", _exactly(stream, 4))[0]:
                raise ValueError("a checksum is wrong")
        else:
            stream.seek(length + 4, 1)
        if kind == b"IEND":
            break
    check_frame(frame, frames, what)
    pixels = header.width * header.height
    samples = pixels * header.channels * header.depth / 8 * (1 + (frame or 0))
    if header.deep and header.channels > 1:
        check_cost(
            what,
            samples=samples * (MAX_SAMPLE_BYTES / MAX_TWICE_BYTES),
            working=samples * 2,
            why="16-bit colour",
        )
    check_cost(what, samples=samples, working=pixels * 4)
    return PngHeader(header.width, header.height, header.depth, header.channels, frames)


def deep_rgb(stream: BinaryIO, header: PngHeader) -> UInt8Array:
    """Samples of 16 bits as ``(H, W, 3)`` ``uint8``, upright, by `vision.reading.grey.by_depth`.

    Pillow unpacks 16-bit colour by byte: once for the high bytes, once for the low ones.
    """
    modes = {1: (), 2: ("RGBA",), 3: ("RGB;16B", "RGB;16L"), 4: ("RGBA;16B", "RGBA;16L")}
    stream.seek(0)
    with Image.open(stream, formats=["PNG"]) as image:
        turned = orientation(image.info)
        transparent = image.info.get("transparency")
        if header.channels == 1:
            image.load()
            samples = pillow_array(image, "<u2")[:, :, None]
    del image
    if header.channels > 1:
        found = [
            _unpacked(stream, mode, max(3, header.channels) if header.channels != 2 else 4)
            for mode in modes[header.channels]
        ]
        if header.channels == 2:
            samples = found[0].view(">u2").astype(np.uint16)
        else:
            samples = found[0].astype(np.uint16)
            samples <<= 8
            samples |= found[1]
    if header.channels in (2, 4):
        colour, alpha = by_depth(samples[:, :, :-1]), by_depth(samples[:, :, -1])
        return upright(over_black(colour, alpha), turned)
    rgb = by_depth(samples)
    if header.channels == 1:
        rgb = np.repeat(rgb, 3, axis=2)
    if transparent is not None:
        rgb[(samples == np.asarray(transparent)).all(axis=2)] = 0
    return upright(rgb, turned)


def _unpacked(stream: BinaryIO, mode: str, channels: int) -> UInt8Array:
    stream.seek(0)
    with Image.open(stream, formats=["PNG"]) as image:
        if mode == "RGBA":
            image._mode = "RGBA"
        image.tile = [tile._replace(args=mode) for tile in image.tile]
        image.load()
        return pillow_array(image, np.uint8, channels)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise ValueError("the file ends inside a chunk")
    return content
