"""Damaged image files through `read_image`: an image or one refusal, within time and memory.

    python benchmarks/fuzz_images.py --count 5000

Small files of every format and depth are changed at random: bits flipped, bytes overwritten, cut,
inserted, numbers of headers set to extremes, checksums of PNG made right again. Each must give an
image or `ImageRefused` of one line, write nothing to stderr, and keep to the limits of
`vision.reading.bounds`. The same seed gives the same files.
"""

from __future__ import annotations

import argparse
import io
import os
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vision.errors import ImageRefused
from vision.reading.medical_image import read_image

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

SECONDS = 5.0
MEBIBYTES = 512
SIDE = 24


@dataclass
class Outcome:
    """What a run found."""

    files: int = 0
    read: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Refusals by format."""
    faults: list[str] = field(default_factory=list)
    """Files that broke a rule: seed name, number, and what happened."""
    slowest: float = 0.0
    """CPU seconds."""
    largest: float = 0.0
    """MiB beside what the process held before."""


def seed_files() -> dict[str, bytes]:
    """Small images of every format, depth and compression that is read."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    grey = ((x * 7 + y * 3) % 256).astype(np.uint8)
    colour = np.stack([grey, grey[::-1], 255 - grey], axis=2)
    deep = (grey.astype(np.uint16) * 16 + 5).astype(np.uint16)
    pil = {
        "grey": Image.fromarray(grey),
        "colour": Image.fromarray(colour),
        "alpha": Image.fromarray(np.dstack([colour, grey])),
        "grey alpha": Image.merge("LA", [Image.fromarray(grey)] * 2),
        "palette": Image.fromarray(colour).quantize(16),
        "bits": Image.fromarray(grey > 90),
        "deep": Image.fromarray(deep),
        "float": Image.fromarray((deep / 9.0).astype(np.float32)),
        "cmyk": Image.fromarray(colour).convert("CMYK"),
    }
    wanted: list[tuple[str, str, dict[str, Any]]] = [
        *(("PNG", name, {}) for name in pil if name not in ("float", "cmyk")),
        ("PNG", "colour", {"save_all": True, "append_images": [pil["colour"].rotate(90)]}),
        *(("JPEG", name, {}) for name in ("grey", "colour", "cmyk")),
        ("JPEG", "colour", {"progressive": True, "subsampling": 0}),
        ("JPEG", "colour", {"exif": _turned(), "icc_profile": b"profile" * 9}),
        *(("WEBP", "colour", {"lossless": lossless}) for lossless in (False, True)),
        ("WEBP", "alpha", {"save_all": True, "append_images": [pil["alpha"].rotate(90)]}),
        *(("TIFF", name, {"compression": "raw"}) for name in pil),
        *(
            ("TIFF", "colour", {"compression": kind, "tiffinfo": {278: 5}})
            for kind in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd")
        ),
        ("TIFF", "colour", {"compression": "jpeg"}),
        *(("TIFF", "bits", {"compression": kind}) for kind in ("group3", "group4", "tiff_ccitt")),
        *(
            ("TIFF", name, {"compression": "tiff_lzw", "tiffinfo": {317: 2}})
            for name in ("deep", "colour")
        ),
        ("TIFF", "float", {"compression": "tiff_adobe_deflate", "tiffinfo": {317: 3}}),
        ("TIFF", "grey", {"save_all": True, "append_images": [pil["grey"].rotate(90)]}),
    ]
    files = {}
    for number, (kind, name, options) in enumerate(wanted):
        buffer = io.BytesIO()
        pil[name].save(buffer, kind, **options)
        files[f"{kind} {name} {number}"] = buffer.getvalue()
    files["PNG deep colour"] = _deep_png(np.dstack([deep, deep[::-1], deep.T]))
    files["PNG deep alpha"] = _deep_png(np.dstack([deep, deep[::-1], deep.T, deep]))
    return files | _dicom_seeds(grey, colour, deep)


