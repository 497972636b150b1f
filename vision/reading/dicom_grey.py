"""From a DICOM's stored grey values to display values: padding, rescale, VOI LUT, window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision.reading.dicom_frames import Frame, contradiction
from vision.reading.dicom_header import Header
from vision.reading.dicom_luts import full_scale, item_table
from vision.reading.grey import Bytes, Pixels, by_window, in_bands, spread, tails

if TYPE_CHECKING:
    from pydicom import Dataset

Step = Callable[[Pixels], Pixels]

PADDING = {
    "PixelData": ("PixelPaddingValue", "PixelPaddingRangeLimit"),
    "FloatPixelData": ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit"),
    "DoubleFloatPixelData": ("DoubleFloatPixelPaddingValue", "DoubleFloatPixelPaddingRangeLimit"),
}
WINDOWS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def dicom_grey(header: Header, frame: Frame, index: int, what: str) -> Bytes:
    """Stored values ``(H, W)`` to ``uint8`` by the file's own rescale and window.

    Padding (PS3.3 C.7.5.1.1.2) and samples that are not finite are left out of the range and
    black on display, for MONOCHROME1 too (CP-692). MONOCHROME1 is inverted.

    Args:
        header: of the file.
        frame: stored values and their container.
        index: the frame's number, from 0.
        what: how messages call the source.

    Raises:
        ImageRefused: elements that contradict each other.
        ValueError: no sample is a finite number, or a table contradicts its descriptor.
    """
    dataset, values = header.dataset, frame.values
    kept = _image_samples(header, frame)
    counted = values.reshape(-1) if kept is None else values[kept]
    modality = _modality(header, index, _ends(counted), what)
    shown = _voi(header, index, modality, _ends(counted), what)
    stored = int(dataset.get("BitsStored") or 0)
    if shown is None and modality is None and stored in (1, 8) and values.dtype.kind == "u":
        white = np.uint8(1 if stored == 8 else 255)
        step: Step = lambda band: band.astype(np.uint8) * white  # noqa: E731
    elif shown is None:
        scale = modality or (lambda band: band)
        if dataset.get("ModalityLUTSequence"):  # not monotone: its results are what is ordered
            low, high = tails(in_bands(scale, counted, dtype=np.uint16), np.asarray)
        else:
            low, high = tails(counted.copy() if kept is None else counted, scale)
        step = lambda band: spread(scale(band), low, high)  # noqa: E731
    else:
        step = shown
    del counted
    inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
    grey = in_bands(lambda band: np.uint8(255) - step(band) if inverted else step(band), values)
    if kept is not None:
        grey[~kept] = 0
    return grey


def _ends(counted: Pixels) -> Pixels:
    return np.array([counted.min(), counted.max()])


def _image_samples(header: Header, frame: Frame) -> NDArray[np.bool_] | None:
    """True where a stored sample is image, False for padding; None where all are.

    The padding value has the samples' own bits (C.7.5.1.1.2): one that was written unsigned in a
    signed file is the negative number of the same bits. One that does not fit in BitsStored is
    compared with the container.
    """
    dataset, values = header.dataset, frame.values
    assert header.pixels is not None
    fields = PADDING[header.pixels.field]
    value, limit = (_padding(dataset, field, header.order) for field in fields)
    image: NDArray[np.bool_] | None = None
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.any():
            raise ValueError("no sample is a finite number")
        image = None if finite.all() else finite
    if value is not None:
        compared = values
        if values.dtype.kind != "f":
            compared, value, limit = _comparable(dataset, frame, int(value), limit)
        low, high = sorted((value, value if limit is None else limit))
        padding = compared == low if low == high else (compared >= low) & (compared <= high)
        inside = ~padding if image is None else image & ~padding
        image = inside if inside.any() else image
    return None if image is None or image.all() else image


def _comparable(
    dataset: Dataset, frame: Frame, value: int, limit: float | None
) -> tuple[Pixels, int, int | None]:
    stored = int(dataset.get("BitsStored") or 8 * frame.values.dtype.itemsize)
    signed = frame.values.dtype.kind == "i"
    least, most = (-(1 << stored - 1), (1 << stored - 1) - 1) if signed else (0, (1 << stored) - 1)
    ends = [value] if limit is None else [value, int(limit)]
    size = 8 * frame.container.dtype.itemsize
    if signed:
        for bits in (stored, size):
            written = [end - (1 << bits) if end > most and end < 1 << bits else end for end in ends]
            if all(least <= end <= most for end in written):
                return frame.values, written[0], None if limit is None else written[-1]
    elif all(least <= end <= most for end in ends):
        return frame.values, ends[0], None if limit is None else ends[-1]
    container = frame.container.view(f"=u{frame.container.dtype.itemsize}")
    bare = [end & ((1 << size) - 1) for end in ends]
    return container, bare[0], None if limit is None else bare[-1]


def _padding(dataset: Dataset, field: str, order: str) -> float | None:
    """A padding element, also where it was written as bytes of unknown type."""
    value = dataset.get(field)
    if isinstance(value, bytes) and len(value) in (2, 4):
        return int.from_bytes(value, "little" if order == "<" else "big")
    return value if isinstance(value, (int, float)) else None


def _modality(header: Header, index: int, ends: Pixels, what: str) -> Step | None:
    """The modality LUT or rescale (C.11.1); None where stored values are output values."""
    dataset = header.dataset
    if dataset.get("ModalityLUTSequence"):
        negative = float(ends[0]) < 0
        return item_table(dataset.ModalityLUTSequence[0], header.order, negative=negative)
    slope = _number(dataset, "RescaleSlope", index)
    intercept = _number(dataset, "RescaleIntercept", index) or 0.0
    if slope == 0.0:
        raise contradiction(what, "RescaleSlope", "is 0")
    if slope in (None, 1.0) and intercept == 0.0:
        return None
    factor = 1.0 if slope is None else slope
    return lambda band: band.astype(np.float64) * factor + intercept


def _voi(
    header: Header, index: int, modality: Step | None, ends: Pixels, what: str
) -> Step | None:
    """The first VOI LUT or window of the frame (C.11.2), from stored values; None for neither."""
    dataset = header.dataset
    scale = modality or (lambda band: band)
    tables = _value(dataset, "VOILUTSequence", index)
    if tables:
        negative = float(scale(ends).min()) < 0
        table = item_table(tables[0], header.order, negative=negative)
        white = full_scale([table])
        return lambda band: spread(table(scale(band)), 0, white)
    centre = _number(dataset, "WindowCenter", index)
    width = _number(dataset, "WindowWidth", index)
    shape = str(_value(dataset, "VOILUTFunction", index) or "LINEAR")
    if centre is None or width is None or width < (1 if shape == "LINEAR" else 0) or width == 0:
        return None
    if shape not in WINDOWS:
        raise contradiction(what, "VOILUTFunction", "is not LINEAR, LINEAR_EXACT or SIGMOID")
    return lambda band: by_window(scale(band), centre, width, shape)


def _value(dataset: Dataset, field: str, index: int) -> Any:
    """A field of the frame, of all frames, or of the object, the closest first (C.7.6.16)."""
    groups: list[Any] = []
    for name, at in (("PerFrameFunctionalGroupsSequence", index),
                     ("SharedFunctionalGroupsSequence", 0)):
        sequence = dataset.get(name) or []
        if at < len(sequence):
            groups.append(sequence[at])
    for group in groups:
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(macro) or []:
                if item.get(field) not in (None, ""):
                    return item.get(field)
    return dataset.get(field)


def _number(dataset: Dataset, field: str, index: int) -> float | None:
    """The first number of a field, None when it is absent, empty or not finite."""
    value = _value(dataset, field, index)
    if value is None or value == "":
        return None
    if not isinstance(value, (int, float)) and hasattr(value, "__len__"):
        value = value[0] if len(value) else "nan"
    number = float(value)
    return number if np.isfinite(number) else None
