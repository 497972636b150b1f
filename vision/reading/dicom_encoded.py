"""Encapsulated DICOM frames (PS3.5 annex A.4): checked by their own headers, then decoded.

A frame's header decides what decoding costs, so one that contradicts Rows and Columns is refused
before a decoder sees it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np

from vision.errors import ImageRefused
from vision.reading import jpeg
from vision.reading.bounds import check_cost
from vision.reading.dicom_header import (
    MAX_SEQUENCE_BYTES,
    UNDEFINED_LENGTH,
    BoundedReads,
    DicomHeader,
    element,
)
from vision.reading.grey import Pixels
from vision.reading.native_errors import native_errors_raised

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import Decoder

RLE = "1.2.840.10008.1.2.5"

DECODERS = {
    "1.2.840.10008.1.2.4.5": "pylibjpeg pylibjpeg-libjpeg",  # JPEG .50 to .57
    "1.2.840.10008.1.2.4.7": "pylibjpeg pylibjpeg-libjpeg",  # JPEG lossless, SV1
    "1.2.840.10008.1.2.4.8": "pylibjpeg pylibjpeg-libjpeg",  # JPEG-LS .80, .81
    "1.2.840.10008.1.2.4.9": "pylibjpeg pylibjpeg-openjpeg",  # JPEG 2000 .90, .91
    "1.2.840.10008.1.2.4.20": "pylibjpeg pylibjpeg-openjpeg",  # High-Throughput JPEG 2000
}
"""Start of a transfer syntax to the packages on PyPI that decode it."""

MAX_WAVELET_SAMPLES = 32_000_000
"""Samples of a JPEG 2000 frame: OpenJPEG computes about 10 million a second and holds 12 bytes of
each. Over a mammogram of 4,096 × 5,928."""

MAX_WAVELET_BYTES = 16 << 20
"""Encoded bytes of a JPEG 2000 frame: 6 MB of noise take a second."""

MAX_WAVELET_TILES = 4096

MAX_RUNS = 8_000_000
"""Runs of an RLE frame: pydicom expands about 5 million a second."""

_CODESTREAM = b"\xff\x4f\xff\x51"


def check_decoder(syntax: str, what: str) -> Decoder:
    """The decoder of a transfer syntax.

    Raises:
        ImageRefused: none is known, or none is installed; the message names what to install.
    """
    from pydicom.pixels.decoders.base import get_decoder

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageRefused(
            f"cannot read {what}: no decoder is known for its transfer syntax "
            f"{_syntax_name(syntax)}; export it uncompressed (Explicit VR Little Endian)"
        ) from None
    if not decoder.is_available:
        raise ImageRefused(_install(syntax, what))
    return decoder


def encoded_frame(header: DicomHeader, frame: int) -> bytes:
    """The bytes of one frame, its fragments joined.

    Raises:
        ValueError: not encapsulated, or no such frame among the fragments.
    """
    from pydicom.encaps import get_frame

    dataset, pixels = header.dataset, header.pixels
    if pixels is None or pixels.length != UNDEFINED_LENGTH:
        raise ValueError("not encapsulated")
    table = element(dataset, "ExtendedOffsetTable"), element(dataset, "ExtendedOffsetTableLengths")
    header.stream.seek(pixels.start + 4)
    if int.from_bytes(header.stream.read(4), "little") > MAX_SEQUENCE_BYTES:
        raise ValueError("an offset table of more frames than a file has")
    header.stream.seek(pixels.start)
    return get_frame(
        BoundedReads(header.stream),
        frame,
        number_of_frames=int(dataset.get("NumberOfFrames") or 1),
        extended_offsets=(table[0], table[1]) if table[0] and table[1] else None,
    )


def check_encoded(encoded: bytes, header: DicomHeader, what: str) -> None:
    """Refuse a frame whose own header contradicts the file's, or that costs too much.

    Raises:
        ImageRefused: as said.
        ValueError: the frame is damaged.
    """
    dataset = header.dataset
    size = int(dataset.Columns), int(dataset.Rows)
    pixels, channels = size[0] * size[1], int(dataset.SamplesPerPixel)
    stored = pixels * channels * max(1, int(dataset.BitsAllocated) // 8)
    check_cost(what, samples=stored, working=2 * stored + (10 * pixels if channels > 1 else pixels))
    if len(encoded) > jpeg.MAX_ENCODED:
        check_cost(what, samples=float("inf"), why="its encoded length")
    if header.syntax == RLE:
        _check_runs(encoded, stored, what)
        return
    if encoded[:2] == b"\xff\xd8":
        found, _ = jpeg.read_frame(encoded)
        _check_sizes((found.width, found.height), size, len(found.sampling), channels, what)
        jpeg.check_frame_cost(found, what)
        return
    at = encoded[:4096].find(_CODESTREAM)
    if at < 0:
        raise ValueError("neither JPEG nor JPEG 2000")
    _check_blocks(encoded[at : at + 4096], what)
    right, bottom, left, top, wide, high, tiles_x, tiles_y, components = struct.unpack(
        ">8IH", encoded[at + 8 : at + 42]
    )
    _check_sizes((right - left, bottom - top), size, components, channels, what)
    tiles = -(-(right - tiles_x) // max(1, wide)) * -(-(bottom - tiles_y) // max(1, high))
    if (
        pixels * channels > MAX_WAVELET_SAMPLES
        or len(encoded) > MAX_WAVELET_BYTES
        or tiles > MAX_WAVELET_TILES
    ):
        check_cost(what, samples=float("inf"), why="JPEG 2000")


def decoded_frame(encoded: bytes, header: DicomHeader, what: str) -> tuple[Pixels, str]:
    """Samples ``(H, W)`` or ``(H, W, 3)`` of an encoded frame, and their colour space.

    Raises:
        ImageRefused: the decoder at hand does not support this kind; the message names another.
        Exception: whatever pydicom raises for damaged bytes.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels.utils import as_pixel_options

    decoder = check_decoder(header.syntax, what)
    options = as_pixel_options(header.dataset)
    options |= {"number_of_frames": 1, "pixel_keyword": "PixelData", "index": 0}
    options.pop("extended_offsets", None)
    if header.syntax == RLE:
        options["correct_unused_bits"] = False  # HighBit decides; see dicom_frames
    try:
        with native_errors_raised():
            samples, found = decoder.as_array(encapsulate([encoded]), raw=True, **options)
    except RuntimeError as fault:
        # Pillow stands in for some syntaxes but not for 12-bit JPEG: pydicom says so only here.
        if "does not support" in str(fault) and decoder.missing_dependencies:
            raise ImageRefused(_install(header.syntax, what)) from None
        raise
    if encoded[:2] == b"\xff\xd8" and samples.dtype == np.uint8:
        markers, content = jpeg.read_frame(encoded)
        if markers.marker in jpeg.HUFFMAN_DCT and jpeg.ends_early(
            content, markers, np.atleast_1d(samples[-1, -1]).tolist()
        ):
            raise ValueError("the data end before the image does")
    return np.asarray(samples), str(found["photometric_interpretation"])


