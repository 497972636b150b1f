"""From a DICOM's stored grey values to display values: padding, rescale, VOI LUT, window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vision.reading.dicom_frames import StoredFrame, contradiction
from vision.reading.dicom_header import DicomHeader, element
from vision.reading.dicom_luts import full_scale, item_table
from vision.reading.grey import Pixels, UInt8Array, by_window, in_bands, spread, tails

if TYPE_CHECKING:
    from pydicom import Dataset

Transform = Callable[[Pixels], Pixels]

WINDOWS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def dicom_grey(header: DicomHeader, frame: StoredFrame, index: int, what: str) -> UInt8Array:
    """Stored values ``(H, W)`` to ``uint8`` by the file's own rescale and window.

    Padding and samples that are not finite are left out of the range and black on display, for
    MONOCHROME1 too (CP-692). MONOCHROME1 is inverted.

    Args:
        header: of the file.
        frame: stored values, and which of them are image.
        index: the frame's number, from 0.
        what: how messages call the source.

    Raises:
        ImageRefused: elements that contradict each other.
        LutRefused: a table contradicts its descriptor.
    """
    dataset, values = header.dataset, frame.values
    kept = frame.image
    counted = values.reshape(-1) if kept is None else values[kept]
    modality = _modality(header, index, _ends(counted), what)
    shown = _voi(header, index, modality, _ends(counted), what)
    stored = int(dataset.get("BitsStored") or 0)
    if shown is None and modality is None and stored in (1, 8) and values.dtype.kind == "u":
        white = np.uint8(1 if stored == 8 else 255)
        transform: Transform = lambda band: band.astype(np.uint8) * white  # noqa: E731
    elif shown is None:
        scale = modality or (lambda band: band)
        if dataset.get("ModalityLUTSequence"):  # not monotone: its results are what is ordered
            low, high = tails(in_bands(scale, counted, dtype=np.uint16), np.asarray)
        else:
            low, high = tails(counted.copy() if kept is None else counted, scale)
        transform = lambda band: spread(scale(band), low, high)  # noqa: E731
    else:
        transform = shown
    del counted
    inverted = str(dataset.PhotometricInterpretation) == "MONOCHROME1"
    grey = in_bands(
        lambda band: np.uint8(255) - transform(band) if inverted else transform(band), values
    )
    if kept is not None:
        grey[~kept] = 0
    return grey


def _ends(counted: Pixels) -> Pixels:
    return np.array([counted.min(), counted.max()])


def _modality(header: DicomHeader, index: int, ends: Pixels, what: str) -> Transform | None:
    """The modality LUT or rescale (C.11.1); None where stored values are output values."""
    dataset = header.dataset
    if tables := element(dataset, "ModalityLUTSequence"):
        negative = float(ends[0]) < 0
        return item_table(tables[0], header.order, negative=negative)
    slope = _number(dataset, "RescaleSlope", index)
    intercept = _number(dataset, "RescaleIntercept", index) or 0.0
    if slope == 0.0:
        raise contradiction(what, "RescaleSlope", "is 0")
    if slope in (None, 1.0) and intercept == 0.0:
        return None
    factor = 1.0 if slope is None else slope
    return lambda band: band.astype(np.float64) * factor + intercept


def _voi(
    header: DicomHeader, index: int, modality: Transform | None, ends: Pixels, what: str
) -> Transform | None:
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
    if centre is None or width is None or width <= 0:
        return None
    if shape not in WINDOWS:
        raise contradiction(what, "VOILUTFunction", "is not LINEAR, LINEAR_EXACT or SIGMOID")
    if width < 1 and shape == "LINEAR":
        # LINEAR is of whole numbers, at least 1 apart; files of small slopes that leave the
        # function out mean LINEAR_EXACT (C.11.2.1.3.2).
        shape = "LINEAR_EXACT"
    return lambda band: by_window(scale(band), centre, width, shape)


def _value(dataset: Dataset, field: str, index: int) -> Any:
    """A field of the frame, of all frames, or of the object, the closest first (C.7.6.16)."""
    groups: list[Any] = []
    for name, at in (
        ("PerFrameFunctionalGroupsSequence", index),
        ("SharedFunctionalGroupsSequence", 0),
    ):
        sequence = element(dataset, name) or []
        if at < len(sequence):
            groups.append(sequence[at])
    for group in groups:
        for macro in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            for item in group.get(macro) or []:
                value = element(item, field)
                if value not in (None, ""):
                    return value
    return element(dataset, field)


def _number(dataset: Dataset, field: str, index: int) -> float | None:
    """The first number of a field, None when it is absent, empty or not finite."""
    value = _value(dataset, field, index)
    if value is None or value == "":
        return None
    if not isinstance(value, (int, float)) and hasattr(value, "__len__"):
        value = value[0] if len(value) else "nan"
    number = float(value)
    return number if np.isfinite(number) else None
