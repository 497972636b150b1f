"""What decoding one image may cost, checked against its header before any pixel is decoded.

Within these limits a decode takes at most 512 MiB beside the RGB result, and about 5 s of one core.
"""

from __future__ import annotations

from vision.errors import ImageRefused

MAX_PIXELS = 100_000_000
"""10,000 × 10,000: over every radiograph and under what exhausts a laptop (300 MB as RGB)."""

MAX_BYTES = 1 << 30
"""1 GiB of file. Longer ones are whole multi-frame series: one frame is asked about at a time."""

WORKING_BYTES = 448 << 20
"""Memory for decoder state and samples beside the RGB result; 64 MiB of 512 are left to bands,
codec tables and Python objects."""

MAX_SAMPLE_BYTES = 320_000_000
"""Decoded samples of one frame: a core inflates and unfilters about 100 to 200 MB a second."""

MAX_FRAMES = 100_000
"""Pages or frames that are walked to reach the one asked for."""


def check_frame(frame: int | None, frames: int, what: str) -> None:
    """Refuse a frame that the image does not have (they count from 0)."""
    if frame is None or 0 <= frame < frames:
        return
    has = "one frame, 0" if frames == 1 else f"frames 0 to {frames - 1}"
    raise ImageRefused(f"cannot read frame {frame} of {what}: it has {has}")


def check_size(width: int, height: int, what: str, max_pixels: int) -> None:
    """Refuse an empty image and one over ``max_pixels``, from the header alone."""
    if width < 1 or height < 1:
        raise ImageRefused(f"cannot read {what}: its size is {width}×{height}; it has no pixels")
    if width * height > max_pixels:
        raise ImageRefused(
            f"cannot read {what}: {width}×{height} pixels are over the limit of {max_pixels}; "
            "scale it down or crop it"
        )


def check_cost(what: str, *, working: float = 0, samples: float = 0, why: str = "") -> None:
    """Refuse an image that fits the pixel limit but costs too much to decode.

    Args:
        what: how messages call the source.
        working: bytes that its decoder holds beside the RGB result.
        samples: bytes of samples that are decoded, each as often as it is computed.
        why: what makes it expensive, for the message.

    Raises:
        ImageRefused: over `WORKING_BYTES` or `MAX_SAMPLE_BYTES`.
    """
    limit = "memory" if working > WORKING_BYTES else "time"
    if working > WORKING_BYTES or samples > MAX_SAMPLE_BYTES:
        raise ImageRefused(
            f"cannot read {what}: decoding it would take too much {limit}"
            f"{f' ({why})' if why else ''}; save it as 8-bit PNG, scaled down or cropped"
        )
