"""Damaged files: a decoder's error is a refusal, and a picture half decoded is none."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEGBaseline8Bit

from benchmarks.fuzz_images import fuzz, mutated, seed_files
from tests.vision.reading.files import chunk, dicom, encoded, fax, png, refusal
from vision import read_image

NOISE = np.random.default_rng(0).integers(0, 255, (64, 72), dtype=np.uint8)
COLOUR = np.dstack([NOISE, NOISE[::-1], 255 - NOISE])


def test_two_hundred_damaged_files() -> None:
    outcome = fuzz(200)
    assert outcome.faults == []
    assert outcome.read + outcome.refused.total() == outcome.files == 200


def test_every_seed_of_the_damage_is_an_image() -> None:
    for content in seed_files().values():
        assert read_image(content).rgb.any()


def test_the_same_seed_damages_the_same_way() -> None:
    files = {"PNG grey": png(NOISE)}
    assert list(mutated(files, 5, seed=3)) == list(mutated(files, 5, seed=3))


@pytest.mark.parametrize("picture", [NOISE, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("part", [0.4, 0.7, 0.9])
def test_jpeg_cut_short_and_closed(picture: np.ndarray, part: float) -> None:
    content = encoded(Image.fromarray(picture), "JPEG", quality=90)
    closed = content[: int(len(content) * part)] + b"\xff\xd9"
    assert "truncated" in refusal(closed)
    stored = 24 if picture.ndim == 3 else 8
    kind = {"PhotometricInterpretation": "YBR_FULL_422"} if stored == 24 else {}
    assert "truncated" in refusal(
        dicom(picture, stored, closed + b"\0" * (len(closed) % 2), syntax=JPEGBaseline8Bit, **kind)
    )


def test_a_picture_of_middle_grey_is_whole() -> None:
    for mode, colour in (("L", 128), ("RGB", (128, 128, 128))):
        content = encoded(Image.new(mode, (200, 100), colour), "JPEG")
        assert np.unique(read_image(content).rgb).tolist() == [128]


def test_progressive_jpeg_without_its_last_scan() -> None:
    content = encoded(Image.fromarray(COLOUR), "JPEG", progressive=True)
    assert "truncated" in refusal(content[: content.rindex(b"\xff\xda")] + b"\xff\xd9")


def test_a_wrong_checksum_and_a_missing_end() -> None:
    content = png(NOISE)
    assert read_image(content).width == 72
    assert "damaged" in refusal(content.replace(b"IDAT", b"IDAT", 1)[:-12])
    at = content.index(b"IDAT") + 40
    flipped = content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]
    assert "damaged" in refusal(flipped)


def test_what_follows_the_end_is_ignored() -> None:
    assert read_image(png(NOISE) + b"trailing bytes") == read_image(NOISE)
    jpeg = encoded(Image.fromarray(NOISE), "JPEG")
    assert read_image(jpeg + jpeg[:50]) == read_image(jpeg)


def test_unknown_chunks_and_metadata_change_nothing() -> None:
    assert read_image(png(NOISE, chunk(b"teSt", b"anything"))) == read_image(NOISE)
    plain = encoded(Image.fromarray(COLOUR), "JPEG")
    assert read_image(
        encoded(Image.fromarray(COLOUR), "JPEG", icc_profile=b"x" * 70_000, comment=b"a remark")
    ) == read_image(plain)


def test_fax_with_bad_code_words() -> None:
    assert read_image(fax(damaged=False)).rgb.any()
    assert "damaged" in refusal(fax(damaged=True))


def test_deflated_tiff_with_a_wrong_checksum() -> None:
    content = encoded(Image.fromarray(NOISE), "TIFF", compression="tiff_adobe_deflate")
    checksum = zlib.adler32(NOISE.tobytes()).to_bytes(4, "big")
    assert checksum in content
    assert "damaged" in refusal(content.replace(checksum, bytes(4)))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_tiff_strips_that_are_cut(compression: str) -> None:
    content = encoded(Image.fromarray(COLOUR), "TIFF", compression=compression)
    assert "damaged" in refusal(content.replace(content[300:900], b""))
