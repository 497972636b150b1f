"""DICOM to RGB: the frame asked for, rescaled and windowed as the file says, and no patient text.

pydicom is imported on first use, and its warnings and log lines, which can quote any element of
the file, are held back; every failure becomes one line that names fields, never values.
"""

from __future__ import annotations

import io
import logging
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vision.errors import ImageRefused
from vision.reading.dicom_grey import dicom_grey
from vision.reading.grey import Pixels, spread
from vision.reading.raster import BROKEN, check_frame, check_size, grey_rgb, quiet

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
PIXEL_FIELDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
NEEDED = ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation", "SamplesPerPixel")
DEFLATED = b"1.2.840.10008.1.2.1.99"
MAX_INFLATED = 1 << 30
"""Bytes that a deflated file may grow to, 1 GiB; deflate can grow a thousandfold."""

DECODERS = {
    "1.2.840.10008.1.2.4.5": "pylibjpeg pylibjpeg-libjpeg",  # JPEG .50 to .57
    "1.2.840.10008.1.2.4.7": "pylibjpeg pylibjpeg-libjpeg",  # JPEG lossless, SV1
    "1.2.840.10008.1.2.4.8": "pylibjpeg pylibjpeg-libjpeg",  # JPEG-LS .80, .81
    "1.2.840.10008.1.2.4.9": "pylibjpeg pylibjpeg-openjpeg",  # JPEG 2000 .90, .91
    "1.2.840.10008.1.2.4.20": "pylibjpeg pylibjpeg-openjpeg",  # High-Throughput JPEG 2000
}
"""Start of a transfer syntax to the packages on PyPI that decode it."""

_READING = threading.Lock()
"""Warnings and the pydicom logger are process-wide: one reader at a time may hush them."""


def has_dicom_mark(content: bytes) -> bool:
    """True for ``DICM`` after the preamble of 128 free bytes."""
    return content[PREAMBLE : PREAMBLE + 4] == b"DICM"


def looks_like_bare_dicom(content: bytes) -> bool:
    """True for a first element of group 2 or 8: DICOM written without preamble and mark."""
    if len(content) < 8 or content[0] not in (2, 8) or content[1] != 0 or content[3] != 0:
        return False
    explicit = content[4:6].isalpha() and content[4:6].isupper()
    return explicit or int(struct.unpack("<I", content[4:8])[0]) <= 64


def dicom_rgb(
    content: bytes, what: str, *, frame: int | None, max_pixels: int
) -> NDArray[np.uint8]:
    """Decode one frame of a DICOM file into ``(H, W, 3)`` ``uint8``.

    Grey: modality LUT or rescale, then the file's VOI LUT or first window (also from the
    functional groups of enhanced objects); without one, 8-bit data stay as they are and deeper
    data run between the percentiles `vision.reading.grey.TAILS` of what is not padding.
    MONOCHROME1 is inverted. Colour: YBR and palette become RGB. Overlays are not drawn, and pixels
    are taken as square.

    Args:
        content: the whole file.
        what: how messages call the source.
        frame: from 0; None is the first.
        max_pixels: refused above this many, before anything is decoded.

    Raises:
        ImageRefused: no pixels, a missing decoder (the message names what to install), too
            large, no such frame, or a damaged file.
    """
    with _READING, _hushed():
        try:
            dataset = _parse(content, what)
            _check(dataset, what, frame, max_pixels)
            _check_decoder(dataset, what)
            return _render(dataset, _decode(dataset, what, frame or 0), frame or 0)
        except ImageRefused:
            raise
        except BROKEN:
            # The cause may quote patient text, so it is cut off.
            raise ImageRefused(
                f"cannot read {what}: this DICOM file is truncated or damaged; export it again"
            ) from None


@contextmanager
def _hushed() -> Iterator[None]:
    log = logging.getLogger("pydicom")
    before = log.propagate, log.level, log.disabled
    children = [logging.getLogger(f"pydicom.pixels.{name}") for name in ("utils", "decoders.base")]
    levels = [child.level for child in children]
    log.propagate, log.disabled = False, True
    for child in children:
        child.setLevel(logging.CRITICAL + 1)
    try:
        with quiet():
            yield
    finally:
        log.propagate, log.level, log.disabled = before
        for child, level in zip(children, levels, strict=True):
            child.setLevel(level)


