"""DICOM bit layout, colour, palettes, and elements that are missing or contradict the pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from tests.vision.reading.files import RAMP, Array, dicom, encoded, grey, points, refusal
from vision import read_image

COLOUR = np.random.default_rng(0).integers(0, 255, (6, 8, 3), dtype=np.uint8)
INDEX = (RAMP // 16).astype(np.uint8)
COLOURS = ("Red", "Green", "Blue")


def palette(
    entries: Array, bits: int, *, segmented: bool = False, count: int = 0
) -> dict[str, Any]:
    """The elements of a palette whose three tables are the same."""
    fields: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in COLOURS:
        name = f"{colour}PaletteColorLookupTable"
        fields[f"{name}Descriptor"] = [count or len(entries), 0, bits]
        fields[f"{'Segmented' if segmented else ''}{name}Data"] = entries.tobytes()
    return fields


@pytest.mark.parametrize("order", ["<", ">"])
def test_high_bit_above_the_stored_bits(order: str) -> None:
    syntax = {"syntax": ExplicitVRBigEndian} if order == ">" else {}
    plain = points(dicom(RAMP, **syntax))
    assert points(dicom(RAMP << 4, HighBit=15, **syntax)) == plain == [0, 132, 130, 134, 255]
    assert points(dicom(RAMP << 2 | 3, HighBit=13, **syntax)) == plain


def test_signed_samples_below_the_container_are_extended() -> None:
    signed = RAMP.astype(np.int16) - 2048
    plain = points(dicom(signed))
    assert points(dicom(signed & 0x0FFF)) == plain == [0, 132, 130, 134, 255]
    assert points(dicom(signed << 4, HighBit=15)) == plain


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"HighBit": 3}, "HighBit"),
        ({"BitsStored": 17}, "BitsStored"),
        ({"BitsAllocated": 12}, "BitsAllocated"),
        ({"BitsStored": None}, "BitsStored"),
        ({"PixelRepresentation": None}, "PixelRepresentation"),
        ({"PixelRepresentation": 7}, "PixelRepresentation"),
        ({"PhotometricInterpretation": None}, "PhotometricInterpretation"),
        ({"PhotometricInterpretation": "HSV"}, "PhotometricInterpretation"),
        ({"SamplesPerPixel": 3}, "SamplesPerPixel"),
        ({"Columns": None}, "Columns"),
        ({"Rows": 16}, "PixelData"),
        ({"Rows": 64}, "PixelData"),
        ({"NumberOfFrames": 2}, "PixelData"),
    ],
)
def test_elements_missing_or_contradicting_the_pixels_are_named(
    fields: dict[str, Any], named: str
) -> None:
    assert named in refusal(dicom(RAMP, **fields))


@pytest.mark.parametrize("value", [None, 2])
def test_colour_needs_its_planar_configuration(value: int | None) -> None:
    assert "PlanarConfiguration" in refusal(dicom(COLOUR, 24, PlanarConfiguration=value))


def test_high_bit_and_number_of_frames_may_be_left_out() -> None:
    assert points(dicom(RAMP, HighBit=None)) == points(dicom(RAMP))


@pytest.mark.parametrize(
    ("entries", "bits"),
    [
        (np.arange(256, dtype="<u1"), 8),
        (np.arange(256, dtype="<u2"), 8),
        (np.arange(256, dtype="<u2"), 16),
        (np.arange(256, dtype="<u1"), 16),
        ((np.arange(256) << 8).astype("<u2"), 16),
        ((np.arange(256) * 257).astype("<u2"), 16),
    ],
)
def test_palettes_of_bytes_and_words_are_one_picture(entries: Array, bits: int) -> None:
    index = np.tile(np.arange(256, dtype=np.uint8), 4).reshape(32, 32)
    assert np.array_equal(grey(dicom(index, 8, **palette(entries, bits))), index)


def test_palette_in_a_big_endian_file() -> None:
    entries = np.arange(256, dtype=">u2")
    content = dicom(INDEX, 8, syntax=ExplicitVRBigEndian, **palette(entries, 8))
    assert np.array_equal(grey(content), INDEX)


def test_segmented_palette() -> None:
    segments = np.array([0, 1, 0, 1, 255, 65535], "<u2")  # 0, then a line to white
    content = dicom(INDEX, 8, **palette(segments, 16, segmented=True, count=256))
    assert np.array_equal(grey(content), INDEX)


@pytest.mark.parametrize("segments", [[0, 1, 0], [1, 255, 65535], [0, 1, 0, 2, 65535, 0, 0]])
def test_segmented_palettes_that_do_not_fill_their_table_are_named(segments: list[int]) -> None:
    fields = palette(np.array(segments, "<u2"), 16, segmented=True, count=256)
    assert "SegmentedRedPaletteColor" in refusal(dicom(INDEX, 8, **fields))


def test_palette_without_tables_is_named() -> None:
    assert "PaletteColor" in refusal(dicom(INDEX, 8, PhotometricInterpretation="PALETTE COLOR"))


def test_colour_of_twelve_bits_in_sixteen_keeps_its_contrast() -> None:
    deep = COLOUR.astype(np.uint16) * 16
    exact = read_image(dicom(deep, 24, BitsStored=12, HighBit=11)).rgb
    assert np.abs(exact.astype(int) - COLOUR).max() <= 1
    assert np.array_equal(read_image(dicom(deep, 24)).rgb, exact)


def test_half_the_chroma_native() -> None:
    luma, blue, red = (np.full((4, 4), value, np.uint8) for value in (120, 90, 200))
    full = np.stack([luma, blue, red], axis=2)
    half = np.stack([luma[:, ::2], luma[:, 1::2], blue[:, ::2], red[:, ::2]], axis=2)
    content = dicom(full, 24, PhotometricInterpretation="YBR_FULL_422", PixelData=half.tobytes())
    whole = dicom(full, 24, PhotometricInterpretation="YBR_FULL")
    assert np.array_equal(read_image(content).rgb, read_image(whole).rgb)


def test_bytes_in_words_of_a_big_endian_file_are_swapped_back() -> None:
    content = dicom(INDEX, 8, syntax=ExplicitVRBigEndian, PixelData=INDEX.byteswap().tobytes())
    swapped = np.frombuffer(INDEX.tobytes(), "<u2").astype(">u2").tobytes()
    words = content.replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW")
    at = words.index(INDEX.tobytes())
    assert np.array_equal(grey(words[:at] + swapped + words[at + len(swapped) :]), INDEX)


def test_one_bit_frames_that_do_not_begin_on_a_byte() -> None:
    frames = np.random.default_rng(0).integers(0, 2, (3, 5, 7), dtype=np.uint8)
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    content = dicom(frames, 1, NumberOfFrames=3, BitsAllocated=1, PixelData=packed + b"\0")
    for number in range(3):
        assert np.array_equal(grey(content, number), frames[number] * 255)


def test_the_same_pixels_in_implicit_and_big_endian_files() -> None:
    contents = [dicom(RAMP, syntax=each) for each in (ImplicitVRLittleEndian, ExplicitVRBigEndian)]
    assert {read_image(each).sha256 for each in contents} == {read_image(dicom(RAMP)).sha256}


def jpeg_2000(pixels: Array) -> bytes:
    return encoded(Image.fromarray(pixels), "JPEG2000", irreversible=False, no_jp2=True)


def test_lossless_encapsulated_frames_are_the_native_ones() -> None:
    content = dicom(RAMP, 16, jpeg_2000(RAMP), syntax=JPEG2000Lossless)
    assert np.array_equal(grey(content), grey(dicom(RAMP, 16)))


@pytest.mark.parametrize("stated", [{"Rows": 16}, {"Columns": 8}, {"SamplesPerPixel": 3}])
def test_encapsulated_frame_that_is_not_what_the_file_says(stated: dict[str, int]) -> None:
    if "SamplesPerPixel" in stated:
        stated |= {"PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    bytes_ = encoded(Image.fromarray(INDEX), "JPEG")
    for syntax, frame in ((JPEGBaseline8Bit, bytes_), (JPEG2000Lossless, jpeg_2000(INDEX))):
        assert "encoded frame has 32×32" in refusal(dicom(INDEX, 8, frame, syntax=syntax, **stated))


def test_run_lengths_that_are_longer_than_the_frame() -> None:
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    runs = b"\x81\x00" * 5000  # 128 zeros each
    assert "larger" in refusal(dicom(INDEX, 8, header + runs, syntax=RLELossless))


def test_encapsulated_pixels_under_a_native_syntax_are_named() -> None:
    content = dicom(INDEX, 8, encoded(Image.fromarray(INDEX), "JPEG"), syntax=JPEGBaseline8Bit)
    native = content.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0")
    assert "TransferSyntaxUID" in refusal(native)


def test_a_file_that_ends_in_its_first_element() -> None:
    content = dicom(RAMP)
    for length in range(133, 160):
        assert refusal(content[:length])


def test_preamble_alone() -> None:
    assert refusal(io.BytesIO(bytes(128) + b"DICM").getvalue())
