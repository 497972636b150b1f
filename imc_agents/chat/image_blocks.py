"""Images inside messages: content blocks of LangChain, OpenAI and Anthropic as RGB pictures.

The pixels come through `vision.reading`, as those of files do, so that a deep, float or DICOM
image looks the same in both. Which places a message may name is decided here.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from imc_agents.errors import QuestionRefused
from imc_core.errors import IMCError
from vision.reading.medical_image import read_image
from vision.reading.sources import IMAGE_BLOCKS, block_source

__all__ = ["is_image_block", "read_image_block"]

MAX_FETCHED_BYTES = 64 * 1024 * 1024
REMOTE_TIMEOUT_S = 20.0


def is_image_block(block: Any) -> bool:
    """Whether a message content block is an image (or the place of one)."""
    return isinstance(block, dict) and block.get("type") in IMAGE_BLOCKS


def read_image_block(block: dict[str, Any], *, allow_remote: bool = False) -> Image.Image:
    """Decode an image block, as `vision.read_image` decodes a file.

    Args:
        block: `{"type": "image", "base64": ...}`, `{"type": "image", "url": ...}`, the OpenAI form
            `{"type": "image_url", "image_url": {"url": ...}}`, the Anthropic form
            `{"type": "image", "source": {...}}`, or `{"type": "image", "image": ...}` with a
            Pillow image, an array or a `MedicalImage`.
        allow_remote: whether http(s) URLs may be fetched.

    Returns:
        An RGB image with its EXIF rotation applied.

    Raises:
        QuestionRefused: no content in the block, a remote or local-file URL, a stored-file id, or
            content that `read_image` refuses.
    """
    try:
        source: Any = block
        if block.get("image") is None:
            source = block_source(block)
        if isinstance(source, str) and not source.startswith("data:"):
            source = _fetched(source, allow_remote=allow_remote)
        return Image.fromarray(read_image(source).rgb)
    except QuestionRefused:
        raise
    except IMCError as error:
        raise QuestionRefused(f"image block: {error}") from error


def _fetched(url: str, *, allow_remote: bool) -> bytes:
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError:
        scheme = ""
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
            fetched: bytes = reply.read(MAX_FETCHED_BYTES + 1)
    except OSError as error:
        raise QuestionRefused(
            f"remote image could not be fetched ({type(error).__name__}): send base64"
        ) from error
    if len(fetched) > MAX_FETCHED_BYTES:
        raise QuestionRefused(f"remote image is over {MAX_FETCHED_BYTES} bytes: send a smaller one")
    return fetched
