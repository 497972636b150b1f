"""A TIFF's directory of tags (TIFF 6.0 section 2; BigTIFF), read within bounds.

Pillow loads every value that a directory names, and values may overlap: a small file can name
terabytes. Here only the tags asked for are loaded, and the sum of all is checked. EXIF metadata
has the same form.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Any, BinaryIO, Literal

MAX_ENTRIES = 4096
MAX_VALUE_BYTES = 64 << 20
"""Bytes that the values of all directories walked may take, thumbnails and profiles included."""

MAX_LOADED = 200_000
"""Values of one tag, as the offsets of strips or tiles: decoding each has a cost of its own."""

_FORMATS = {
    1: "B",
    2: "c",
    3: "H",
    4: "I",
    6: "b",
    7: "c",
    8: "h",
    9: "i",
    11: "f",
    12: "d",
    13: "I",
    16: "Q",
    17: "q",
    18: "Q",
}
_SIZES = {5: 8, 10: 8} | {kind: struct.calcsize("<" + code) for kind, code in _FORMATS.items()}
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


class Tag(IntEnum):
    """Tags that decide the pixels (TIFF 6.0 sections 8, 15 and 18)."""

    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIPS = 273
    """Offsets of the strips."""
    ORIENTATION = 274
    CHANNELS = 277
    STRIP_ROWS = 278
    STRIP_BYTES = 279
    """Lengths of the strips."""
    PLANAR = 284
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    """Offsets of the tiles."""
    TILE_BYTES = 325
    """Lengths of the tiles."""
    EXTRA = 338
    """Kinds of the samples after grey or RGB."""
    FORMAT = 339
    """Of the samples: unsigned, signed or float."""


class DirectoryTooLarge(ValueError):
    """A directory with more tags or values than an image has use for."""


class NoSuchPage(ValueError):
    """The chain of directories ends before the page asked for; ``pages`` is its length."""

    def __init__(self, pages: int) -> None:
        super().__init__(f"{pages} pages")
        self.pages = pages


@dataclass(frozen=True)
class Directory:
    """The tags asked for of one page."""

    order: Literal["<", ">"]
    tags: dict[int, tuple[Any, ...]]

    def one(self, tag: int, default: int) -> int:
        """The first value of a tag."""
        return int(self.tags.get(tag, (default,))[0])


def read_directory(stream: BinaryIO, wanted: Iterable[int], page: int = 0) -> Directory:
    """The directory of a page, counted from 0.

    Raises:
        NoSuchPage: fewer pages.
        DirectoryTooLarge: over `MAX_ENTRIES`, `MAX_VALUE_BYTES` or `MAX_LOADED`.
        ValueError, struct.error: no TIFF, or a damaged one.
    """
    stream.seek(0)
    mark = stream.read(4)
    order: Literal["<", ">"] = "<" if mark[:2] == b"II" else ">"
    version = struct.unpack(order + "H", mark[2:])[0]
    if mark[:2] not in (b"II", b"MM") or version not in (42, 43):
        raise ValueError("not a TIFF directory")
    big = version == 43
    at = _unpack(stream, order + ("4xQ" if big else "I"))
    seen: set[int] = set()
    used = 0
    while True:
        if at == 0 or at in seen:
            raise NoSuchPage(len(seen))
        seen.add(at)
        stream.seek(at)
        count = _unpack(stream, order + ("Q" if big else "H"))
        if count > MAX_ENTRIES:
            raise DirectoryTooLarge
        entry = struct.Struct(order + ("HHQ8s" if big else "HHI4s"))
        entries = list(entry.iter_unpack(_exactly(stream, count * entry.size)))
        following = stream.read(8 if big else 4)
        used += sum(_SIZES.get(kind, 1) * number for _, kind, number, _ in entries)
        if used > MAX_VALUE_BYTES:
            raise DirectoryTooLarge
        if len(seen) > page:
            return Directory(order, _values(stream, order, entries, frozenset(wanted)))
        at = struct.unpack(order + ("Q" if big else "I"), following)[0] if following else 0


def orientation(info: Mapping[str | tuple[int, int], Any]) -> int:
    """EXIF orientation, 1 to 8, from a Pillow image's ``info``: its EXIF or else its XMP.

    Metadata that is damaged counts as none: 1, upright.
    """
    blob = info.get("exif")
    if blob is None and isinstance(info.get("Raw profile type exif"), str):
        try:  # ImageMagick's form, hexadecimal after three lines
            blob = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
        except ValueError:
            blob = None
    found = exif_orientation(blob) if isinstance(blob, bytes) else None
    if found is None:
        packet = info.get("XML:com.adobe.xmp") or info.get("xmp") or b""
        match = _XMP_ORIENTATION.search(packet.encode() if isinstance(packet, str) else packet)
        found = int(match[1]) if match else 1
    return found if 1 <= found <= 8 else 1


def exif_orientation(blob: bytes) -> int | None:
    """The orientation that an EXIF block names, None where it names none or is damaged."""
    try:
        tags = read_directory(BytesIO(blob.removeprefix(b"Exif\0\0")), [Tag.ORIENTATION]).tags
        return int(tags[Tag.ORIENTATION][0])
    except (ValueError, LookupError, struct.error, TypeError):
        return None


def _values(
    stream: BinaryIO,
    order: str,
    entries: list[tuple[int, int, int, bytes]],
    wanted: frozenset[int],
) -> dict[int, tuple[Any, ...]]:
    tags: dict[int, tuple[Any, ...]] = {}
    for tag, kind, count, field in entries:
        code = _FORMATS.get(kind)
        if tag not in wanted or code is None or count == 0:
            continue
        if count > MAX_LOADED:
            raise DirectoryTooLarge
        size = count * _SIZES[kind]
        if size > len(field):
            stream.seek(struct.unpack(order + ("Q" if len(field) == 8 else "I"), field)[0])
            field = _exactly(stream, size)
        tags[tag] = struct.unpack(f"{order}{count}{code}", field[:size])
    return tags


def _unpack(stream: BinaryIO, form: str) -> int:
    return int(struct.unpack(form, _exactly(stream, struct.calcsize(form)))[0])


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise ValueError("the file ends inside its directory")
    return content
