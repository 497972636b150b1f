"""JPEG marker segments (ITU-T T.81 annex B): what decoding costs, and whether all is there.

Pillow reports neither libjpeg's warnings nor its cost: a small progressive file can be decoded a
thousand times over, and one cut short by a writer that closed it is grey from there on.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from PIL import Image

from vision.errors import ImageRefused
from vision.reading.bounds import check_cost

SOI, EOI, SOS, APP0, APP1, APP14, COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Start-of-frame markers; the others of their range are tables."""

HUFFMAN_DCT = frozenset({0xC0, 0xC1, 0xC2})
PROGRESSIVE = 0xC2
LOSSLESS, JPEG_LS = 0xC3, 0xF7

MAX_ENCODED = 128 << 20
"""Bytes of one encoded frame: entropy decoding runs at about 50 MB/s."""

MAX_SEGMENTS = 10_000
"""Of a file: tables, metadata of 64 KiB each, and scans."""

SCAN_COST = 0.4
"""Cost of a sample in a scan of a progressive frame, beside that of a sample decoded once."""

_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # JPEG-LS stuffs bits up to FF 7F
_PADDING = bytes(range(255)) * 64
"""Entropy-coded data (no marker byte) that stands for what a truncated file lacks."""


@dataclass
class JpegMarkers:
    """A JPEG file or an encoded DICOM frame, as its markers describe it."""

    marker: int = 0
    """Of its start of frame: 0xC0 baseline, 0xC2 progressive, 0xC3 lossless, 0xF7 JPEG-LS."""
    precision: int = 0
    width: int = 0
    height: int = 0
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Horizontal and vertical sampling factor of each component."""
    scans: list[tuple[tuple[int, ...], range, int]] = field(default_factory=list)
    """Of each scan: components, coefficients, and bits of them that are still to come."""
    exif: bytes = b""
    encoded: int = 0
    """Bytes from its first marker to its last."""

    @property
    def share(self) -> dict[int, float]:
        """Samples of each component a pixel: 1/4 for chroma at half the resolution."""
        across = max((h for h, _ in self.sampling.values()), default=1)
        down = max((v for _, v in self.sampling.values()), default=1)
        return {name: h * v / (across * down) for name, (h, v) in self.sampling.items()}


def read_frame(content: bytes) -> tuple[JpegMarkers, bytes]:
    """Walk the markers of one JPEG or JPEG-LS image, without decoding.

    Returns:
        What the markers say, and the file without the profiles, thumbnails and comments that
        Pillow would parse.

    Raises:
        ValueError: no such image, truncated, or incomplete: a component or a part of its
            precision is in no scan.
    """
    frame, kept = JpegMarkers(), []
    at = 2
    for _ in range(MAX_SEGMENTS):
        found = _MARKER.search(content, at)
        if content[:2] != b"\xff\xd8" or found is None:
            raise ValueError("the file ends before its image does")
        marker = content[found.end() - 1]
        if marker == EOI:
            break
        if marker == SOI:
            at = found.end()
            continue
        length = struct.unpack(">H", content[found.end() : found.end() + 2])[0]
        end = found.end() + length
        body = content[found.end() + 2 : end]
        if length < 2 or len(body) != length - 2:
            raise ValueError("a segment is cut short")
        if marker in FRAMES or marker == JPEG_LS:
            _start_of_frame(frame, marker, body)
        elif marker == SOS:
            frame.scans.append(_scan(body))
            following = _MARKER.search(content, end)
            end = following.start() if following else len(content)
        elif marker == APP1 and body.startswith(b"Exif\0\0") and not frame.exif:
            frame.exif = body
        if marker in (APP0, APP14) or not (APP0 <= marker <= 0xEF or marker == COM):
            kept.append(memoryview(content)[found.start() : end])
        at = end
    else:
        raise ValueError("more segments than an image has use for")
    frame.encoded = found.end()
    _check_complete(frame)
    return frame, b"".join((b"\xff\xd8", *kept, b"\xff\xd9"))


def check_frame_cost(frame: JpegMarkers, what: str) -> None:
    """Refuse a frame that costs too much, or whose coding libjpeg is not trusted with.

    Raises:
        ImageRefused: arithmetic or hierarchical coding, too much memory or too much time.
    """
    if frame.marker not in (*HUFFMAN_DCT, LOSSLESS, JPEG_LS):
        raise ImageRefused(
            f"cannot read {what}: arithmetic and hierarchical JPEG are not supported; "
            "save it as baseline JPEG or PNG"
        )
    pixels = frame.width * frame.height
    share = frame.share
    each = sum(share.values())
    buffered = frame.marker == PROGRESSIVE or len(frame.scans) > 1
    held = pixels * (4 if len(share) > 1 else 1) + (2 * pixels * each if buffered else 0)
    passes = sum(share.get(name, 1.0) for names, _, _ in frame.scans for name in names)
    check_cost(
        what,
        working=(held if frame.marker in HUFFMAN_DCT else 0) + frame.encoded,
        samples=pixels * max(each, passes * SCAN_COST),
        why=f"{len(frame.scans)} scans" if buffered else "",
    )


def ends_early(pixel_bytes: bytes, frame: JpegMarkers, last: Sequence[float]) -> bool:
    """Whether the entropy-coded data of a one-scan image end before its last pixels.

    libjpeg fills what is missing with grey. Where the last pixel is that grey, the image is
    decoded once as it is and once with other data appended, at an eighth of its size: pixels that
    differ were not in the file.

    Args:
        pixel_bytes: the file, as `read_frame` gives it.
        frame: its markers.
        last: samples of the last pixel, of 0 to 255.
    """
    if len(frame.scans) > 1 or not all(value in (127, 128) for value in last):
        return False
    longer = b"".join((memoryview(pixel_bytes)[:-2], _PADDING, pixel_bytes[-2:]))
    return _thumbnail(pixel_bytes) != _thumbnail(longer)


def _thumbnail(content: bytes) -> bytes:
    with Image.open(BytesIO(content), formats=["JPEG"]) as image:
        image.draft(None, (1, 1))
        return image.tobytes()


def _start_of_frame(frame: JpegMarkers, marker: int, body: bytes) -> None:
    if frame.sampling:
        raise ValueError("two frames in one image")
    frame.marker = marker
    frame.precision, frame.height, frame.width, count = struct.unpack(">BHHB", body[:6])
    for name, factors in zip(body[6 : 6 + 3 * count : 3], body[7 : 6 + 3 * count : 3], strict=True):
        frame.sampling[name] = (factors >> 4, factors & 15)
    if not 1 <= len(frame.sampling) <= 4 or not all(h and v for h, v in frame.sampling.values()):
        raise ValueError("components without a size")


def _scan(body: bytes) -> tuple[tuple[int, ...], range, int]:
    count = body[0]
    first, last, bits = body[1 + 2 * count : 4 + 2 * count]
    return tuple(body[1 : 1 + 2 * count : 2]), range(first, last + 1), bits & 15


def _check_complete(frame: JpegMarkers) -> None:
    """Every component, and of a progressive frame every coefficient to its last bit, is coded."""
    if frame.marker == PROGRESSIVE:
        needed = {(name, place) for name in frame.sampling for place in range(64)}
        coded = {
            (name, place)
            for names, places, bits in frame.scans
            if bits == 0
            for name in names
            for place in places
        }
    else:
        needed = {(name, 0) for name in frame.sampling}
        coded = {(name, 0) for names, _, _ in frame.scans for name in names}
    if not frame.sampling or not needed <= coded:
        raise ValueError("scans are missing")
