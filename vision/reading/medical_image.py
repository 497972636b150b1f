"""Reading an image, whatever it comes as, into checked RGB: the only door for pixels."""

from __future__ import annotations

import base64
import binascii
import errno
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vision.errors import ImageRefused
from vision.reading.dicom import dicom_rgb, has_dicom_mark, looks_like_bare_dicom
from vision.reading.grey import by_depth
from vision.reading.raster import (
    BROKEN,
    check_frame,
    check_size,
    grey_rgb,
    pillow_rgb,
    quiet,
    raster_rgb,
)

Source = str | Path | bytes | Mapping[str, object] | Image.Image | NDArray[Any]

MAX_PIXELS = 100_000_000
"""10,000 × 10,000: over every radiograph and under what exhausts a laptop (300 MB as RGB)."""

MAX_BYTES = 1 << 30
"""1 GiB of file. Longer ones are whole multi-frame series: one frame is asked about at a time."""

READABLE = "a PNG, JPEG, TIFF, WebP or DICOM image"

_REMOTE = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")  # two letters or more: not a drive name
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed (NIfTI, perhaps)"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000"),
    (b"\x89HDF", "an HDF5 file"),
    (b"NRRD", "an NRRD volume"),
    (b"8BPS", "a Photoshop file"),
)


@dataclass(frozen=True, eq=False)
class MedicalImage:
    """A checked image: what every later step of the image side takes."""

    rgb: NDArray[np.uint8] = field(repr=False)
    """Pixels, ``(H, W, 3)``, ``uint8``, read-only: copy before handing it to ``torch``."""
    sha256: str
    """Hex digest over shape and pixels: the same picture has the same name in any format."""
    source_format: str
    """``PNG``, ``JPEG``, ``TIFF``, ``WEBP``, ``DICOM``, ``PIL`` or ``ARRAY``."""

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return int(self.rgb.shape[1])

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return int(self.rgb.shape[0])

    @classmethod
    def from_rgb(cls, rgb: NDArray[np.uint8], source_format: str = "ARRAY") -> MedicalImage:
        """Name and freeze ``(H, W, 3)`` ``uint8`` pixels.

        Raises:
            ImageRefused: another shape or type, or no pixels.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ImageRefused(
                f"an image needs uint8 pixels of shape (H, W, 3), got {rgb.dtype} {rgb.shape}"
            )
        pixels = np.ascontiguousarray(rgb)
        if pixels is rgb or pixels.base is not None:
            pixels = pixels.copy()
        pixels.setflags(write=False)
        digest = hashlib.sha256(f"rgb8 {pixels.shape[0]}x{pixels.shape[1]} ".encode())
        digest.update(pixels.data)
        return cls(pixels, digest.hexdigest(), source_format)

    def __eq__(self, other: object) -> bool:
        """The same pixels, whatever file they came from."""
        return isinstance(other, MedicalImage) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        """By content, as equality is."""
        return hash(self.sha256)


def read_image(
    source: Source, *, frame: int | None = None, max_pixels: int = MAX_PIXELS
) -> MedicalImage:
    """Read one image, or refuse it in one line. Extensions are never trusted.

    Args:
        source: a path; the bytes of a file; a LangChain image block (``base64``, ``data:`` or
            ``file:`` URL, OpenAI ``image_url``); a Pillow image; or an array ``(H, W)``,
            ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)``.
        frame: of a multi-frame DICOM or multi-page TIFF, from 0; None is the first.
        max_pixels: width × height above which an image is refused before it is decoded.

    Returns:
        RGB ``uint8``, upright, over black where it was transparent; deep grey as
        `vision.reading.grey.by_depth` says, DICOM as `vision.reading.dicom.dicom_rgb` says.

    Raises:
        ImageRefused: whatever cannot be read: missing, empty, truncated, too large, remote,
            of another format, without such a frame, without a decoder.
    """
    if frame is not None and (isinstance(frame, bool) or not isinstance(frame, int)):
        raise ImageRefused(f"the frame must be a whole number from 0, got {frame!r}")
    if isinstance(source, np.ndarray):
        return MedicalImage.from_rgb(_array_rgb(source, frame, max_pixels), "ARRAY")
    if isinstance(source, Image.Image):
        return MedicalImage.from_rgb(_pil_rgb(source, frame, max_pixels), "PIL")
    content, what = _content(source)
    known = sniff(content)
    if known is None:
        raise ImageRefused(f"cannot read {what}: {_other(content)}; give {READABLE}")
    if known == "DICOM":
        rgb = dicom_rgb(content, what, frame=frame, max_pixels=max_pixels)
    else:
        rgb = raster_rgb(content, known, what, frame=frame, max_pixels=max_pixels)
    return MedicalImage.from_rgb(rgb, known)


def sniff(content: bytes) -> str | None:
    """``PNG``, ``JPEG``, ``TIFF``, ``WEBP`` or ``DICOM`` by the first bytes, else None."""
    if has_dicom_mark(content):
        return "DICOM"  # first, because its free preamble may be the start of a valid TIFF
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "TIFF"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    return "DICOM" if looks_like_bare_dicom(content) else None


def _content(source: object) -> tuple[bytes, str]:
    """The bytes of any source that is a file in some form, and how messages call it."""
    if isinstance(source, Mapping):
        return _block(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _sized(bytes(source), "the image bytes"), "the image bytes"
    if isinstance(source, Path):
        return _file(source)
    if isinstance(source, str):
        return _text(source)
    raise ImageRefused(
        f"an image cannot be read from {type(source).__name__}; give a path, bytes, a LangChain "
        "image block, a Pillow image or an array"
    )


def _text(text: str) -> tuple[bytes, str]:
    if text.startswith("data:"):
        header, comma, body = text.partition(",")
        if not comma or not header.endswith(";base64"):
            raise ImageRefused("cannot read the data URI: it must be data:<type>;base64,<content>")
        return _base64(body, "the data URI"), "the data URI"
    if text.startswith("file:"):
        url = urlsplit(text)
        if url.netloc not in ("", "localhost"):
            raise ImageRefused("cannot read a file URL of another host; give a local path")
        return _file(Path(unquote(url.path)))
    remote = _REMOTE.match(text)
    if remote:
        raise ImageRefused(
            f"remote images are not fetched ({remote[1].lower()}://...); download it and give "
            "its path"
        )
    if not text.strip():
        raise ImageRefused("the image path is empty; give the path of an image file")
    return _file(Path(text))


def _file(path: Path) -> tuple[bytes, str]:
    shown = str(path)
    what = repr(shown if len(shown) <= 200 else f"{shown[:200]}...")
    if "\x00" in shown:
        raise ImageRefused(f"cannot read {what}: a path cannot hold a NUL character")
    try:
        if path.is_dir():
            raise ImageRefused(f"cannot read {what}: it is a directory; give one image file")
        size = path.stat().st_size
        if not path.is_file():
            raise ImageRefused(f"cannot read {what}: it is not a regular file")
        if size > MAX_BYTES:
            raise ImageRefused(_too_long(what))
        return _sized(path.read_bytes(), what), what
    except FileNotFoundError:
        raise ImageRefused(f"cannot read {what}: there is no such file; check the path") from None
    except PermissionError:
        raise ImageRefused(
            f"cannot read {what}: permission denied; make it readable (chmod +r)"
        ) from None
    except OSError as fault:
        why = errno.errorcode.get(fault.errno or 0, "unknown error")
        raise ImageRefused(f"cannot read {what}: the system says {why}; check the path") from None


def _block(block: Mapping[Any, Any]) -> tuple[bytes, str]:
    """A LangChain content block, standard (v1), earlier (``source_type``) or OpenAI's."""
    kind = block.get("type")
    if kind not in ("image", "image_url", "file"):
        raise ImageRefused("the content block is not an image; its type must be 'image'")
    url = block.get("image_url") if kind == "image_url" else block.get("url")
    if isinstance(url, Mapping):
        url = url.get("url")
    encoded = block.get("base64", block.get("data"))
    if isinstance(encoded, str):
        return _base64(encoded, "the image block"), "the image block"
    if isinstance(encoded, bytes):
        return _sized(encoded, "the image block"), "the image block"
    if isinstance(url, str):
        if not url.startswith("data:") and not _REMOTE.match(url):
            raise ImageRefused("the image block's url must be a data: or file: URL")
        return _text(url)
    if "file_id" in block:
        raise ImageRefused("the image block names a file_id of a remote store; give base64")
    raise ImageRefused("the image block has no content; give base64 or a data: or file: URL")


