"""Files no one should be able to ask about, made one by one."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, SecondaryCaptureImageStorage


def grey_png(folder: Path, width: int = 32, height: int = 24) -> Path:
    """A readable image, for commands that must be refused for another reason."""
    path = folder / "readable.png"
    pixels = np.linspace(0, 255, width * height).reshape(height, width).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def truncated_jpeg(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    whole = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(whole, "JPEG")
    path = folder / "truncated.jpg"
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    return path


def png_of_claimed_size(folder: Path, width: int, height: int) -> Path:
    """A PNG whose header claims `width` x `height`, with hardly any content."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    path = folder / f"claimed_{width}x{height}.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1024)))
        + chunk(b"IEND", b"")
    )
    return path


def dicom(folder: Path, *, pixels: bool, decodable: bool = True) -> Path:
    """A DICOM file; without `pixels` a report, not `decodable` a compression nobody installed."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if decodable else JPEGLSLossless
    path = folder / f"pixels{pixels}_decodable{decodable}.dcm"
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = "1.2.3"
    dataset.PatientName = "Doe^Jane"
    if pixels:
        dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 8, 8, 1
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.PixelData = bytes(64) if decodable else encapsulate([bytes(64)])
    dataset.save_as(path)
    return path


def model_without_weights(folder: Path, whole: Path) -> Path:
    """A model folder from which the weights were not copied."""
    part = folder / "incomplete"
    part.mkdir()
    for file in whole.iterdir():
        if file.suffix != ".safetensors":
            (part / file.name).write_bytes(file.read_bytes())
    return part


def model_with_pickled_weights(folder: Path, whole: Path) -> Path:
    """A model folder with `pytorch_model.bin` in place of safetensors."""
    part = model_without_weights(folder, whole)
    (part / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    return part


def text_only_model(folder: Path) -> Path:
    """A tiny language model that cannot see."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    path = folder / "text_only"
    LlamaForCausalLM(config).save_pretrained(path)
    return path
