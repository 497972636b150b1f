"""Which samples of a DICOM frame are image and which are padding (PS3.3 C.7.5.1.1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vision.reading.dicom_header import element
from vision.reading.grey import Pixels

if TYPE_CHECKING:
    from pydicom import Dataset

FIELDS = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}


@dataclass(frozen=True)
class Padding:
    """The range of values that are no image."""

    low: float
    high: float
    in_container: bool
    """Whether the samples as they lie in the file are compared, unused bits and all."""

    def mask(self, values: Pixels) -> NDArray[np.bool_]:
        """True where a sample is padding."""
        if self.low == self.high:
            return np.asarray(values == self.low)
        return (values >= self.low) & (values <= self.high)


def read_padding(dataset: Dataset, field: str, order: str) -> Padding | None:
    """The file's padding value or range, None for none.

    The padding value has the bits of the samples: one written as unsigned in a signed file stands
    for the negative number of the same bits. One that does not fit in BitsStored can only be meant
    of the container.

    Args:
        dataset: with BitsStored, BitsAllocated and PixelRepresentation for ``PixelData``.
        field: the pixel data element.
        order: byte order of the file, ``<`` or ``>``.
    """
    value, limit = (_number(dataset, name, order) for name in FIELDS[field])
    if value is None:
        return None
    ends = [value] if limit is None else [value, limit]
    if field != "PixelData":
        return Padding(min(ends), max(ends), in_container=False)
    whole = [int(end) for end in ends]
    stored, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    signed = int(dataset.PixelRepresentation) == 1
    least, most = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    for bits in (stored, allocated) if signed else (stored,):
        meant = [end - (1 << bits) if signed and most < end < 1 << bits else end for end in whole]
        if all(least <= end <= most for end in meant):
            return Padding(min(meant), max(meant), in_container=False)
    raw = [end % (1 << allocated) for end in whole]
    return Padding(min(raw), max(raw), in_container=True)


def image_samples(values: Pixels, padding: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """True where a sample is image, None where all are.

    Samples that are not finite are no image. Where nothing but padding is left, the padding value
    is taken for an error of the file, and ignored.

    Raises:
        ValueError: no sample is a finite number.
    """
    image = None if padding is None else ~padding
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.any():
            raise ValueError("no sample is a finite number")
        image = finite if image is None or not (finite & image).any() else finite & image
    elif image is not None and not image.any():
        image = None
    return None if image is None or image.all() else image


def _number(dataset: Dataset, field: str, order: str) -> float | None:
    """A padding element, also where it was written as bytes of unknown type."""
    value = element(dataset, field)
    if isinstance(value, bytes) and len(value) in (2, 4):
        return int.from_bytes(value, "little" if order == "<" else "big")
    return value if isinstance(value, (int, float)) else None