def _base64(text: str, what: str) -> bytes:
    if len(text) > MAX_BYTES // 3 * 4:
        raise ImageRefused(_too_long(what))
    try:
        return _sized(base64.b64decode("".join(text.split()), validate=True), what)
    except (binascii.Error, ValueError) as fault:
        if isinstance(fault, ImageRefused):
            raise
        raise ImageRefused(f"cannot read {what}: its base64 is not valid") from None


def _sized(content: bytes, what: str) -> bytes:
    if not content:
        raise ImageRefused(f"cannot read {what}: it is empty (0 bytes); give {READABLE}")
    if len(content) > MAX_BYTES:
        raise ImageRefused(_too_long(what))
    return content


def _too_long(what: str) -> str:
    return f"cannot read {what}: it is over {MAX_BYTES >> 20} MiB; export the one frame you need"


def _other(content: bytes) -> str:
    for start, name in _OTHERS:
        if content.startswith(start):
            return f"it is {name}, which is not supported"
    if content[4:8] == b"ftyp":
        return "it is a HEIC, AVIF or video file, which is not supported"
    return "its content is no image format known here"


def _pil_rgb(image: Image.Image, frame: int | None, max_pixels: int) -> NDArray[np.uint8]:
    try:
        with quiet():
            return pillow_rgb(image, "the Pillow image", frame=frame, max_pixels=max_pixels)
    except ImageRefused:
        raise
    except BROKEN:
        raise ImageRefused(
            "cannot read the Pillow image: it is closed, damaged or of an unsupported mode"
        ) from None


def _array_rgb(array: NDArray[Any], frame: int | None, max_pixels: int) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageRefused(
            f"an array of shape {array.shape} is not an image; give (H, W), (H, W, 3) or (H, W, 4)"
        )
    check_frame(frame, 1, "the array")
    check_size(array.shape[1], array.shape[0], "the array", max_pixels)
    try:
        pixels = by_depth(array)
    except ValueError as fault:
        raise ImageRefused(f"cannot read the array: {fault}") from None
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return grey_rgb(pixels.reshape(pixels.shape[:2]))
    if pixels.shape[2] == 4:
        return _pil_rgb(Image.fromarray(pixels), None, max_pixels)
    return pixels
