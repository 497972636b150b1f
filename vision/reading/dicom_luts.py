"""DICOM look-up tables: modality, VOI and palette (PS3.3 C.11.1, C.11.2, C.7.6.3.1.5, C.7.9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision.reading.dicom_header import element
from vision.reading.grey import Pixels, UInt8Array, in_bands, to_bytes

if TYPE_CHECKING:
    from pydicom import Dataset

COLOURS = ("Red", "Green", "Blue")


class LutRefused(ValueError):
    """A table that contradicts its descriptor; ``field`` is the element's keyword."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@dataclass(frozen=True)
class LookupTable:
    """Entries by stored value; values before and after the table take its first and last."""

    entries: NDArray[np.uint16]
    first: int
    """Stored value that the first entry belongs to."""
    bits: int
    """Depth of the entries, as the descriptor says."""

    def __call__(self, values: Pixels) -> NDArray[np.uint16]:
        """The entry of each value, of the shape of ``values``."""
        at = np.rint(values).astype(np.int64) - self.first
        return self.entries[np.clip(at, 0, self.entries.size - 1)]


def item_table(item: Dataset, order: str, *, negative: bool) -> LookupTable:
    """The table of an item of ModalityLUTSequence or VOILUTSequence.

    Args:
        item: with LUTDescriptor and LUTData.
        order: byte order of the file, ``<`` or ``>``.
        negative: whether the values looked up may be negative: a first value that was written as
            unsigned is then one of two's complement.

    Raises:
        LutRefused: fewer entries than the descriptor says.
    """
    return _table(item, "LUTDescriptor", "LUTData", order, negative)


def full_scale(tables: Sequence[LookupTable]) -> int:
    """The entry that is white: of the descriptor's depth, or of the depth the entries have.

    Writers call tables of 8-bit entries 16 bits deep and the reverse, and put 8 bits into the high
    byte of 16 (C.7.6.3.1.6 allows entries of one byte in words).
    """
    most = max(int(table.entries.max()) for table in tables)
    bits = max(table.bits for table in tables)
    if most <= 255 and bits > 8:
        return 255
    if most > 255 and not any((table.entries & 255).any() for table in tables):
        return 0xFF00
    return max((1 << bits) - 1, (1 << most.bit_length()) - 1)


def by_palette(dataset: Dataset, samples: Pixels, order: str) -> UInt8Array:
    """PALETTE COLOR samples ``(H, W)`` as RGB ``(H, W, 3)``, plain or segmented tables.

    Raises:
        LutRefused: a table is missing, short or of an unknown form.
    """
    tables = [
        _palette(dataset, colour, order, signed=samples.dtype.kind == "i") for colour in COLOURS
    ]
    white = full_scale(tables)

    def coloured(band: Pixels) -> Pixels:
        looked = np.stack([table(band) for table in tables], axis=-1)
        return to_bytes(looked / white)

    return in_bands(coloured, samples, channels=3)


def _palette(dataset: Dataset, colour: str, order: str, *, signed: bool) -> LookupTable:
    described = f"{colour}PaletteColorLookupTableDescriptor"
    data = f"{colour}PaletteColorLookupTableData"
    if data in dataset:
        return _table(dataset, described, data, order, signed)
    data = f"Segmented{data}"
    count, first, bits = _descriptor(dataset, described, signed)
    words = _words(dataset, data, 0 if bits > 8 else 1 << 20, order)
    return LookupTable(_expanded(words, count, bits, data), first, bits)


def _table(item: Dataset, described: str, data: str, order: str, negative: bool) -> LookupTable:
    count, first, bits = _descriptor(item, described, negative)
    entries = _words(item, data, count, order)[:count]
    if entries.size < count - 1:  # one short is a common slip, and the last entry is repeated
        raise LutRefused(data)
    if bits <= 8 and entries.max() > 255 and not (entries & 255).any():
        entries = (entries >> 8).astype(np.uint16)
    return LookupTable(entries.astype(np.uint16), first, bits)


def _descriptor(item: Dataset, field: str, negative: bool) -> tuple[int, int, int]:
    """Number of entries (0 is 65,536), first stored value, bits of an entry."""
    try:
        count, first, bits = (int(number) for number in element(item, field))
    except (TypeError, ValueError):
        raise LutRefused(field) from None
    if not 1 <= bits <= 16 or count < 0:
        raise LutRefused(field)
    if negative and first > 0x7FFF:
        first -= 1 << 16
    return count or 1 << 16, first, bits


def _words(item: Dataset, field: str, count: int, order: str) -> NDArray[np.uint16]:
    """Entries of 16-bit words, or of bytes where there are as many bytes as entries."""
    value: Any = element(item, field)
    if value is None:
        raise LutRefused(field)
    if not isinstance(value, bytes):
        numbers = np.atleast_1d(np.asarray(value))
        if numbers.dtype.kind not in "iuf" or not numbers.size:
            raise LutRefused(field)
        return (numbers.astype(np.int64) & 0xFFFF).astype(np.uint16)
    if len(value) > count + 1:
        return np.frombuffer(value[: len(value) & ~1], f"{order}u2").astype(np.uint16)
    if order == ">" and item[field].VR == "OW":  # bytes are swapped within the words of OW
        value = np.frombuffer(value[: len(value) & ~1], ">u2").astype("<u2").tobytes()
    if not value:
        raise LutRefused(field)
    return np.frombuffer(value, np.uint8).astype(np.uint16)


def _expanded(words: NDArray[np.uint16], count: int, bits: int, field: str) -> NDArray[np.uint16]:
    """Entries of a segmented table (C.7.9.2): discrete, linear and indirect segments."""
    out = np.zeros(count, np.float64)
    filled, at, budget = 0, 0, 1 << 16
    stack: list[tuple[int, int]] = []  # where to go on after an indirect segment, and when
    while filled < count and budget:
        budget -= 1
        if stack and stack[-1][1] == 0:
            at = stack.pop()[0]
            continue
        if stack:
            stack[-1] = (stack[-1][0], stack[-1][1] - 1)
        if at + 2 >= words.size:
            break
        kind, length = int(words[at]), int(words[at + 1])
        at += 2
        if kind == 0:
            part = words[at : at + length].astype(np.float64)
            at += length
        elif kind == 1 and filled:
            start = out[filled - 1]
            part = np.rint(start + (float(words[at]) - start) * np.arange(1, length + 1) / length)
            at += 1
        elif kind == 2 and not stack:
            place = words[at : at + (2 if bits > 8 else 4)].astype(int)
            shifts = np.arange(place.size) * (16 if bits > 8 else 8)
            stack.append((at + place.size, length))
            at = int((place << shifts).sum())
            continue
        else:
            raise LutRefused(field)
        part = part[: count - filled]
        out[filled : filled + part.size] = part
        filled += part.size
    if filled < count:
        raise LutRefused(field)
    return out.astype(np.uint16)
