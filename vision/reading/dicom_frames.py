"""One frame of a DICOM file as stored values: native bytes by the pixel module, or decoded.

Native frames are cut out of the file by PS3.5 section 8 and PS3.3 C.7.6.3; encapsulated ones are
checked by their own headers first and then decoded by pydicom's plug-ins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from vision.errors import ImageRefused
from vision.reading.bounds import check_cost
from vision.reading.dicom_encoded import (
    RLE,
    check_decoder,
    check_encoded,
    decoded_frame,
    encoded_frame,
)
from vision.reading.dicom_header import UNDEFINED_LENGTH, DicomHeader
from vision.reading.dicom_padding import FIELDS, image_samples, read_padding
from vision.reading.grey import Pixels, in_bands

if TYPE_CHECKING:
    from pydicom import Dataset

NATIVE = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
)
FLOATS = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}


@dataclass(frozen=True)
class StoredFrame:
    """Stored values of one frame."""

    values: Pixels
    """``(H, W)``, or ``(H, W, 3)`` for colour: unused bits removed, signed where the file says."""
    image: NDArray[np.bool_] | None
    """True where a grey sample is image and not padding; None where all are."""
    colours: str
    """PhotometricInterpretation of ``values``; decoding may change the file's own."""


def read_frame(header: DicomHeader, what: str, frame: int) -> StoredFrame:
    """Stored values of a frame.

    Raises:
        ImageRefused: too costly, elements that contradict the pixel data, or no decoder.
        Exception: whatever a decoder raises for damaged bytes.
    """
    dataset = header.dataset
    colours = str(dataset.PhotometricInterpretation)
    if header.syntax in NATIVE:
        container = _native(header, what, frame)
    else:
        check_decoder(header.syntax, what)
        encoded = encoded_frame(header, frame)
        check_encoded(encoded, header, what)
        container, colours = decoded_frame(encoded, header, what)
    padding = None
    if colours.startswith("MONOCHROME"):
        padding = read_padding(dataset, header.pixel_data.field, header.order)
    masked = None
    if padding is not None and padding.in_container:
        masked = padding.mask(container.view(f"=u{container.dtype.itemsize}"))
    if header.pixel_data.field in FLOATS:
        values = container
    elif header.syntax in NATIVE or header.syntax == RLE:
        values = _stored_values(container, dataset, what)
    else:
        values = _without_unused_bits(container, dataset)
    if padding is not None and not padding.in_container:
        masked = padding.mask(values)
    if values.ndim == 3:
        values, colours = _rgb(values, colours, what)
    return StoredFrame(values, image_samples(values, masked) if values.ndim == 2 else None, colours)


def contradiction(what: str, fields: str, why: str) -> ImageRefused:
    """The refusal of elements that do not agree with each other or with the pixel data."""
    return ImageRefused(f"cannot read {what}: {fields} {why}; correct it or export the image again")


def _native(header: DicomHeader, what: str, frame: int) -> Pixels:
    dataset, pixels = header.dataset, header.pixel_data
    rows, columns, channels = int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel)
    count = rows * columns * channels
    if pixels.field in FLOATS:
        dtype, bits = np.dtype(header.order + FLOATS[pixels.field]), 0
    else:
        bits = int(dataset.BitsAllocated)
        dtype = np.dtype(f"{header.order}u{max(8, bits) // 8}")
    halved = channels == 3 and str(dataset.PhotometricInterpretation) == "YBR_FULL_422"
    if halved:
        count = rows * columns * 2
    frames = int(dataset.get("NumberOfFrames") or 1)
    each = count / 8 if bits == 1 else count * dtype.itemsize
    if pixels.length == UNDEFINED_LENGTH:
        raise contradiction(what, "TransferSyntaxUID", "says native, its frames are encapsulated")
    if min(pixels.length, header.stream.seek(0, 2) - pixels.start) < each * frames:
        raise ImageRefused(
            f"cannot read {what}: its {pixels.field} is truncated or damaged: shorter than Rows, "
            "Columns and the other elements say; export it again"
        )
    if pixels.length >= each * (frames + 0.5) + 2:
        raise contradiction(
            what,
            f"its {pixels.field}",
            "is longer than Rows, Columns, SamplesPerPixel, "
            "BitsAllocated, PhotometricInterpretation and NumberOfFrames say",
        )
    stored = count * dtype.itemsize
    copies = 1 if str(dataset.PhotometricInterpretation) == "RGB" else 2
    padded = any(field in dataset for field in FIELDS[pixels.field])
    check_cost(what, samples=stored, working=copies * stored + padded * rows * columns)
    if bits == 1:
        return _bits(header, frame * count, count).reshape(rows, columns)
    flat = _samples(header, pixels.start + int(frame * each), count, dtype)
    if halved:
        return _unpacked_422(flat, rows, columns)
    if channels == 1:
        return flat.reshape(rows, columns)
    if int(dataset.PlanarConfiguration) == 1:  # C.7.6.3.1.3: plane by plane
        return flat.reshape(channels, rows, columns).transpose(1, 2, 0)
    return flat.reshape(rows, columns, channels)


