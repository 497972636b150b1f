"""Images inside messages: LangChain, OpenAI and Anthropic image blocks as RGB pictures.

Only what a chat message may carry is read here: base64 bytes, data URIs, a Pillow image. Medical
files (DICOM, 16-bit, multi-frame) are `vision`'s business and arrive as `features=`.
"""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from PIL import Image, ImageOps, UnidentifiedImageError

from imc_agents.errors import QuestionRefused

__all__ = ["is_image_block", "read_image_block"]

MAX_PIXELS = 100_000_000  # a 10,000 x 10,000 scan; more is taken for a decompression bomb
MAX_BYTES = 64 * 1024 * 1024
REMOTE_TIMEOUT_S = 20.0

_IMAGE_TYPES = frozenset({"image", "image_url", "input_image"})


def is_image_block(block: Any) -> bool:
    """Whether a message content block is an image (or the place of one)."""
    return isinstance(block, dict) and block.get("type") in _IMAGE_TYPES


def read_image_block(block: dict[str, Any], *, allow_remote: bool = False) -> Image.Image:
    """Decode an image block.

    Args:
        block: `{"type": "image", "base64": ...}`, `{"type": "image", "url": ...}`, the OpenAI form
            `{"type": "image_url", "image_url": {"url": ...}}`, the Anthropic form
            `{"type": "image", "source": {...}}`, or `{"type": "image", "image": <Pillow image>}`.
        allow_remote: whether http(s) URLs may be fetched.

    Returns:
        An RGB image with its EXIF rotation applied.

    Raises:
        QuestionRefused: no bytes in the block, a remote or local-file URL, a stored-file id, or
            bytes that are no picture Pillow can read.
    """
    held = block.get("image")
    if isinstance(held, Image.Image):
        return held.convert("RGB")
    return _decode(_bytes_of(block, allow_remote=allow_remote))


def _bytes_of(block: dict[str, Any], *, allow_remote: bool) -> bytes:
    source = block.get("source")
    if isinstance(source, dict):  # Anthropic
        block = {**block, **source, "base64": source.get("data")}
    url = block.get("url") or block.get("image_url")
    if isinstance(url, dict):  # OpenAI
        url = url.get("url")
    encoded = block.get("base64")
    if encoded is None and block.get("source_type") == "base64":  # langchain-core before 1.0
        encoded = block.get("data")
    if isinstance(encoded, (bytes, bytearray)):
        return bytes(encoded)
    if isinstance(encoded, str):
        return _from_base64(encoded)
    if isinstance(url, str):
        return _from_url(url, allow_remote=allow_remote)
    if block.get("file_id") or block.get("id"):
        raise QuestionRefused(
            "image block names a stored file by its id, this model keeps none: send base64"
        )
    raise QuestionRefused("image block without an image: give base64, a data URI or `features=`")


def _from_base64(encoded: str) -> bytes:
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise QuestionRefused(
            "image block holds no valid base64: encode the file's bytes"
        ) from error


def _from_url(url: str, *, allow_remote: bool) -> bytes:
    scheme = urlsplit(url).scheme.lower()
    if scheme == "data":
        header, _, payload = url.partition(",")
        return _from_base64(payload) if ";base64" in header else unquote_to_bytes(payload)
    if scheme not in ("http", "https"):
        raise QuestionRefused(
            f"image URL of scheme {scheme!r} is not read: send base64 or a data URI"
        )
    if not allow_remote:
        raise QuestionRefused(
            "remote image URL refused, nothing is fetched unasked: "
            "send base64, or set allow_remote_images=True"
        )
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=REMOTE_TIMEOUT_S) as reply:  # scheme checked above
            fetched: bytes = reply.read(MAX_BYTES + 1)
    except OSError as error:
        raise QuestionRefused(
            f"remote image could not be fetched ({type(error).__name__}): send base64"
        ) from error
    if len(fetched) > MAX_BYTES:
        raise QuestionRefused(f"remote image is over {MAX_BYTES} bytes: send a smaller one")
    return fetched


def _decode(raw: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # The limit below is ours; Pillow's own warning would come first and unasked.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(raw))
            if picture.width * picture.height > MAX_PIXELS:
                raise QuestionRefused(
                    f"image of {picture.width} x {picture.height} pixels is over the limit of "
                    f"{MAX_PIXELS}: send a smaller one"
                )
            return ImageOps.exif_transpose(picture).convert("RGB")
    except Image.DecompressionBombError as error:
        raise QuestionRefused("image is a decompression bomb: send a smaller one") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise QuestionRefused(
            f"image block of {len(raw)} bytes is no readable picture "
            f"({type(error).__name__}): send PNG or JPEG bytes"
        ) from error
