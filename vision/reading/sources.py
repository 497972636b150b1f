"""Whatever an image comes as, opened as a stream of bytes: paths, URLs, content blocks, bytes.

Only regular files are opened, so that a pipe, a device or a file of /proc is refused and not
waited for. Nothing is fetched from another host.
"""

from __future__ import annotations

import base64
import binascii
import errno
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from vision.errors import ImageRefused
from vision.reading.bounds import MAX_BYTES

READABLE = "a PNG, JPEG, TIFF, WebP or DICOM image"
IMAGE_BLOCKS = frozenset({"image", "image_url", "input_image"})
"""Types of content blocks that hold an image; a ``file`` block may hold one."""

SNIFFED_BYTES = 144
"""Bytes that `sniff` looks at: DICOM's mark follows a preamble of 128."""

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


@contextmanager
def opened(source: object) -> Iterator[tuple[BinaryIO, str]]:
    """The bytes of any source that is a file in some form, and how messages call it.

    Raises:
        ImageRefused: not a regular file, not readable, empty, over `MAX_BYTES`, remote, or
            without content.
    """
    if isinstance(source, Mapping):
        source = block_source(source)
    if isinstance(source, str):
        source = _of_text(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        _check_length(len(source), "the image bytes")
        yield io.BytesIO(source), "the image bytes"
        return
    if not isinstance(source, Path):
        raise ImageRefused(
            f"an image cannot be read from {type(source).__name__}; give a path, bytes, a "
            "LangChain image block, a Pillow image or an array"
        )
    what = _named(source)
    with _regular_file(source, what) as stream:
        _check_length(os.fstat(stream.fileno()).st_size, what)
        try:
            yield stream, what
        except OSError as fault:
            raise ImageRefused(_system_error(what, fault)) from None


def sniff(start: bytes) -> str | None:
    """``PNG``, ``JPEG``, ``TIFF``, ``WEBP`` or ``DICOM`` by the first bytes, else None."""
    if start[128:132] == b"DICM":
        return "DICOM"  # first, because its free preamble may be the start of a valid TIFF
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "TIFF"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    return "DICOM" if _is_bare_dicom(start) else None


def may_be_image(path: Path) -> bool:
    """Whether a regular file begins as an image does: DICOM files often have no extension.

    One that cannot be opened may be one; `read_image` then says why not.
    """
    try:
        with _regular_file(path, _named(path)) as stream:
            return sniff(stream.read(SNIFFED_BYTES)) is not None
    except ImageRefused:
        return True


def other_format(start: bytes) -> str:
    """What the bytes of an unsupported file are, for a message."""
    for mark, name in _OTHERS:
        if start.startswith(mark):
            return f"it is {name}, which is not supported"
    if start[4:8] == b"ftyp":
        return "it is a HEIC, AVIF or video file, which is not supported"
    return "its content is no image format known here"


def block_source(block: Mapping[Any, Any]) -> str | bytes:
    """The URL or the bytes of a content block: LangChain (v1 and earlier), OpenAI or Anthropic.

    Raises:
        ImageRefused: another type of block, a path where a URL belongs, or no content.
    """
    if block.get("type") not in (*IMAGE_BLOCKS, "file"):
        raise ImageRefused("the content block is not an image; its type must be 'image'")
    inner = block.get("source")
    if isinstance(inner, Mapping):  # Anthropic
        block = {**block, **inner}
    url = block.get("url") or block.get("image_url")
    if isinstance(url, Mapping):  # OpenAI
        url = url.get("url")
    encoded = block.get("base64", block.get("data"))
    if isinstance(encoded, (bytes, bytearray)):
        return bytes(encoded)
    if isinstance(encoded, str):
        return _base64(encoded, "the image block")
    if isinstance(url, str):
        if not url.startswith("data:") and not _REMOTE.match(url):
            raise ImageRefused("the image block's url must be a data: or file: URL")
        return url
    if block.get("file_id") or block.get("id"):
        raise ImageRefused("the image block names a stored file by its id; give base64")
    raise ImageRefused("the image block has no content; give base64 or a data: or file: URL")


def _is_bare_dicom(start: bytes) -> bool:
    """Whether it is a first element of group 2 or 8: DICOM without preamble and mark."""
    if len(start) < 8 or start[0] not in (2, 8) or start[1] != 0 or start[3] != 0:
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") <= 64


def _of_text(text: str) -> Path | bytes:
    if text.startswith("data:"):
        header, comma, body = text.partition(",")
        if not comma:
            raise ImageRefused("cannot read the data URI: it must be data:<type>;base64,<content>")
        encoded = header.endswith(";base64")
        return _base64(body, "the data URI") if encoded else unquote_to_bytes(body)
    if text.startswith("file:"):
        try:
            url = urlsplit(text)
        except ValueError:
            raise ImageRefused("cannot read the file URL: it is malformed; give a path") from None
        if url.netloc not in ("", "localhost"):
            raise ImageRefused("cannot read a file URL of another host; give a local path")
        return Path(unquote(url.path))
    remote = _REMOTE.match(text)
    if remote:
        raise ImageRefused(
            f"remote images are not fetched ({remote[1].lower()}://...); download it and give "
            "its path"
        )
    if not text.strip():
        raise ImageRefused("the image path is empty; give the path of an image file")
    return Path(text)


def _named(path: Path) -> str:
    shown = str(path)
    return repr(shown if len(shown) <= 200 else f"{shown[:200]}...")


def _regular_file(path: Path, what: str) -> BinaryIO:
    if "\x00" in str(path):
        raise ImageRefused(f"cannot read {what}: a path cannot hold a NUL character")
    # Opening a pipe or a device may block or act on it: looked at first, and again once open.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_regular(os.stat(path), what)
        stream = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError:
        raise ImageRefused(f"cannot read {what}: there is no such file; check the path") from None
    except PermissionError:
        raise ImageRefused(
            f"cannot read {what}: permission denied; make it readable (chmod +r)"
        ) from None
    except OSError as fault:
        raise ImageRefused(_system_error(what, fault)) from None
    try:
        _check_regular(os.fstat(stream.fileno()), what)
    except ImageRefused:
        stream.close()
        raise
    return stream


def _system_error(what: str, fault: OSError) -> str:
    why = errno.errorcode.get(fault.errno or 0, "unknown error")
    return f"cannot read {what}: the system says {why}; check the path"


def _check_regular(status: os.stat_result, what: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageRefused(f"cannot read {what}: it is a directory; give one image file")
    if not stat.S_ISREG(status.st_mode):
        raise ImageRefused(f"cannot read {what}: it is not a regular file; give an image file")
    if status.st_size == 0:  # also the files of /proc, whose reading may wait for ever
        raise ImageRefused(f"cannot read {what}: it is empty (0 bytes); give {READABLE}")


def _base64(text: str, what: str) -> bytes:
    if len(text) > MAX_BYTES // 3 * 4:
        raise ImageRefused(_too_long(what))
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ImageRefused(f"cannot read {what}: its base64 is not valid") from None


def _check_length(length: int, what: str) -> None:
    if length == 0:
        raise ImageRefused(f"cannot read {what}: it is empty (0 bytes); give {READABLE}")
    if length > MAX_BYTES:
        raise ImageRefused(_too_long(what))


def _too_long(what: str) -> str:
    return f"cannot read {what}: it is over {MAX_BYTES >> 20} MiB; export the one frame you need"
