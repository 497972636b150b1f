"""From a DICOM's stored grey samples to display values: rescale, VOI LUT, window, padding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vision.reading.grey import Pixels, by_depth, by_percentiles, by_window, spread, to_bytes

if TYPE_CHECKING:
    from pydicom import Dataset


def dicom_grey(dataset: Dataset, samples: Pixels, frame: int) -> NDArray[np.uint8]:
    """Stored samples ``(H, W)`` to ``uint8`` by the file's own rescale and window.

    Padding becomes the darkest value of the rest. MONOCHROME1 is not inverted here.

    Raises:
        Exception: any of `vision.reading.raster.BROKEN` for fields that contradict each other.
    """
    kept = _not_padding(dataset, samples)
    samples = _stored_bits(dataset, samples)
    if dataset.get("ModalityLUTSequence"):
        values = _looked_up(dataset.ModalityLUTSequence[0], samples)
    else:
        slope = _number(dataset, "RescaleSlope", frame)
        intercept = _number(dataset, "RescaleIntercept", frame)
        plain = slope in (None, 1.0) and intercept in (None, 0.0)
        values = (
            samples if plain else samples * (1.0 if slope is None else slope) + (intercept or 0.0)
        )
    if dataset.get("VOILUTSequence"):
        table = dataset.VOILUTSequence[0]
        depth = int(table.LUTDescriptor[2])
        return spread(_looked_up(table, values), 0, (1 << depth) - 1)
    centre = _number(dataset, "WindowCenter", frame)
    width = _number(dataset, "WindowWidth", frame)
    if centre is not None and width is not None and width >= 1:
        shape = _value(dataset, "VOILUTFunction", frame) or "LINEAR"
        grey = by_window(values, centre, width, str(shape))
    elif values is samples and int(dataset.get("BitsStored") or 0) in (1, 8) and _unsigned(dataset):
        grey = (
            to_bytes(samples.astype(np.float64))
            if dataset.BitsStored == 1
            else by_depth(samples.astype(np.uint8))
        )
    else:
        grey = by_percentiles(values, kept)
    return np.where(kept, grey, grey[kept].min(initial=255)).astype(np.uint8)


def _stored_bits(dataset: Dataset, samples: Pixels) -> Pixels:
    """Cut off what old files hide above BitsStored, such as overlay planes."""
    stored = int(dataset.get("BitsStored") or 0)
    if samples.dtype.kind != "u" or not 1 < stored < samples.dtype.itemsize * 8:
        return samples
    masked: Pixels = samples & samples.dtype.type((1 << stored) - 1)
    return masked


def _looked_up(table: Dataset, values: Pixels) -> Pixels:
    """A modality or VOI look-up table (PS3.3 C.11.1, C.11.2) over ``values``.

    pydicom's own function keeps the index in the type of the entries and so wraps it round for
    a long table of 8-bit entries.
    """
    count, first = int(table.LUTDescriptor[0]) or 1 << 16, int(table.LUTDescriptor[1])
    if first > 0x7FFF and values.min() < 0:
        first -= 1 << 16  # a signed first value that was written as unsigned
    entries = table.LUTData
    if isinstance(entries, bytes):
        order = "<u1" if len(entries) == count else "<u2"
        entries = np.frombuffer(entries[: count * int(order[-1])], order)
    known = np.asarray(entries)
    at = np.clip(np.rint(values).astype(np.int64) - first, 0, known.size - 1)
    looked: Pixels = known[at]
    return looked


def _unsigned(dataset: Dataset) -> bool:
    return int(dataset.get("PixelRepresentation") or 0) == 0


def _not_padding(dataset: Dataset, samples: Pixels) -> NDArray[np.bool_]:
    """True where a stored sample is image; False where the file says it is padding."""
    padding = dataset.get("PixelPaddingValue")
    if not isinstance(padding, int):
        return np.ones(samples.shape, np.bool_)
    end = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted((padding, end if isinstance(end, int) else padding))
    inside: NDArray[np.bool_] = (samples < low) | (samples > high)
    return inside if inside.any() else np.ones(samples.shape, np.bool_)


def _value(dataset: Dataset, field: str, frame: int) -> Any:
    """A field of the frame, of all frames, or of the object, the closest first."""
    groups: list[Any] = []
    for name, at in (
        ("PerFrameFunctionalGroupsSequence", frame),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        sequence = dataset.get(name) or []
        if at < len(sequence):
            groups.append(sequence[at])
    for group in groups:
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(macro) or []:
                if item.get(field) not in (None, ""):
                    return item.get(field)
    return dataset.get(field)


def _number(dataset: Dataset, field: str, frame: int) -> float | None:
    """The first number of a field, None when it is absent, empty or not finite."""
    value = _value(dataset, field, frame)
    if value is None or value == "":
        return None
    first = value if isinstance(value, (int, float)) or not hasattr(value, "__len__") else value[0]
    number = float(first)
    return number if np.isfinite(number) else None
