"""A DICOM file up to its pixels: transfer syntax, data set, and where the pixel data lie.

pydicom parses; what it would do without bound is bounded here: inflating (PS3.5 A.5) and reading
millions of elements.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from vision.errors import ImageRefused

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT = b"1.2.840.10008.1.2.1\0"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
UNDEFINED_LENGTH = 0xFFFFFFFF

MAX_INFLATED = 256 << 20
"""Bytes that a deflated file may grow to; deflate can grow a thousandfold."""

MAX_READS = 400_000
"""Reads of the stream while elements are parsed, two or three an element: about 2 s."""

MAX_READ_BYTES = 128 << 20
"""Bytes of elements before the pixel data, or of one encoded frame."""

MAX_VALUE_BYTES = 1 << 20
MAX_SEQUENCE_BYTES = 8 << 20
FUNCTIONAL_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")

MAX_META_ELEMENTS = 256

_LONG_LENGTH = (
    b"OB",
    b"OD",
    b"OF",
    b"OL",
    b"OV",
    b"OW",
    b"SQ",
    b"UC",
    b"UN",
    b"UR",
    b"UT",
    b"SV",
    b"UV",
)
"""Value representations whose explicit length takes four bytes (PS3.5 7.1.2)."""

_PIXEL_FIELDS = {
    0x7FE00010: "PixelData",
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
}


@dataclass(frozen=True)
class PixelElement:
    """The pixel data element of a file."""

    field: str
    """``PixelData``, ``FloatPixelData`` or ``DoubleFloatPixelData``."""
    vr: str
    """Its value representation; ``OW`` in implicit files."""
    start: int
    """Of its value, in bytes of the stream."""
    length: int
    """Of its value, in bytes, or `UNDEFINED_LENGTH` for encapsulated frames."""


@dataclass(frozen=True)
class DicomHeader:
    """What a file says of its pixels, without them."""

    dataset: Dataset
    stream: BinaryIO
    """The file, inflated where it was deflated."""
    syntax: str
    """UID of the transfer syntax."""
    pixels: PixelElement | None

    @property
    def pixel_data(self) -> PixelElement:
        """The element with the pixels; ValueError where there is none (`dicom` refuses that)."""
        if self.pixels is None:
            raise ValueError("no pixel data")
        return self.pixels

    @property
    def order(self) -> str:
        """Byte order of numbers, ``<`` or ``>``."""
        return ">" if self.syntax == BIG_ENDIAN else "<"


class TooMuchToRead(Exception):
    """Raised through pydicom's parser, which catches the usual errors."""


class BoundedReads(io.BufferedIOBase):
    """A stream that ends parsing after `MAX_READS` reads or `MAX_READ_BYTES` bytes."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.reads, self.bytes = MAX_READS, MAX_READ_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as the stream does."""
        content = self.stream.read(self.bytes + 1 if size is None or size < 0 else size)
        self.reads -= 1
        self.bytes -= len(content)
        if self.reads < 0 or self.bytes < 0:
            raise TooMuchToRead
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to a place of the stream."""
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        """The place in the stream."""
        return self.stream.tell()


def element(dataset: Dataset, field: str) -> Any:
    """The value of an element, None where it is absent, and never one too long for its purpose.

    pydicom converts a value when it is first asked for, and makes a Python object of each number:
    a longer value than the pixel modules have use for is not converted.

    Raises:
        LongElement: over `MAX_VALUE_BYTES`, or `MAX_SEQUENCE_BYTES` for functional groups.
    """
    if field not in dataset:
        return None
    raw = dataset.get_item(field)
    limit = MAX_SEQUENCE_BYTES if field in FUNCTIONAL_GROUPS else MAX_VALUE_BYTES
    if isinstance(raw, tuple) and isinstance(raw[3], bytes) and len(raw[3]) > limit:
        raise LongElement(field)
    return dataset.get(field)


class LongElement(ValueError):
    """An element that is longer than one frame has use for; ``field`` is its keyword."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


