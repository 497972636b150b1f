"""DICOM: windows, rescale, depth, colour, frames, missing decoders, and no patient text."""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from tests.vision.reading.files import dicom, grey, refusal
from vision import ImageRefused, read_image
from vision.reading.dicom_encoded import DECODERS, encoded_frame
from vision.reading.dicom_header import read_header
from vision.reading.jpeg import check_frame_cost, read_frame

RAMP = np.arange(0, 4096, 64, dtype=np.uint16).reshape(8, 8)


def real(name: str) -> bytes:
    path = get_testdata_file(name)
    assert path is not None
    with open(path, "rb") as file:
        return file.read()


def test_real_ct_slice_without_a_window_shows_air_tissue_and_bone() -> None:
    image = read_image(real("CT_small.dcm"))
    assert (image.width, image.height, image.source_format) == (128, 128, "DICOM")
    low, middle, high = np.percentile(image.rgb, (5, 50, 99))
    assert low < 20 and 90 < middle < 150 and high > 220


def test_the_same_slice_in_every_encoding_gives_the_same_pixels() -> None:
    names = (
        "MR_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_expb.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_padded.dcm",
    )
    assert len({read_image(real(name)).sha256 for name in names}) == 1


def test_a_preamble_that_is_a_tiff_does_not_mislead() -> None:
    assert real("MR_small.dcm")[:4] == b"II*\x00"
    assert read_image(real("MR_small.dcm")).source_format == "DICOM"


def test_window_follows_the_standard() -> None:
    pixels = grey(dicom(RAMP, WindowCenter=2048, WindowWidth=1024))
    expected = np.clip((RAMP - 2047.5) / 1023 + 0.5, 0, 1) * 255
    assert np.abs(pixels - expected).max() <= 0.5


def test_first_of_several_windows() -> None:
    both = grey(dicom(RAMP, WindowCenter=[2048, 40], WindowWidth=[1024, 400]))
    assert np.array_equal(both, grey(dicom(RAMP, WindowCenter=2048, WindowWidth=1024)))


def test_sigmoid_and_exact_windows() -> None:
    fields = {"WindowCenter": 2048, "WindowWidth": 1024}
    sigmoid = grey(dicom(RAMP, VOILUTFunction="SIGMOID", **fields))
    assert sigmoid.ravel()[32] == 128 and 0 < sigmoid.ravel()[20] < 30
    exact = grey(dicom(RAMP, VOILUTFunction="LINEAR_EXACT", **fields))
    assert exact.ravel()[32] == 128


