"""DICOM to RGB: the frame asked for, rescaled and windowed as the file says, and no patient text.

pydicom is imported on first use, and its warnings and log lines, which can quote any element of
the file, are held back; every failure becomes one line that names fields, never values.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from vision.errors import ImageRefused
from vision.reading.bounds import check_frame, check_size
from vision.reading.dicom_frames import FLOATS, StoredFrame, contradiction, read_frame
from vision.reading.dicom_grey import dicom_grey
from vision.reading.dicom_header import DicomHeader, LongElement, element, read_header
from vision.reading.dicom_luts import LutRefused, by_palette
from vision.reading.grey import UInt8Array, by_depth, grey_rgb, spread
from vision.reading.pillow_pixels import quiet

if TYPE_CHECKING:
    from pydicom import Dataset

NEEDED = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation")
NEEDED_FOR_INTEGERS = ("BitsAllocated", "BitsStored", "PixelRepresentation")
SAMPLES_PER_PIXEL = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
"""PhotometricInterpretation (PS3.3 C.7.6.3.1.2) to the SamplesPerPixel that it stands for."""

_READING = threading.Lock()
"""Warnings and the pydicom logger are process-wide: one reader at a time may silence them."""


def dicom_rgb(stream: BinaryIO, what: str, *, frame: int | None, max_pixels: int) -> UInt8Array:
    """Decode one frame of a DICOM file into ``(H, W, 3)`` ``uint8``.

    Grey: modality LUT or rescale, then the file's VOI LUT or first window (also from the
    functional groups of enhanced objects); without one, 8-bit data stay as they are and deeper
    data run between the percentiles `vision.reading.grey.TAILS` of what is neither padding nor
    without a finite value; both are black. MONOCHROME1 is inverted. Colour: YBR and palette
    become RGB. Overlays are not drawn, and pixels are taken as square.

    Args:
        stream: the whole file.
        what: how messages call the source.
        frame: from 0; None is the first.
        max_pixels: refused above this many, before anything is decoded.

    Raises:
        ImageRefused: no pixels, a missing decoder (the message names what to install), too
            large or too costly, no such frame, elements that are missing or contradict each
            other (the message names them), or a damaged file.
    """
    with _READING, _silenced():
        try:
            header = read_header(stream, what)
            _check(header, what, frame, max_pixels)
            found = read_frame(header, what, frame or 0)
            return _render(header, found, frame or 0, what)
        except ImageRefused:
            raise
        except LongElement as fault:
            raise contradiction(what, fault.field, "is longer than one frame has use for") from None
        except LutRefused as fault:
            raise contradiction(what, fault.field, "is missing or shorter than said") from None
        except Exception:
            # pydicom raises types of its own beside the usual ones. The cause may quote patient
            # text, so it is cut off.
            raise ImageRefused(
                f"cannot read {what}: this DICOM file is truncated or damaged; export it again"
            ) from None


@contextmanager
def _silenced() -> Iterator[None]:
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


def _check(header: DicomHeader, what: str, frame: int | None, max_pixels: int) -> None:
    """The pixel module (C.7.6.3) is whole and agrees with itself."""
    dataset = header.dataset
    if header.pixels is None:
        raise ImageRefused(
            f"cannot read {what}: this DICOM object holds no pixel data (a report, plan or "
            "waveform, or a file cut short); give an image object"
        )
    floats = header.pixels.field in FLOATS
    for field in ("NumberOfFrames", "HighBit"):
        element(dataset, field)  # refused here where it is too long
    _check_present(dataset, what, NEEDED if floats else NEEDED + NEEDED_FOR_INTEGERS)
    check_size(int(dataset.Columns), int(dataset.Rows), what, max_pixels)
    check_frame(frame, int(dataset.get("NumberOfFrames") or 1), what)
    channels = SAMPLES_PER_PIXEL.get(str(dataset.PhotometricInterpretation))
    if channels is None:
        raise contradiction(what, "PhotometricInterpretation", "is not one that is supported here")
    if int(dataset.SamplesPerPixel) != channels or (floats and channels > 1):
        raise contradiction(what, "SamplesPerPixel", "does not fit PhotometricInterpretation")
    if floats:
        return
    if int(dataset.BitsAllocated) not in (1, 8, 16, 32):
        raise contradiction(what, "BitsAllocated", "is not 1, 8, 16 or 32")
    if not 1 <= int(dataset.BitsStored) <= int(dataset.BitsAllocated):
        raise contradiction(what, "BitsStored", "is not between 1 and BitsAllocated")
    if int(dataset.PixelRepresentation) not in (0, 1) or (
        channels > 1 and int(dataset.PixelRepresentation)
    ):
        raise contradiction(what, "PixelRepresentation", "is not one that its pixels can have")
    if channels > 1:
        _check_present(dataset, what, ("PlanarConfiguration",))
        if int(dataset.PlanarConfiguration) not in (0, 1):
            raise contradiction(what, "PlanarConfiguration", "is not 0 or 1")


def _check_present(dataset: Dataset, what: str, fields: tuple[str, ...]) -> None:
    missing = [field for field in fields if element(dataset, field) in (None, "")]
    if missing:
        raise ImageRefused(
            f"cannot read {what}: this DICOM file has no {', '.join(missing)}; export it again"
        )


def _render(header: DicomHeader, frame: StoredFrame, index: int, what: str) -> UInt8Array:
    dataset, values = header.dataset, frame.values
    if frame.colours == "PALETTE COLOR":
        return by_palette(dataset, values, header.order)
    if values.ndim == 2:
        return grey_rgb(dicom_grey(header, frame, index, what))
    stored = int(dataset.BitsStored)
    if values.dtype.itemsize > 1 and stored == 8 * values.dtype.itemsize:
        return by_depth(values)  # the container's depth is rarely that of the samples
    return spread(values, 0, (1 << stored) - 1)
