"""Small files that would cost much to decode: refused by their headers, or decoded within bounds.

Each was made to take gigabytes or minutes; none does before it is refused.
"""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from tests.vision.reading.files import RAMP, chunk, dicom, encoded, png, refusal, tiff
from vision import read_image

GREY = (RAMP // 16).astype(np.uint8)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """No test here may hold more than a few tens of MB in Python and numpy."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


def blank_png(side: int, depth: int, colour: int) -> bytes:
    """A compressed PNG of zeros."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    squeezer = zlib.compressobj(9)
    row = bytes(1 + side * channels * depth // 8)
    body = b"".join(squeezer.compress(row) for _ in range(side)) + squeezer.flush()
    mark = b"\x89PNG\r\n\x1a\n"
    return mark + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("side", "depth", "colour"), [(9000, 8, 6), (5200, 16, 2), (4600, 16, 6)])
def test_png_within_the_pixel_limit_that_holds_too_much(side: int, depth: int, colour: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    assert "too much" in refusal(content)


def scans(content: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    at = content.rindex(b"\xff\xda")
    return content[:at] + content[at:-2] * count + b"\xff\xd9"


def test_jpeg_of_many_scans() -> None:
    content = encoded(Image.new("L", (3000, 3000), 99), "JPEG", progressive=True)
    assert read_image(scans(content, 2)) == read_image(content)
    assert "scans" in refusal(scans(content, 1000))


def test_jpeg_of_many_segments() -> None:
    content = encoded(Image.fromarray(GREY), "JPEG")
    assert "damaged" in refusal(content[:2] + b"\xff\xfe\x00\x02" * 20_000 + content[2:])


def test_arithmetic_coding_is_not_supported() -> None:
    content = encoded(Image.fromarray(GREY), "JPEG")
    assert "arithmetic" in refusal(content.replace(b"\xff\xc0", b"\xff\xc9"))


def test_png_of_many_or_large_chunks() -> None:
    assert "chunks" in refusal(png(GREY, chunk(b"teSt", b"") * 100_001))
    assert "chunks" in refusal(png(GREY, struct.pack(">I4s", (64 << 20) + 1, b"teSt")))


def test_compressed_texts_and_profiles_of_a_png_are_not_inflated_without_bound() -> None:
    bomb = zlib.compress(bytes(40 << 20), 9)
    assert refusal(png(GREY, chunk(b"zTXt", b"a\0\0" + bomb)))
    assert refusal(png(GREY, chunk(b"iCCP", b"a\0\0" + bomb)))


def overlapping(entries: int, count: int) -> bytes:
    """A directory whose tags all have the same megabytes as their value."""
    fields = b"".join(struct.pack("<HHII", 40_000 + n, 1, count, 8) for n in range(entries))
    return b"II*\0" + struct.pack("<IH", 8, entries) + fields + bytes(4)


def test_tiff_tags_that_overlap() -> None:
    content = overlapping(3000, 1 << 20) + bytes(1 << 20)
    assert "tags" in refusal(content)
    exif = b"Exif\0\0" + overlapping(3000, 30_000) + bytes(20_000)
    assert read_image(encoded(Image.fromarray(GREY), "PNG", exif=exif)) == read_image(GREY)


def test_tiff_pages_without_end() -> None:
    content = bytearray(encoded(Image.fromarray(GREY), "TIFF"))
    at = struct.unpack("<I", content[4:8])[0]
    end = at + 2 + 12 * struct.unpack("<H", content[at : at + 2])[0]
    content[end : end + 4] = struct.pack("<I", at)  # the page is its own successor
    assert read_image(bytes(content)) == read_image(GREY)
    assert "one frame" in refusal(bytes(content), frame=3)


@pytest.mark.parametrize(
    ("strips", "rows"), [(70_000, 1), (32, 1)], ids=["many strips", "overlapping strips"]
)
def test_tiff_of_strips_that_cost_too_much(strips: int, rows: int) -> None:
    body = bytes(40_000)
    content = tiff(
        {
            256: ("H", (32,)),
            257: ("I", (strips,)),
            258: ("H", (8,)),
            259: ("H", (5,)),
            262: ("H", (1,)),
            273: ("I", (8,) * strips),
            277: ("H", (1,)),
            278: ("I", (rows,)),
            279: ("I", (len(body) if strips < 100 else 1,) * strips),
        },
        body,
    )
    assert "strips" in refusal(content)


def test_tiff_of_tiles_larger_than_the_image() -> None:
    content = tiff(
        {
            256: ("H", (32,)),
            257: ("H", (32,)),
            258: ("H", (8,)),
            259: ("H", (8,)),
            262: ("H", (1,)),
            277: ("H", (1,)),
            322: ("I", (65_536,)),
            323: ("I", (65_536,)),
            324: ("I", (8,)),
            325: ("I", (9,)),
        },
        bytes(9),
    )
    assert "tiles" in refusal(content)


def test_webp_of_a_large_canvas() -> None:
    content = bytearray(encoded(Image.new("RGBA", (8, 8)), "WEBP", lossless=True, exif=b"a"))
    assert content[12:16] == b"VP8X"
    content[24:30] = (9000).to_bytes(3, "little") * 2
    assert "too much" in refusal(bytes(content))


def test_a_frame_far_into_an_animation() -> None:
    frames = [Image.new("RGB", (2000, 2000), colour) for colour in ("red", "blue", "green")]
    content = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    claimed = chunk(b"acTL", struct.pack(">II", 4000, 0))
    content = content.replace(chunk(b"acTL", struct.pack(">II", 3, 0)), claimed)
    assert "too much time" in refusal(content, frame=3000)


def deflated(body: bytes) -> bytes:
    """A deflated file without a group length, which would say where its meta information ends."""
    uid = DeflatedExplicitVRLittleEndian.encode()
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    meta = b"\x02\x00\x10\x00UI" + struct.pack("<H", len(uid)) + uid
    return bytes(128) + b"DICM" + meta + squeezer.compress(body) + squeezer.flush()


def test_deflated_dicom_without_group_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision.reading.dicom_header.MAX_INFLATED", 1 << 20)
    plain = dicom(RAMP)
    data = plain[plain.index(b"\x08\x00\x16\x00UI") :]
    assert read_image(deflated(data)) == read_image(plain)
    assert "grows over" in refusal(deflated(data + bytes(8 << 20)))
    assert "damaged" in refusal(deflated(data)[:-200])


def test_dicom_of_many_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision.reading.dicom_header.MAX_READS", 5000)
    content = dicom(RAMP, syntax=ImplicitVRLittleEndian)
    at = content.index(b"\x28\x00\x02\x00")
    extra = b"".join(struct.pack("<HHI", 0x0019, 0x1000 + n % 4000, 0) for n in range(6000))
    assert "elements" in refusal(content[:at] + extra + content[at:])


def test_dicom_values_longer_than_their_purpose_are_not_converted() -> None:
    content = dicom(RAMP, syntax=ImplicitVRLittleEndian)
    at = content.index(b"\xe0\x7f\x10\x00")
    windows = b"1\\" * (1 << 20)
    extra = b"\x28\x00\x50\x10" + struct.pack("<I", len(windows)) + windows
    assert "WindowCenter" in refusal(content[:at] + extra + content[at:])


def test_jpeg_2000_of_tiny_blocks() -> None:
    frame = encoded(Image.fromarray(RAMP), "JPEG2000", no_jp2=True, codeblock_size=(4, 4))
    assert "JPEG 2000" in refusal(dicom(RAMP, 16, frame, syntax=JPEG2000Lossless))


@pytest.mark.slow
def test_ten_thousand_pixels_square_of_one_bit(tmp_path: Path) -> None:
    tracemalloc.stop()
    (tmp_path / "wide.png").write_bytes(blank_png(10_000, 1, 0))
    image = read_image(tmp_path / "wide.png")
    assert image.rgb.shape == (10_000, 10_000, 3)
    tracemalloc.start()