def test_rescale_comes_before_the_window() -> None:
    stored = (RAMP // 2).astype(np.uint16)
    plain = grey(dicom(RAMP, WindowCenter=2048, WindowWidth=4096))
    scaled = grey(
        dicom(stored, RescaleSlope=2, RescaleIntercept=0, WindowCenter=2048, WindowWidth=4096)
    )
    assert np.array_equal(plain, scaled)


def test_signed_hounsfield_values() -> None:
    pixels = grey(
        dicom(
            RAMP.astype(np.int16) - 2048,
            16,
            RescaleSlope=1,
            RescaleIntercept=0,
            WindowCenter=0,
            WindowWidth=4096,
        )
    )
    assert pixels[0, 0] == 0 and pixels[-1, -1] > 248 and pixels[4, 0] == 128


@pytest.mark.parametrize(("kind", "stored"), [(np.uint16, 12), (np.uint16, 16), (np.uint8, 8)])
def test_monochrome1_is_inverted(kind: type, stored: int) -> None:
    pixels: np.ndarray[Any, Any] = (RAMP >> 4 if kind is np.uint8 else RAMP).astype(kind)
    normal = grey(dicom(pixels, stored))
    inverted = grey(dicom(pixels, stored, PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(inverted, 255 - normal)


def test_eight_bit_without_a_window_is_unchanged() -> None:
    pixels = (RAMP >> 5).astype(np.uint8)
    assert np.array_equal(grey(dicom(pixels, 8)), pixels)


def test_padding_is_black_and_does_not_set_the_range() -> None:
    pixels = RAMP.astype(np.int16)
    pixels[0] = -2000
    shown = grey(dicom(pixels, 16, PixelPaddingValue=-2000))
    assert not shown[0].any() and shown[1:].max() == 255


def test_overlay_bits_above_the_stored_ones_are_ignored() -> None:
    fields = {"WindowCenter": 2048, "WindowWidth": 4096}
    assert np.array_equal(grey(dicom(RAMP | 0x8000, **fields)), grey(dicom(RAMP, **fields)))


def test_voi_lut_with_many_eight_bit_entries() -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new("LUTData", "US", [255 - value // 16 for value in range(4096)])
    assert np.array_equal(grey(dicom(RAMP, VOILUTSequence=Sequence([table]))), 255 - RAMP // 16)


def test_modality_lut() -> None:
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "US", [4095 - value for value in range(4096)])
    table.ModalityLUTType = "US"
    looked = grey(
        dicom(RAMP, ModalityLUTSequence=Sequence([table]), WindowCenter=2048, WindowWidth=4096)
    )
    assert looked[0, 0] == 255 and looked[-1, -1] < 8


def test_frames() -> None:
    volume = np.stack([RAMP, RAMP[::-1], RAMP.T])
    content = dicom(volume, NumberOfFrames=3, WindowCenter=2048, WindowWidth=4096)
    single = [grey(dicom(f.copy(), WindowCenter=2048, WindowWidth=4096)) for f in volume]
    for k in range(3):
        assert np.array_equal(grey(content, frame=k), single[k])
    assert np.array_equal(grey(content), single[0])
    assert "frames 0 to 2" in refusal(content, frame=3)
    assert "frames 0 to 2" in refusal(content, frame=-1)


def test_window_of_the_frame_in_an_enhanced_object() -> None:
    groups = []
    for centre in (1024, 3072):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = centre, 512
        group.FrameVOILUTSequence = Sequence([window])
        groups.append(group)
    content = dicom(
        np.stack([RAMP, RAMP]), NumberOfFrames=2, PerFrameFunctionalGroupsSequence=Sequence(groups)
    )
    for k, centre in enumerate((1024, 3072)):
        alone = grey(dicom(RAMP, WindowCenter=centre, WindowWidth=512))
        assert np.array_equal(grey(content, frame=k), alone)


def test_colour_interleaved_and_planar() -> None:
    colour = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    assert np.array_equal(read_image(dicom(colour, 24, PlanarConfiguration=0)).rgb, colour)
    planes = np.ascontiguousarray(colour.transpose(2, 0, 1)).tobytes()
    planar = dicom(colour, 24, PlanarConfiguration=1, PixelData=planes)
    assert np.array_equal(read_image(planar).rgb, colour)


def test_ybr_palette_and_sixteen_bit_colour() -> None:
    red = read_image(real("SC_rgb_dcmtk_+eb+cy+np.dcm")).rgb[5, 50]
    assert red[0] > 245 and red[1] < 10 and red[2] < 10
    assert read_image(real("SC_rgb_rle_16bit.dcm")).rgb[5, 50].tolist() == [255, 0, 0]
    palette = read_image(real("examples_palette.dcm")).rgb
    assert (palette[..., 0] != palette[..., 2]).any()


def test_file_without_preamble_is_recognised() -> None:
    content = dicom(RAMP, WindowCenter=2048, WindowWidth=4096)
    assert read_image(content[132:]) == read_image(content)


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm"])
def test_objects_without_pixels(name: str) -> None:
    assert "no pixel data" in refusal(real(name))


def test_missing_field_is_named() -> None:
    assert "Rows" in refusal(dicom(RAMP, Rows=None))


@pytest.mark.skipif(find_spec("libjpeg") is not None, reason="the decoder is installed here")
@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm"])
def test_missing_decoder_says_what_to_install(name: str) -> None:
    assert "pip install pylibjpeg pylibjpeg-libjpeg" in refusal(real(name))


def test_video_is_refused_by_name() -> None:
    content = real("JPEG2000.dcm").replace(b"1.2.840.10008.1.2.4.91", b"1.2.840.10008.1.2.4.10")
    assert "no decoder is known" in refusal(content)


def test_wrong_frame_count_and_size_are_refused_before_decoding() -> None:
    assert "limit" in refusal(dicom(RAMP, Rows=60_000, Columns=60_000))
    assert "no pixels" in refusal(dicom(RAMP, Rows=0))
    assert "truncated or damaged" in refusal(dicom(RAMP, Rows=9))


def test_deflated_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision.reading.dicom_header.MAX_INFLATED", 1 << 20)
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = real("image_dfl.dcm")
    group = content.index(b"\x02\x00\x00\x00UL\x04\x00")
    start = group + 12 + int.from_bytes(content[group + 8 : group + 12], "little")
    bomb = content[:start] + squeezer.compress(bytes(1 << 24)) + squeezer.flush()
    assert read_image(content).width == 512
    assert "grows over" in refusal(bomb)


def test_damaged_fields_leak_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broken = dicom(RAMP, StudyDate="20200101").replace(b"20200101", b"Doe^Jane")
    broken = broken.replace(b"MONOCHROME2 ", b"Doe^Jane^^^^")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        refusal(broken[:-20])
    assert not seen and not caplog.text
    assert logging.getLogger("pydicom").propagate


@settings(max_examples=120, deadline=None)
@given(at=st.floats(0, 0.2), junk=st.binary(min_size=1, max_size=6))
def test_damage_anywhere_is_an_image_or_a_refusal(at: float, junk: bytes) -> None:
    content = bytearray(real("CT_small.dcm"))
    start = int(at * len(content))
    content[start : start + len(junk)] = junk
    try:
        assert read_image(bytes(content)).rgb.size
    except ImageRefused as refused:
        assert "\n" not in str(refused) and "CompressedSamples" not in str(refused)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000, HTJ2K])
def test_every_compressed_syntax_has_a_package_to_install(syntax: str) -> None:
    assert any(syntax.startswith(start) for start in DECODERS)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", ["MR_small_jpeg_ls_lossless.dcm", "JPGExtended.dcm"])
def test_markers_of_frames_that_other_packages_decode(name: str) -> None:
    header = read_header(io.BytesIO(real(name)), name)
    markers, _ = read_frame(encoded_frame(header, 0))
    assert (markers.height, markers.width) == (header.dataset.Rows, header.dataset.Columns)
    check_frame_cost(markers, name)
