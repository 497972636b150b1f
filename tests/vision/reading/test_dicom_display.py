"""DICOM padding, floats, windows and look-up tables: what is seen agrees with PS3.3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from tests.vision.reading.files import RAMP, Array, dicom, grey, points, refusal, table
from vision.reading.grey import TAILS, tails

COLUMNS = np.broadcast_to(np.arange(32), (32, 32))
ORGAN = (COLUMNS >= 4) & (COLUMNS < 28)
"""Where a picture has tissue; outside lie padding or samples without a value."""


def unit(outside: float, dtype: Any = np.float32) -> Array:
    """Float samples, 0.125 to 0.7 in the organ, as a parametric map has."""
    return np.where(ORGAN, (COLUMNS + 1) * 0.025, outside).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outside", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_do_not_set_the_range(dtype: Any, outside: float) -> None:
    assert points(dicom(unit(outside, dtype))) == [0, 133, 44, 222, 0]


def test_one_sample_without_a_value_changes_no_other() -> None:
    whole = ((COLUMNS + 1) * 0.025).astype(np.float32)
    holed = whole.copy()
    holed[3, 7] = np.nan
    seen, expected = grey(dicom(holed)), grey(dicom(whole)).copy()
    assert seen[3, 7] == 0
    expected[3, 7] = 0
    assert np.abs(seen.astype(int) - expected).max() <= 1


def test_floats_without_any_value_are_refused() -> None:
    assert "damaged" in refusal(dicom(np.full((8, 8), np.nan, np.float32)))


@pytest.mark.parametrize(
    ("dtype", "prefix"), [(np.float32, "FloatPixel"), (np.float64, "DoubleFloatPixel")]
)
def test_padding_of_floats_is_left_out(dtype: Any, prefix: str) -> None:
    padded = {f"{prefix}PaddingValue": -9999.0}
    assert points(dicom(unit(-9999.0, dtype), **padded)) == [0, 133, 44, 222, 0]
    ranged = padded | {f"{prefix}PaddingRangeLimit": -9000.0}
    assert points(dicom(unit(-9500.0, dtype), **ranged)) == [0, 133, 44, 222, 0]


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 520, "WindowWidth": 640}])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [0, 4095])
def test_padding_is_black_on_display(window: dict[str, int], kind: str, padding: int) -> None:
    pixels = np.where(ORGAN, 200 + 20 * COLUMNS, padding).astype(np.uint16)
    shown = grey(dicom(pixels, PixelPaddingValue=padding, PhotometricInterpretation=kind, **window))
    assert not shown[~ORGAN].any()
    rising = np.diff(shown[16, 4:28].astype(int))
    assert (rising < 0).all() if kind == "MONOCHROME1" else (rising > 0).all()


def test_padding_range() -> None:
    pixels = np.where(ORGAN, 200 + 20 * COLUMNS, 4000 + COLUMNS).astype(np.uint16)
    limits = {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}
    assert points(dicom(pixels, **limits)) == points(dicom(pixels.clip(0, 4000), **limits))
    assert points(dicom(pixels, **limits))[0] == 0


@pytest.mark.parametrize(("stored", "written"), [(16, 63536), (12, 63536), (12, 2096)])
def test_padding_written_unsigned_in_a_signed_file(stored: int, written: int) -> None:
    pixels = np.where(ORGAN, 100 + COLUMNS, -2000).astype(np.int16)
    item = dicom(pixels, stored)  # an explicit US element, as many writers put it
    padding = b"\x28\x00\x20\x01US\x02\x00" + written.to_bytes(2, "little")
    at = item.index(b"\xe0\x7f\x10\x00OW")
    assert points(item[:at] + padding + item[at:]) == [0, 133, 44, 222, 0]


def test_padding_beyond_the_stored_bits_is_looked_for_in_the_container() -> None:
    pixels = np.where(ORGAN, 2000 + COLUMNS, 0xF830).astype(np.uint16)
    assert points(dicom(pixels, PixelPaddingValue=0xF830)) == [0, 133, 44, 222, 0]


def test_padding_that_is_the_whole_picture_is_ignored() -> None:
    assert grey(dicom(np.full((8, 8), 7, np.uint8), 8, PixelPaddingValue=7)).max() == 7


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("LINEAR_EXACT", [0, 255, 255, 255, 255]),
        ("SIGMOID", [5, 251, 251, 252, 255]),
        ("LINEAR", [0, 255, 255, 255, 255]),
    ],
)
def test_windows_narrower_than_one_unit(shape: str, expected: list[int]) -> None:
    fields = {"RescaleSlope": "0.000244", "RescaleIntercept": 0, "VOILUTFunction": shape}
    assert points(dicom(RAMP, WindowCenter="0.25", WindowWidth="0.25", **fields)) == expected


@pytest.mark.parametrize("width", [0, -5])
def test_windows_without_a_width_are_ignored(width: int) -> None:
    assert points(dicom(RAMP, WindowCenter=9, WindowWidth=width)) == points(dicom(RAMP))


def test_unknown_window_function_and_zero_slope_are_named() -> None:
    window = {"WindowCenter": 9, "WindowWidth": 9}
    assert "VOILUTFunction" in refusal(dicom(RAMP, VOILUTFunction="CUBIC", **window))
    assert "RescaleSlope" in refusal(dicom(RAMP, RescaleSlope=0, RescaleIntercept=0))


def test_voi_lut_of_words_in_a_big_endian_file() -> None:
    falling = (65520 - 16 * np.arange(4096)).astype(">u2")
    content = dicom(
        RAMP, syntax=ExplicitVRBigEndian, VOILUTSequence=Sequence([table(falling, 16, vr="OW")])
    )
    assert points(content) == [255, 123, 125, 121, 0]


@pytest.mark.parametrize("packed", ["<u1", "<u2"])
def test_voi_lut_of_bytes_in_words_or_packed(packed: str) -> None:
    falling = (255 - np.arange(4096) // 16).astype(packed)
    content = dicom(RAMP, VOILUTSequence=Sequence([table(falling, 8, vr="OW")]))
    assert np.array_equal(grey(content), 255 - RAMP // 16)


@pytest.mark.parametrize("first", [-1024, 64512])
def test_first_value_of_a_voi_lut_may_be_negative(first: int) -> None:
    item = table(np.arange(4096), 12)
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTDescriptor = [4096, first, 12]
    rescaled = {"RescaleSlope": 1, "RescaleIntercept": -1024}
    fields = {"VOILUTSequence": Sequence([item]), "syntax": ImplicitVRLittleEndian}
    content = dicom(RAMP, **fields, **rescaled)
    assert np.array_equal(grey(content), np.rint(RAMP / 4095 * 255))


def test_tables_that_contradict_their_descriptor_are_named() -> None:
    short = table(np.arange(100), 12)
    short.LUTDescriptor = [4096, 0, 12]
    assert "LUTData" in refusal(dicom(RAMP, VOILUTSequence=Sequence([short])))
    assert "LUTDescriptor" in refusal(dicom(RAMP, VOILUTSequence=Sequence([table([1, 2], 77)])))


def test_rescale_of_floats_keeps_their_precision() -> None:
    fine = (1000.0 + COLUMNS / 8192).astype(np.float32)
    content = dicom(fine, RescaleSlope=1, RescaleIntercept=-1000)
    assert len(np.unique(grey(content))) == 32


@given(
    hnp.arrays(np.int16, st.integers(1, 60), elements=st.integers(-900, 900)),
    st.sampled_from([1.0, -1.0, 0.37, -2.5]),
)
def test_the_range_is_that_of_percentiles(values: Array, slope: float) -> None:
    scaled = values * slope + 3.0
    low, high = np.percentile(scaled, TAILS)
    expected = (low, high) if high > low else (scaled.min(), scaled.max())
    assert tails(values.copy(), lambda kept: kept * slope + 3.0) == expected