def _parse(content: bytes, what: str) -> Dataset:
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    _check_deflated(content, what)
    dataset = dcmread(io.BytesIO(content), force=True)
    meta = getattr(dataset, "file_meta", None)
    if meta is None or "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        dataset.file_meta = meta if meta is not None else FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
    return dataset


def _check_deflated(content: bytes, what: str) -> None:
    """Inflate in steps first: pydicom would inflate a bomb whole."""
    head = content[: PREAMBLE + 4 + 2048]
    at = head.find(b"\x02\x00\x00\x00UL\x04\x00")
    if DEFLATED not in head or at < 0:
        return
    start = at + 12 + struct.unpack("<I", content[at + 8 : at + 12])[0]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    left, grown = content[start:], 0
    while left and not inflater.eof:
        grown += len(inflater.decompress(left, 1 << 24))
        left = inflater.unconsumed_tail
        if grown > MAX_INFLATED:
            raise ImageRefused(
                f"cannot read {what}: this deflated DICOM grows over {MAX_INFLATED >> 20} MiB; "
                "export the frame you need without compression"
            )


def _check(dataset: Dataset, what: str, frame: int | None, max_pixels: int) -> None:
    if not any(field in dataset for field in PIXEL_FIELDS):
        raise ImageRefused(
            f"cannot read {what}: this DICOM object holds no pixel data (a report, plan or "
            "waveform, perhaps); give an image object"
        )
    missing = [field for field in NEEDED if dataset.get(field) in (None, "")]
    if missing:
        raise ImageRefused(
            f"cannot read {what}: this DICOM file has no {', '.join(missing)}; export it again"
        )
    check_size(int(dataset.Columns), int(dataset.Rows), what, max_pixels)
    check_frame(frame, int(dataset.get("NumberOfFrames") or 1), what)


def _check_decoder(dataset: Dataset, what: str) -> None:
    from pydicom.pixels.decoders.base import get_decoder

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ImageRefused(
            f"cannot read {what}: no decoder is known for its transfer syntax "
            f"{_syntax_name(syntax)}; export it uncompressed (Explicit VR Little Endian)"
        ) from None
    if not decoder.is_available:
        raise ImageRefused(_install(syntax, what))


def _decode(dataset: Dataset, what: str, frame: int) -> Pixels:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        return np.asarray(pixel_array(dataset, index=frame))
    except RuntimeError as fault:
        # Pillow stands in for some syntaxes but not for 12-bit JPEG: pydicom says so only here.
        if "does not support" in str(fault) and get_decoder(syntax).missing_dependencies:
            raise ImageRefused(_install(syntax, what)) from None
        raise


def _install(syntax: str, what: str) -> str:
    packages = next((p for start, p in DECODERS.items() if syntax.startswith(start)), None)
    mend = f"pip install {packages}" if packages else "export it uncompressed"
    return f"cannot read {what}: no decoder here for {_syntax_name(syntax)}; {mend}"


def _syntax_name(syntax: str) -> str:
    from pydicom.uid import UID

    name = UID(syntax).name
    return "(a private one)" if name == syntax else name


def _render(dataset: Dataset, samples: Pixels, frame: int) -> NDArray[np.uint8]:
    from pydicom.pixels.processing import apply_color_lut, convert_color_space

    kind = str(dataset.PhotometricInterpretation)
    if kind == "PALETTE COLOR":
        coloured = apply_color_lut(samples, dataset)[:, :, :3]
        return spread(coloured, 0, float(np.iinfo(coloured.dtype).max))
    if samples.ndim == 3:
        if kind in ("YBR_FULL", "YBR_FULL_422") and samples.dtype != np.uint8:
            samples = convert_color_space(samples, kind, "RGB")
        top = (1 << int(dataset.get("BitsStored") or dataset.BitsAllocated)) - 1
        return spread(samples[:, :, :3], 0, top)
    grey = dicom_grey(dataset, samples, frame)
    return grey_rgb(np.uint8(255) - grey if kind == "MONOCHROME1" else grey)
