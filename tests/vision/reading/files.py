"""Small image files for the tests of reading, built byte by byte where a writer would refuse."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from vision import ImageRefused, read_image

Array = np.ndarray[Any, Any]

PATIENT = "Doe^Jane^Secret"
RAMP = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 4
"""12-bit grey, 0 to 4092."""


def dicom(pixels: Array, stored: int = 12, encoded: bytes = b"", **fields: Any) -> bytes:
    """A small DICOM object; fields replace or add elements, None leaves one out.

    ``stored`` is BitsStored, 24 for RGB of 8 bits. Pixels of floats become FloatPixelData or
    DoubleFloatPixelData; ``encoded`` is a frame to encapsulate instead of them.
    """
    item = Dataset()
    item.file_meta = FileMetaDataset()
    syntax = fields.pop("syntax", ExplicitVRLittleEndian)
    item.file_meta.TransferSyntaxUID = syntax
    item.SOPClassUID, item.SOPInstanceUID = CTImageStorage, generate_uid()
    item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
    item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
    item.PatientName = PATIENT
    item.Rows, item.Columns = pixels.shape[-2:] if stored != 24 else pixels.shape[:2]
    item.BitsAllocated, item.BitsStored = pixels.dtype.itemsize * 8, min(stored, 16)
    if stored == 24:
        item.BitsStored = item.BitsAllocated
    item.HighBit = item.BitsStored - 1
    item.PixelRepresentation = int(pixels.dtype.kind == "i")
    item.SamplesPerPixel = 3 if stored == 24 else 1
    item.PhotometricInterpretation = "RGB" if stored == 24 else "MONOCHROME2"
    if stored == 24:
        item.PlanarConfiguration = 0
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    if pixels.dtype.kind == "f":
        name = "FloatPixelData" if pixels.dtype.itemsize == 4 else "DoubleFloatPixelData"
        setattr(item, name, content)
    else:
        item.PixelData = encapsulate([encoded]) if encoded else content
        item["PixelData"].VR = "OB" if encoded or pixels.dtype.itemsize == 1 else "OW"
    for name, value in fields.items():
        if value is None:
            delattr(item, name)
        else:
            setattr(item, name, value)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        item.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def table(entries: Any, bits: int, *, first: int = 0, vr: str = "US") -> Dataset:
    """An item of ModalityLUTSequence or VOILUTSequence."""
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    values = np.asarray(entries)
    item.add_new("LUTData", vr, values.tobytes() if vr == "OW" else values.tolist())
    return item


def grey(content: bytes, frame: int | None = None) -> Array:
    """The red plane of an image, which is each plane of a grey one."""
    return read_image(content, frame=frame).rgb[:, :, 0]


def points(content: bytes) -> list[int]:
    """The red plane of a 32 × 32 image at top left, centre, left, right and bottom right."""
    return grey(content)[[0, 16, 16, 16, 31], [0, 16, 8, 24, 31]].tolist()


def refusal(content: Any, **options: Any) -> str:
    """The line with which an image is refused; it quotes nothing of the patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRefused) as caught:
            read_image(content, **options)
    message = str(caught.value)
    assert "\n" not in message and "Doe" not in message and "Secret" not in message
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return message


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def fax(damaged: bool) -> bytes:
    """A TIFF of one bit a pixel in Group 4 coding; damaged, libtiff reports bad code words."""
    y, x = np.mgrid[0:64, 0:72]
    disc = ((x - 30) ** 2 + (y - 30) ** 2 < 500) & ((x // 7 + y // 11) % 5 > 0)
    content = bytearray(encoded(Image.fromarray(disc), "TIFF", compression="group4"))
    if damaged:
        content[40:60] = np.random.default_rng(1).bytes(20)
    return bytes(content)


def chunk(kind: bytes, value: bytes) -> bytes:
    """A chunk of a PNG."""
    checksum = zlib.crc32(kind + value)
    return struct.pack(">I", len(value)) + kind + value + struct.pack(">I", checksum)


def png(samples: Array, extra: bytes = b"") -> bytes:
    """A PNG of unfiltered ``(H, W)`` or ``(H, W, C)`` samples, 8 or 16 bits deep.

    ``extra`` are chunks before the pixels.
    """
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    depth = 8 * samples.dtype.itemsize
    rows = samples.astype(samples.dtype.newbyteorder(">")).tobytes()
    step = width * channels * depth // 8
    scan = b"".join(b"\0" + rows[at : at + step] for at in range(0, len(rows), step))
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(scan))
        + chunk(b"IEND", b"")
    )


def tiff(tags: dict[int, tuple[str, tuple[int, ...]]], body: bytes, order: str = "<") -> bytes:
    """A TIFF of one page: tags as (struct code, values), and the body that starts at byte 8."""
    kinds = {"B": 1, "H": 3, "I": 4}
    at = 8 + len(body) + len(body) % 2
    values_at = at + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, (code, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(packed) > 4:
            where = struct.pack(order + "I", values_at + len(values))
            packed, values = where, values + packed
        entries += struct.pack(order + "HHI", tag, kinds[code], len(numbers))
        entries += packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    count = struct.pack(order + "H", len(tags))
    return (
        mark
        + struct.pack(order + "I", at)
        + body.ljust(at - 8, b"\0")
        + count
        + entries
        + bytes(4)
        + values
    )
