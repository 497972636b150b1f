"""PNG and TIFF of more than 8 bits, signed or float: colour keeps its contrast as grey does."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.vision.reading.files import RAMP, Array, chunk, encoded, grey, png, refusal, tiff
from vision import read_image
from vision.reading.grey import by_depth

DEEP = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=2)
"""12-bit colour."""
OPAQUE = np.full(RAMP.shape, 65535, np.uint16)
SHOWN = by_depth(DEEP)


def test_twelve_bit_colour_in_a_sixteen_bit_png() -> None:
    assert np.array_equal(read_image(png(DEEP)).rgb, SHOWN)
    assert np.array_equal(read_image(png(np.dstack([DEEP, OPAQUE]))).rgb, SHOWN)


def test_twelve_bit_grey_with_alpha_is_shown_as_without() -> None:
    with_alpha = read_image(png(np.dstack([RAMP, OPAQUE])))
    assert with_alpha == read_image(png(RAMP))
    assert with_alpha.rgb.max() == 255


def test_deep_transparency_lies_on_black() -> None:
    alpha = OPAQUE.copy()
    alpha[:16] = 0
    shown = read_image(png(np.dstack([DEEP, alpha]))).rgb
    assert not shown[:16].any() and np.array_equal(shown[16:], SHOWN[16:])
    colour_key = chunk(b"tRNS", struct.pack(">3H", *DEEP[5, 9].tolist()))
    assert not read_image(png(DEEP, colour_key)).rgb[5, 9].any()


def test_sixteen_bit_colour_keeps_its_low_bytes() -> None:
    fine = DEEP + np.uint16(4096) * (DEEP > 2000)
    assert np.array_equal(read_image(png(fine)).rgb, by_depth(fine))


def page(samples: Array, **more: Any) -> bytes:
    """A TIFF of one uncompressed strip, in the byte order of the samples."""
    height, width = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    body = samples.tobytes()
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    tags: dict[int, tuple[str, tuple[int, ...]]] = {
        256: ("H", (width,)),
        257: ("H", (height,)),
        258: ("H", (8 * samples.itemsize,) * channels),
        259: ("H", (1,)),
        262: ("H", (2 if channels > 2 else 1,)),
        273: ("I", (8,)),
        277: ("H", (channels,)),
        278: ("H", (height,)),
        279: ("I", (len(body),)),
        339: ("H", (kind,) * channels),
    }
    tags |= {int(name.removeprefix("tag")): ("H", value) for name, value in more.items()}
    return tiff(tags, body, ">" if samples.dtype.byteorder == ">" else "<")


KINDS = ["u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", KINDS)
def test_tiff_samples_of_every_kind(kind: str, order: str) -> None:
    spread = 1 if kind[1] == "1" else 16
    signed = (DEEP // (64 if spread == 1 else 4)).astype(np.int64) * spread - 100 * (kind[0] != "u")
    samples = signed.astype(order + kind)
    native = samples.astype(kind)
    assert np.array_equal(read_image(page(samples)).rgb, by_depth(native))
    assert np.array_equal(grey(page(samples[:, :, 0])), by_depth(native[:, :, 0]))


def test_unsigned_32_bits_above_the_signed_range() -> None:
    wide = np.arange(1024, dtype=np.uint32).reshape(32, 32) * 4_000_000
    shown = grey(page(wide))
    assert np.array_equal(shown, np.rint(wide / wide.max() * 255))


def test_signed_bytes() -> None:
    ramp = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    assert np.array_equal(grey(page(ramp)).ravel(), np.arange(256))


def test_deep_tiff_with_alpha_planes_and_white_as_zero() -> None:
    both = np.dstack([DEEP, OPAQUE])
    assert np.array_equal(read_image(page(both, tag338=(2,))).rgb, SHOWN)
    assert np.array_equal(read_image(page(both, tag338=(0,))).rgb, SHOWN)
    assert np.array_equal(grey(page(RAMP, tag262=(0,))), 255 - by_depth(RAMP))
    assert "samples of unknown meaning" in refusal(page(np.dstack([RAMP, RAMP])))


def test_deep_cmyk_is_refused_and_not_cut_to_its_high_bytes() -> None:
    assert "CMYK" in refusal(page(np.dstack([DEEP, OPAQUE]), tag262=(5,)))


def test_deep_tiff_lying_on_its_side() -> None:
    upright = read_image(page(DEEP[:, :20], tag274=(6,))).rgb
    assert np.array_equal(upright, np.rot90(by_depth(DEEP[:, :20]), -1))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("predictor", [1, 2])
def test_compressed_deep_tiff(compression: str, predictor: int) -> None:
    options = {"compression": compression, "tiffinfo": {278: 5, 317: predictor}}
    assert np.array_equal(grey(encoded(Image.fromarray(RAMP), "TIFF", **options)), by_depth(RAMP))


@pytest.mark.parametrize("predictor", [1, 2, 3])
def test_float_tiff_with_differences(predictor: int) -> None:
    samples = np.random.default_rng(0).normal(size=(9, 13)).astype(np.float32)
    options = {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 4, 317: predictor}}
    content = encoded(Image.fromarray(samples), "TIFF", **options)
    assert np.array_equal(grey(content), by_depth(samples))


def test_tiled_planes() -> None:
    tifffile = pytest.importorskip("tifffile")
    import io

    buffer = io.BytesIO()
    planes = DEEP.transpose(2, 0, 1)[:, :30, :21]
    tifffile.imwrite(buffer, planes, photometric="rgb", planarconfig="separate", tile=(16, 16))
    assert np.array_equal(read_image(buffer.getvalue()).rgb, by_depth(DEEP[:30, :21]))


def test_values_that_are_not_finite_do_not_set_the_range_of_a_tiff() -> None:
    samples = np.linspace(-3, 7, 100, dtype=np.float32).reshape(10, 10)
    expected = by_depth(samples)
    samples[4, 4], samples[5, 5] = np.nan, np.inf
    shown = grey(page(samples))
    assert shown[4, 4] == shown[5, 5] == 0
    shown, expected = shown.copy(), expected.copy()
    shown[[4, 5], [4, 5]] = expected[[4, 5], [4, 5]]
    assert np.array_equal(shown, expected)