def _samples(header: DicomHeader, start: int, count: int, dtype: np.dtype[np.generic]) -> Pixels:
    pixels = header.pixel_data
    swapped = dtype.itemsize == 1 and header.order == ">" and pixels.vr == "OW"
    lead = (start - pixels.start) & 1 if swapped else 0
    header.stream.seek(start - lead)
    content = bytearray(header.stream.read(count * dtype.itemsize + 2 * swapped))
    if swapped:  # OW holds two samples of 8 bits in a word of the file's byte order (PS3.5 8.1.1)
        content = content[: len(content) & ~1]
        content[0::2], content[1::2] = content[1::2], content[0::2]
    flat = np.frombuffer(content, dtype, count, lead)
    return flat if dtype.isnative else flat.astype(dtype.newbyteorder("="))


def _bits(header: DicomHeader, first: int, count: int) -> NDArray[np.uint8]:
    """Samples of one bit, the first in the lowest bit of a byte (PS3.5 8.1.1)."""
    pixels = header.pixel_data
    packed = _samples(
        header, pixels.start + first // 8, -(-(first % 8 + count) // 8), np.dtype("u1")
    )
    unpacked = np.unpackbits(packed, bitorder="little")
    return unpacked[first % 8 : first % 8 + count]


def _unpacked_422(flat: Pixels, rows: int, columns: int) -> Pixels:
    """YBR_FULL_422 (C.7.6.3.1.2): two Y, then the Cb and Cr that both pixels share."""
    pairs = flat.reshape(rows, columns // 2, 4)
    out = np.empty((rows, columns // 2, 2, 3), flat.dtype)
    out[..., 0] = pairs[..., :2]
    out[..., 1] = pairs[..., 2:3]
    out[..., 2] = pairs[..., 3:4]
    return cast(Pixels, out.reshape(rows, columns, 3))


def _stored_values(container: Pixels, dataset: Dataset, what: str) -> Pixels:
    """The BitsStored bits below HighBit, of two's complement where signed (PS3.5 8.1.1)."""
    allocated = container.dtype.itemsize * 8
    if int(dataset.BitsAllocated) == 1:
        return container
    stored = int(dataset.BitsStored)
    high = dataset.get("HighBit")
    high = stored - 1 if high is None else int(high)
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise contradiction(what, "BitsStored and HighBit", "do not fit in BitsAllocated")
    signed = int(dataset.PixelRepresentation) == 1
    if stored == allocated:
        return container.view(f"=i{container.dtype.itemsize}") if signed else container
    container <<= allocated - 1 - high  # in place: it is not needed any more
    values = container.view(f"=i{container.dtype.itemsize}") if signed else container
    values >>= allocated - stored
    return values


def _without_unused_bits(values: Pixels, dataset: Dataset) -> Pixels:
    """Decoded samples cut to BitsStored; the decoders have applied the sign."""
    stored = int(dataset.BitsStored)
    if values.dtype.kind != "u" or not 1 < stored < values.dtype.itemsize * 8:
        return values
    return np.asarray(values & values.dtype.type((1 << stored) - 1))


def _rgb(values: Pixels, colours: str, what: str) -> tuple[Pixels, str]:
    """Colour samples as RGB (C.7.6.3.1.2)."""
    if colours == "RGB":
        return values, colours
    if colours not in ("YBR_FULL", "YBR_FULL_422"):
        raise contradiction(what, "PhotometricInterpretation", "is not one that is supported here")
    if values.dtype != np.uint8:
        raise contradiction(what, "BitsAllocated", "is not 8 beside YBR colours")
    from pydicom.pixels.processing import convert_color_space

    return in_bands(lambda band: convert_color_space(band, "YBR_FULL", "RGB"), values), "RGB"
