"""Reading images: every bad input is refused in one line that names the remedy."""

from __future__ import annotations

import base64
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vision import ImageRefused, read_image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8))


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    NOISE.save(buffer, kind)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    ends = b"IEND", zlib.crc32(b"IEND")
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + struct.pack(">I", 0)
        + ends[0]
        + struct.pack(">I", ends[1])
    )


def refusal(source: object, **options: int) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageRefused) as caught:
            read_image(source, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    assert caught.value.__cause__ is None
    return message


def test_missing_file(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.png")
    assert "no such file" in refusal(str(tmp_path / "none" / "none.png"))


def test_directory(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path)


def test_empty_file_and_empty_bytes(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    assert "empty" in refusal(path)
    assert "empty" in refusal(b"")
    assert "empty" in refusal("  ")


def test_text_named_png(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("Patient Doe, John: chest clear")
    message = refusal(path)
    assert "no image format" in message and "Doe" not in message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated(kind: str, part: float) -> None:
    content = encoded(kind)
    message = refusal(content[: int(len(content) * part)])
    assert "truncated or damaged" in message or "damaged or of" in message


def test_decompression_bomb_is_refused_from_its_header() -> None:
    for side in (12_000, 60_000, 2**31 - 1):
        assert "limit" in refusal(png_header(side, side))


def test_limit_can_be_set() -> None:
    assert "50×40 pixels are over the limit of 1999" in refusal(encoded("PNG"), max_pixels=1999)
    assert read_image(encoded("PNG"), max_pixels=2000).width == 50


def test_zero_size() -> None:
    refusal(png_header(0, 10))
    assert "no pixels" in refusal(np.zeros((0, 5), np.uint8))
    assert "no pixels" in refusal(np.zeros((5, 0, 3), np.uint8))


@pytest.mark.parametrize(
    "url",
    ["http://host/a.png", "https://host/a.png", "HTTPS://host/a.png", "s3://b/a", "ftp://h/a"],
)
def test_remote_urls_are_never_fetched(url: str) -> None:
    assert "remote" in refusal(url)
    assert "remote" in refusal({"type": "image", "url": url})
    assert "remote" in refusal({"type": "image_url", "image_url": {"url": url}})


def test_file_url_of_another_host() -> None:
    assert "another host" in refusal("file://server/share/a.png")


def test_nul_in_path() -> None:
    assert "NUL" in refusal("scan\x00.png")


def test_path_that_the_system_cannot_hold() -> None:
    assert "ENAMETOOLONG" in refusal("a" * 5000)


def test_line_breaks_in_a_path_stay_in_one_line() -> None:
    refusal("scan\nsecond line.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert "regular file" in refusal(tmp_path / "pipe.png")


def test_permission_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encoded("PNG"))

    def denied(path: Path, flags: int) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", denied)
    assert "permission denied" in refusal(path)


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"GIF89a", "GIF"), (b"BM1234", "BMP"), (b"%PDF-1.7", "PDF"), (b"\x1f\x8b\x08", "gzip")],
)
def test_unsupported_formats_are_named(start: bytes, name: str) -> None:
    message = refusal(start + bytes(200))
    assert name in message and "PNG, JPEG, TIFF, WebP or DICOM" in message


@pytest.mark.parametrize("frame", [1, -1, 99])
def test_frame_out_of_range(frame: int) -> None:
    assert "one frame, 0" in refusal(encoded("PNG"), frame=frame)
    assert "one frame, 0" in refusal(np.zeros((3, 3), np.uint8), frame=frame)


def test_frame_that_is_no_number() -> None:
    with pytest.raises(ImageRefused, match="whole number"):
        read_image(encoded("PNG"), frame="2")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "text", "text": "hello"},
        {"type": "image"},
        {"type": "image", "file_id": "abc"},
        {"type": "image", "base64": "@@@@", "mime_type": "image/png"},
        {"type": "image", "base64": "", "mime_type": "image/png"},
        {"type": "image", "url": "/etc/passwd"},
        {"type": "image_url", "image_url": {"url": "data:image/png,notbase64"}},
        {"type": "image_url", "image_url": None},
    ],
)
def test_blocks_without_an_image(block: dict[str, object]) -> None:
    refusal(block)


def test_block_content_is_not_quoted() -> None:
    secret = base64.b64encode(b"John Doe").decode()
    assert secret not in refusal({"type": "image", "base64": secret})


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(5, np.uint8),
        np.zeros((3, 16, 16), np.uint8),
        np.zeros((2, 2, 2, 3), np.uint8),
        np.array([["a", "b"]]),
        np.array([[1, None]], dtype=object),
        np.ones((2, 2), np.complex128),
        np.full((2, 2), np.nan),
    ],
)
def test_arrays_that_are_no_image(array: np.ndarray) -> None:
    refusal(array)


def test_sources_of_another_type() -> None:
    assert "cannot be read from int" in refusal(7)
    assert "NoneType" in refusal(None)


def test_closed_pillow_image(tmp_path: Path) -> None:
    NOISE.save(tmp_path / "a.png")
    image = Image.open(tmp_path / "a.png")
    image.close()
    assert "Pillow image" in refusal(image)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP"]),
    at=st.floats(0, 0.999),
    junk=st.binary(min_size=1, max_size=12),
)
def test_damage_anywhere_is_an_image_or_a_refusal(kind: str, at: float, junk: bytes) -> None:
    content = bytearray(encoded(kind))
    start = int(at * len(content))
    content[start : start + len(junk)] = junk
    try:
        assert read_image(bytes(content)).rgb.size
    except ImageRefused as refused:
        assert "\n" not in str(refused)