def _check_sizes(
    found: tuple[int, int], said: tuple[int, int], components: int, channels: int, what: str
) -> None:
    if found != said or components != channels:
        raise ImageRefused(
            f"cannot read {what}: its encoded frame has {found[0]}×{found[1]} pixels of "
            f"{components} samples, Columns, Rows and SamplesPerPixel say {said[0]}×{said[1]} of "
            f"{channels}; export it again"
        )


def _check_blocks(head: bytes, what: str) -> None:
    """Refuse code-blocks and precincts so small that their book-keeping outweighs the pixels.

    Read from the coding style segment of the main header (ITU-T T.800 A.6.1).
    """
    at = head.find(b"\xff\x52")
    if at < 0:
        raise ValueError("no coding style")
    style, levels, width, height = head[at + 4], head[at + 9], head[at + 10], head[at + 11]
    precincts = head[at + 14 : at + 15 + levels] if style & 1 else b""
    # Exponents less 2 of code-blocks; 4 bits each for precincts, the lowest resolution first.
    small = any(min(size & 15, size >> 4) < 5 for size in precincts[1:])
    if min(width, height) < 2 or small:
        check_cost(what, samples=float("inf"), why="JPEG 2000 blocks of a few pixels")


def _check_runs(encoded: bytes, expected: int, what: str) -> None:
    """Add up the runs of an RLE frame (PS3.5 annex G) without expanding them."""
    count = struct.unpack("<I", encoded[:4])[0]
    if count > 15:
        raise ValueError("more segments than RLE allows")
    starts = [*struct.unpack(f"<{count}I", encoded[4 : 4 + 4 * count]), len(encoded)]
    runs = total = 0
    for start, end in zip(starts, starts[1:], strict=False):
        at = start
        while at < end:
            code = encoded[at]
            total += 257 - code if code > 128 else code + 1 if code < 128 else 0
            at += 2 if code > 128 else code + 2 if code < 128 else 1
            runs += 1
            if runs > MAX_RUNS:
                check_cost(what, samples=float("inf"), why="RLE")
    if total > expected + 256 * count:
        raise ImageRefused(
            f"cannot read {what}: its encoded frame is larger than Rows and Columns say; "
            "export it again"
        )


def _install(syntax: str, what: str) -> str:
    packages = next((p for start, p in DECODERS.items() if syntax.startswith(start)), None)
    remedy = f"pip install {packages}" if packages else "export it uncompressed"
    return f"cannot read {what}: no decoder here for {_syntax_name(syntax)}; {remedy}"


def _syntax_name(syntax: str) -> str:
    from pydicom.uid import UID

    name = UID(syntax).name
    return "(a private one)" if name == syntax else name