def read_header(stream: BinaryIO, what: str) -> DicomHeader:
    """Parse a file as far as its pixel data.

    Raises:
        ImageRefused: a deflated file that grows over `MAX_INFLATED`, or too many elements.
        Exception: whatever pydicom raises for damaged bytes.
    """
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    start, syntax = _file_meta(stream)
    if syntax == DEFLATED:
        stream = _inflated(stream, start, what)
    stream.seek(0)
    try:
        dataset = dcmread(BoundedReads(stream), force=True, stop_before_pixels=True)
    except TooMuchToRead:
        raise ImageRefused(
            f"cannot read {what}: this DICOM file has more elements than one frame needs; "
            "export the frame as an object of its own"
        ) from None
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    if "TransferSyntaxUID" not in meta:
        implicit, little = dataset.original_encoding
        plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
    dataset.file_meta = meta
    syntax = str(meta.TransferSyntaxUID)
    return DicomHeader(dataset, stream, syntax, _pixel_element(stream, syntax))


def _file_meta(stream: BinaryIO) -> tuple[int, str]:
    """Where the file meta information ends, and the transfer syntax that it names (PS3.10 7.1).

    Raises:
        ValueError: it ends with the file.
    """
    start = stream.read(PREAMBLE + 4)
    at = PREAMBLE + 4 if start[PREAMBLE:] == b"DICM" else 0
    syntax = ""
    for _ in range(MAX_META_ELEMENTS):
        stream.seek(at)
        head = stream.read(12)
        if head[:2] != b"\x02\x00":
            if at == PREAMBLE + 4 and len(head) < 8:
                raise ValueError("no elements")
            return at, syntax
        if len(head) < 8:
            raise ValueError("the file ends inside its meta information")
        if head[4:6] in _LONG_LENGTH:
            at, length = at + 12, int.from_bytes(head[8:12], "little")
        else:
            at, length = at + 8, int.from_bytes(head[6:8], "little")
        stream.seek(at)
        if head[2:4] == b"\x10\x00":
            syntax = stream.read(min(length, 64)).rstrip(b"\0 ").decode("ascii", "replace")
        at += length
        if at > stream.seek(0, io.SEEK_END):
            raise ValueError("the file ends inside its meta information")
    raise ValueError("more meta information than a file has use for")


def _inflated(stream: BinaryIO, start: int, what: str) -> BinaryIO:
    """The file with its data set inflated in steps: pydicom would inflate a bomb whole."""
    stream.seek(0)
    whole = io.BytesIO()
    whole.write(stream.read(start).replace(DEFLATED.encode(), EXPLICIT.ljust(len(DEFLATED), b"\0")))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while not inflater.eof:
        piece = inflater.unconsumed_tail or stream.read(1 << 16)
        if not piece:
            raise ValueError("the deflated data end early")
        whole.write(inflater.decompress(piece, 1 << 20))
        if whole.tell() > MAX_INFLATED:
            raise ImageRefused(
                f"cannot read {what}: this deflated DICOM grows over {MAX_INFLATED >> 20} MiB; "
                "export the frame you need without compression"
            )
    return whole


def _pixel_element(stream: BinaryIO, syntax: str) -> PixelElement | None:
    """The pixel data element at which parsing stopped, None at the end of the file."""
    order = ">" if syntax == BIG_ENDIAN else "<"
    head = stream.read(8)
    if len(head) < 8:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    field = _PIXEL_FIELDS.get(group << 16 | element)
    if field is None:
        return None
    vr, length = "OW", struct.unpack(order + "I", head[4:])[0]
    if head[4:6] in _LONG_LENGTH:  # explicit; some files are not what their syntax says
        vr, length = head[4:6].decode(), struct.unpack(order + "I", stream.read(4))[0]
    return PixelElement(field, vr, stream.tell(), length)
