"""Reading images: what is accepted, and what the pixels then are."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vision import MedicalImage, read_image
from vision.reading.grey import by_depth
from vision.reading.medical_image import Source

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_lossless_formats_give_the_same_pixels_and_name(kind: str) -> None:
    image = read_image(encoded(Image.fromarray(COLOUR), kind, lossless=True))
    assert np.array_equal(image.rgb, COLOUR)
    assert image.source_format == kind
    assert image.sha256 == read_image(COLOUR).sha256
    assert (image.width, image.height) == (8, 6)


def test_jpeg_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scan.jpg"
    path.write_bytes(encoded(Image.fromarray(COLOUR), "JPEG", quality=95, subsampling=0))
    image = read_image(path)
    assert image.source_format == "JPEG"
    assert np.abs(image.rgb.astype(int) - COLOUR).mean() < 12


def test_the_extension_is_not_trusted(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encoded(Image.fromarray(COLOUR), "PNG"))
    assert read_image(path).source_format == "PNG"


def test_path_string_file_url_bytes_blocks_and_pillow_agree(tmp_path: Path) -> None:
    content = encoded(Image.fromarray(COLOUR), "PNG")
    path = tmp_path / "a scan.png"
    path.write_bytes(content)
    text = base64.b64encode(content).decode()
    uri = f"data:image/png;base64,{text}"
    sources: list[Source] = [
        path,
        str(path),
        path.as_uri(),
        content,
        uri,
        {"type": "image", "base64": text, "mime_type": "image/jpeg"},  # the type is not trusted
        {"type": "image", "source_type": "base64", "data": text, "mime_type": "image/png"},
        {"type": "image", "url": path.as_uri()},
        {"type": "image_url", "image_url": {"url": uri}},
        {"type": "image_url", "image_url": uri},
        Image.fromarray(COLOUR),
        COLOUR,
    ]
    assert len({read_image(source).sha256 for source in sources}) == 1


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn by 90 degrees clockwise
    image = read_image(encoded(Image.fromarray(COLOUR), "PNG", exif=exif))
    assert np.array_equal(image.rgb, np.rot90(COLOUR, -1))


def test_cmyk_becomes_rgb() -> None:
    flat = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    centre = read_image(encoded(flat, "JPEG", quality=95)).rgb[8, 8]
    assert centre[0] > 240 and centre[1] < 15 and centre[2] < 15


def test_transparency_lies_on_black() -> None:
    rgba = np.dstack([COLOUR, np.full(RAMP.shape, 255, np.uint8)])
    rgba[0, :, 3] = 0
    expected = COLOUR.copy()
    expected[0] = 0
    assert np.array_equal(read_image(encoded(Image.fromarray(rgba), "PNG")).rgb, expected)
    assert np.array_equal(read_image(rgba).rgb, expected)


def test_grey_with_alpha_lies_on_black() -> None:
    image = Image.merge("LA", [Image.fromarray(RAMP), Image.new("L", (8, 6), 0)])
    assert not read_image(encoded(image, "PNG")).rgb.any()


def test_palette_and_its_transparent_colour() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putdata([0, 1])
    assert read_image(encoded(image, "PNG")).rgb.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    see_through = encoded(image, "PNG", transparency=1)
    assert read_image(see_through).rgb.tolist() == [[[10, 20, 30], [0, 0, 0]]]


def test_one_bit_image() -> None:
    image = Image.fromarray(RAMP > 100).convert("1")
    assert np.array_equal(read_image(encoded(image, "PNG")).rgb[:, :, 0], (RAMP > 100) * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    deep = RAMP.astype(np.uint16) * 257
    assert np.array_equal(read_image(encoded(Image.fromarray(deep), kind)).rgb[:, :, 0], RAMP)


def test_twelve_bits_in_a_sixteen_bit_file_keep_their_contrast() -> None:
    deep = np.linspace(0, 4095, 64).astype(np.uint16).reshape(8, 8)
    rgb = read_image(encoded(Image.fromarray(deep), "PNG")).rgb
    assert rgb.min() == 0 and rgb.max() == 255


def test_white_is_zero_deep_tiff_is_inverted() -> None:
    deep = RAMP.astype(np.uint16) * 257
    content = encoded(Image.fromarray(deep), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(read_image(content).rgb[:, :, 0], 255 - RAMP)


def test_float_tiff() -> None:
    unit = (RAMP / 255).astype(np.float32)
    assert np.array_equal(read_image(encoded(Image.fromarray(unit), "TIFF")).rgb[:, :, 0], RAMP)
    hounsfield = np.linspace(-1000, 1000, 48, dtype=np.float32).reshape(6, 8)
    hounsfield[0, 0] = np.nan
    rgb = read_image(encoded(Image.fromarray(hounsfield), "TIFF")).rgb
    assert rgb[0, 0, 0] == 0 and rgb[-1, -1, 0] == 255


def test_pages_of_a_tiff_by_frame() -> None:
    pages = [Image.fromarray(RAMP + np.uint8(k)) for k in range(3)]
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    for k in range(3):
        assert np.array_equal(read_image(content, frame=k).rgb[:, :, 0], RAMP + k)
    assert read_image(content) == read_image(content, frame=0)


@pytest.mark.parametrize("size", [(1, 500), (500, 1), (1, 1), (8000, 3)])
def test_extreme_sizes_are_accepted(size: tuple[int, int]) -> None:
    image = read_image(encoded(Image.new("L", size, 7), "PNG"))
    assert (image.width, image.height) == size


def test_eight_thousand_pixels_square_is_accepted() -> None:
    assert read_image(encoded(Image.new("1", (8000, 8000)), "PNG")).rgb.shape == (8000, 8000, 3)


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))))
def test_an_rgb_array_comes_back_unchanged(array: np.ndarray) -> None:
    image = read_image(array)
    assert np.array_equal(image.rgb, array)
    assert image == read_image(Image.fromarray(array))


@given(hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8)))
def test_deep_grey_keeps_its_order(array: np.ndarray) -> None:
    order = np.argsort(array, axis=None, kind="stable")
    assert (np.diff(by_depth(array).ravel()[order].astype(int)) >= 0).all()


def test_the_name_depends_on_shape_and_pixels() -> None:
    flat = np.zeros((2, 8, 3), np.uint8)
    assert read_image(flat).sha256 != read_image(flat.reshape(4, 4, 3)).sha256
    assert read_image(flat).sha256 != read_image(flat + np.uint8(1)).sha256


def test_the_image_is_frozen_and_shows_no_pixels() -> None:
    array = COLOUR.copy()
    image = read_image(array)
    array[:] = 0
    assert image.rgb.any()
    with pytest.raises(ValueError, match="read-only"):
        image.rgb[0, 0, 0] = 1
    assert "rgb" not in repr(image)
    assert isinstance(image, MedicalImage) and len({image, read_image(COLOUR)}) == 1