def mutated(files: dict[str, bytes], count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` damaged files, each with the name of the file it was made from."""
    names = sorted(files)
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = names[number % len(names)]
        content = bytearray(files[name])
        for _ in range(int(rng.integers(1, 4))):
            change = CHANGES[int(rng.integers(len(CHANGES)))]
            content = change(content, rng) or bytearray(b"\0")
        if name.startswith("PNG") and rng.random() < 0.7:
            content = _with_checksums(content)
        yield f"{name} #{number}", bytes(content)


def fuzz(count: int, seed: int = 0) -> Outcome:
    """Read ``count`` damaged files, and say which rules were broken."""
    outcome = Outcome()
    with tempfile.TemporaryFile() as stderr:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(stderr.fileno(), 2)
        try:
            for name, content in mutated(seed_files(), count, seed):
                _try(name, content, outcome)
                if written := os.fstat(stderr.fileno()).st_size:
                    outcome.faults.append(f"{name}: {written} bytes on stderr")
                    os.ftruncate(stderr.fileno(), 0)
                    os.lseek(stderr.fileno(), 0, os.SEEK_SET)
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    return outcome


def _try(name: str, content: bytes, outcome: Outcome) -> None:
    before, started = _peak(reset=True), time.process_time()
    outcome.files += 1
    own = 0.0
    try:
        own = read_image(content).rgb.nbytes / 2**20
        outcome.read += 1
    except ImageRefused as refused:
        outcome.refused[name.split()[0]] += 1
        if "\n" in str(refused) or len(str(refused)) > 500:
            outcome.faults.append(f"{name}: not one line")
    except Exception as fault:  # what this program looks for
        outcome.faults.append(f"{name}: {type(fault).__name__}")
    seconds, held = time.process_time() - started, _peak() - before - own
    outcome.slowest = max(outcome.slowest, seconds)
    outcome.largest = max(outcome.largest, held)
    if seconds > SECONDS or held > MEBIBYTES:
        outcome.faults.append(f"{name}: {seconds:.1f} s, {held:.0f} MiB")


def _peak(*, reset: bool = False) -> float:
    """Largest resident size since the last reset, MiB; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _flip(content: bytearray, rng: np.random.Generator) -> bytearray:
    for at in rng.integers(0, len(content), int(rng.integers(1, 9))):
        content[at] ^= 1 << int(rng.integers(8))
    return content


def _early(rng: np.random.Generator, length: int) -> int:
    """A place in the file, more often near its start, where headers are."""
    return int(length * rng.random() ** 3)


def _overwrite(content: bytearray, rng: np.random.Generator) -> bytearray:
    at, size = _early(rng, len(content)), int(rng.integers(1, 9))
    content[at : at + size] = rng.bytes(size)
    return content


def _extreme(content: bytearray, rng: np.random.Generator) -> bytearray:
    size = int(rng.choice([1, 2, 4]))
    at = _early(rng, len(content))
    top = 1 << 8 * size
    value = int(
        rng.choice([0, 1, top // 2 - 1, top // 2, top - 2, top - 1, 255 % top, 10000 % top])
    )
    content[at : at + size] = value.to_bytes(size, "little" if rng.random() < 0.5 else "big")
    return content


def _cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(1, len(content) + 1))]


def _remove(content: bytearray, rng: np.random.Generator) -> bytearray:
    at = _early(rng, len(content))
    del content[at : at + int(rng.integers(1, 40))]
    return content


def _insert(content: bytearray, rng: np.random.Generator) -> bytearray:
    at = _early(rng, len(content))
    content[at:at] = rng.bytes(int(rng.integers(1, 40)))
    return content


def _repeat(content: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(0, len(content)))
    part = content[at : at + int(rng.integers(1, 200))]
    content[at:at] = part * int(rng.integers(1, 50))
    return content


CHANGES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (
    _flip,
    _flip,
    _overwrite,
    _extreme,
    _extreme,
    _cut,
    _remove,
    _insert,
    _repeat,
)


def _with_checksums(content: bytearray) -> bytearray:
    """PNG chunks with right checksums, so that damage reaches the decoder."""
    at = 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(content):
            break
        content[end : end + 4] = struct.pack(">I", zlib.crc32(content[at + 4 : end]))
        at = end + 4
    return content


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def _deep_png(samples: np.ndarray[Any, np.dtype[np.uint16]]) -> bytes:
    height, width, channels = samples.shape
    rows = samples.astype(">u2").tobytes()
    step = width * channels * 2
    scan = b"".join(b"\0" + rows[at : at + step] for at in range(0, len(rows), step))
    header = struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    body = bytearray(b"\x89PNG\r\n\x1a\n")
    for kind, value in ((b"IHDR", header), (b"IDAT", zlib.compress(scan)), (b"IEND", b"")):
        body += struct.pack(">I", len(value)) + kind + value + bytes(4)
    return bytes(_with_checksums(body))


def _dicom_seeds(grey: Bytes, colour: Bytes, deep: Any) -> dict[str, bytes]:
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.sequence import Sequence
    from pydicom.uid import (
        UID,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        RLELossless,
        SecondaryCaptureImageStorage,
    )

    def written(pixels: Any, syntax: str, kind: str = "", coded: bytes = b"", **more: Any) -> bytes:
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = UID(syntax)
        item.SOPClassUID, item.SOPInstanceUID = SecondaryCaptureImageStorage, UID("1.2.3")
        item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
        item.file_meta.MediaStorageSOPInstanceUID = item.SOPInstanceUID
        item.Rows, item.Columns = pixels.shape[:2]
        item.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
        item.PhotometricInterpretation = kind or ("RGB" if pixels.ndim == 3 else "MONOCHROME2")
        item.BitsAllocated = 8 * pixels.dtype.itemsize
        item.BitsStored = item.BitsAllocated if item.BitsAllocated != 16 else 12
        item.HighBit, item.PixelRepresentation = item.BitsStored - 1, 0
        if pixels.ndim == 3:
            item.PlanarConfiguration = 0
        for name, value in more.items():
            setattr(item, name, value)
        if pixels.dtype.kind == "f":
            item.FloatPixelData = pixels.tobytes()
        else:
            order = ">" if syntax == ExplicitVRBigEndian else "<"
            plain = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
            item.PixelData = encapsulate([coded]) if coded else plain
            item["PixelData"].VR = "OB" if coded or pixels.itemsize == 1 else "OW"
        buffer = io.BytesIO()
        item.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    def coded(pixels: Any, kind: str, **options: Any) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind, **options)
        return buffer.getvalue()

    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table.add_new("LUTData", "US", [255 - value // 16 for value in range(4096)])
    palette: dict[str, Any] = {
        f"{name}PaletteColorLookupTableDescriptor": [256, 0, 8] for name in COLOURS
    }
    palette |= {f"{name}PaletteColorLookupTableData": bytes(range(256)) for name in COLOURS}
    from pydicom.pixels.encoders.native import _encode_frame

    class Runner:
        """What pydicom's RLE encoder asks for."""

        rows, columns, samples_per_pixel, bits_allocated = SIDE, SIDE, 1, 16

        def get_option(self, name: str, default: Any = None) -> Any:
            return default

    run: Any = Runner()
    rle = bytes(_encode_frame(deep.astype("<u2").tobytes(), run))
    window: dict[str, Any] = {"WindowCenter": 2048, "WindowWidth": 1000}
    return {
        "DICOM deep": written(
            deep, ExplicitVRLittleEndian, RescaleSlope=2, RescaleIntercept=-9, **window
        ),
        "DICOM implicit": written(deep, ImplicitVRLittleEndian, PixelPaddingValue=5),
        "DICOM big": written(deep, ExplicitVRBigEndian),
        "DICOM deflated": written(deep, DeflatedExplicitVRLittleEndian),
        "DICOM float": written((deep / 9.0).astype(np.float32), ExplicitVRLittleEndian),
        "DICOM table": written(deep, ExplicitVRLittleEndian, VOILUTSequence=Sequence([table])),
        "DICOM palette": written(grey, ExplicitVRLittleEndian, "PALETTE COLOR", **palette),
        "DICOM colour": written(colour, ExplicitVRLittleEndian),
        "DICOM ybr": written(colour, ExplicitVRLittleEndian, "YBR_FULL"),
        "DICOM jpeg": written(colour, JPEGBaseline8Bit, "YBR_FULL_422", coded(colour, "JPEG")),
        "DICOM jpeg 2000": written(
            deep, JPEG2000Lossless, "", coded(deep, "JPEG2000", no_jp2=True)
        ),
        "DICOM rle": written(deep, RLELossless, "", rle),
    }


COLOURS = ("Red", "Green", "Blue")


def main() -> int:
    """Run from the command line; 1 where a rule was broken."""
    parser = argparse.ArgumentParser(description="Damaged image files through read_image.")
    parser.add_argument("--count", type=int, default=5000, help="files (default: 5000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the changes (default: 0)")
    options = parser.parse_args()
    outcome = fuzz(options.count, options.seed)
    print(
        f"files {outcome.files}, read {outcome.read}, refused {outcome.refused.total()}: "
        f"{dict(sorted(outcome.refused.items()))}"
    )
    print(f"slowest {outcome.slowest:.2f} s of CPU, largest {outcome.largest:.0f} MiB")
    print(f"broken rules: {len(outcome.faults)}")
    print("\n".join(outcome.faults))
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
