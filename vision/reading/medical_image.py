"""Reading an image, whatever it comes as, into checked RGB: the only door for pixels."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imc_core.html import html_image
from vision.errors import ImageRefused
from vision.reading.bounds import MAX_PIXELS, check_frame, check_size
from vision.reading.dicom import dicom_rgb
from vision.reading.grey import by_depth, finite_range, grey_rgb
from vision.reading.pillow_pixels import over_black
from vision.reading.raster import opened_pillow_rgb, raster_rgb
from vision.reading.sources import READABLE, SNIFFED_BYTES, opened, other_format, sniff

SHOWN_SIDE = 512
"""Pixels of the longer side of an image in a notebook."""


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
                f"an image needs uint8 pixels of shape (H, W, 3), got {rgb.dtype} {rgb.shape}: "
                "MedicalImage.from_array takes grey and float arrays too"
            )
        pixels = np.ascontiguousarray(rgb)
        if pixels is rgb or pixels.base is not None:
            pixels = pixels.copy()
        return cls._of_own(pixels, source_format)

    @classmethod
    def from_array(cls, array: NDArray[Any], *, max_pixels: int = MAX_PIXELS) -> MedicalImage:
        """An image of a grey or coloured array, as `read_image` takes it.

        Args:
            array: ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)``: ``uint8`` or boolean,
                deeper integers as `vision.reading.grey.by_depth` says, or floats in [0, 1], where
                1 is white.
            max_pixels: width × height above which it is refused.

        Raises:
            ImageRefused: no array, another shape or type, or floats that are not finite or lie
                outside [0, 1].
        """
        if not isinstance(array, np.ndarray):
            raise ImageRefused(
                f"{type(array).__name__} is no array: give numpy.asarray(...) of it, or read other "
                "sources with read_image"
            )
        return cls._of_own(np.ascontiguousarray(_array_rgb(array, max_pixels)), "ARRAY")

    @classmethod
    def _of_own(cls, pixels: NDArray[np.uint8], source_format: str) -> MedicalImage:
        """As `from_rgb`, without a copy: no one else may hold the pixels."""
        pixels.setflags(write=False)
        digest = hashlib.sha256(f"rgb8 {pixels.shape[0]}x{pixels.shape[1]} ".encode())
        digest.update(pixels.data)
        return cls(pixels, digest.hexdigest(), source_format)

    def _repr_html_(self) -> str:
        """The picture, as a notebook shows it; larger than 512 pixels it is made smaller."""
        shown = Image.fromarray(self.rgb)
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        held = io.BytesIO()
        shown.save(held, "PNG")
        caption = f"{self.width} x {self.height}, {self.source_format}, {self.sha256[:12]}"
        return html_image(held.getvalue(), caption, width=max(shown.width, 160))

    def __eq__(self, other: object) -> bool:
        """The same pixels, whatever file they came from."""
        return isinstance(other, MedicalImage) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        """By content, as equality is."""
        return hash(self.sha256)


Source = str | Path | bytes | Mapping[str, object] | Image.Image | NDArray[Any] | MedicalImage


def read_image(
    source: Source, *, frame: int | None = None, max_pixels: int = MAX_PIXELS
) -> MedicalImage:
    """Read one image, or refuse it in one line. Extensions are never trusted.

    Args:
        source: a path; the bytes of a file; a content block of a message (LangChain, OpenAI or
            Anthropic, with ``base64``, a ``data:`` or ``file:`` URL, or a Pillow image under
            ``image``); a Pillow image; a `MedicalImage`, returned as it is; or an array, as
            `MedicalImage.from_array` takes it.
        frame: of a multi-frame DICOM, multi-page TIFF or animation, from 0; None is the first.
        max_pixels: width × height above which an image is refused before it is decoded.

    Returns:
        RGB ``uint8``, upright, over black where it was transparent; deep samples as
        `vision.reading.grey.by_depth` says, DICOM as `vision.reading.dicom.dicom_rgb` says.
        Decoding takes at most 512 MiB beside it and about 5 s (`vision.reading.bounds`).

    Raises:
        ImageRefused: whatever cannot be read: missing, empty, truncated, damaged, too large or
            too costly, remote, of another format, without such a frame, without a decoder, or an
            array of floats outside [0, 1].
    """
    if frame is not None and (isinstance(frame, bool) or not isinstance(frame, int)):
        raise ImageRefused(f"the frame must be a whole number from 0, got {frame!r}")
    if isinstance(source, Mapping) and isinstance(
        held := source.get("image"), (Image.Image, np.ndarray, MedicalImage)
    ):
        source = held
    if isinstance(source, MedicalImage):
        check_frame(frame, 1, "the image")
        return source
    if isinstance(source, np.ndarray):
        check_frame(frame, 1, "the array")
        return MedicalImage.from_array(source, max_pixels=max_pixels)
    if isinstance(source, Image.Image):
        return MedicalImage._of_own(opened_pillow_rgb(source, frame, max_pixels), "PIL")
    with opened(source) as (stream, what):
        start = stream.read(SNIFFED_BYTES)
        stream.seek(0)
        known = sniff(start)
        if known is None:
            raise ImageRefused(f"cannot read {what}: {other_format(start)}; give {READABLE}")
        if known == "DICOM":
            rgb = dicom_rgb(stream, what, frame=frame, max_pixels=max_pixels)
        else:
            rgb = raster_rgb(stream, known, what, frame=frame, max_pixels=max_pixels)
    return MedicalImage._of_own(rgb, known)


def _array_rgb(array: NDArray[Any], max_pixels: int) -> NDArray[np.uint8]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise ImageRefused(
            f"an array of shape {array.shape} is not an image; give (H, W), (H, W, 3) or (H, W, 4)"
        )
    check_size(array.shape[1], array.shape[0], "the array", max_pixels)
    try:
        if array.dtype.kind == "f":
            least, most = finite_range(array)
            if least < 0.0 or most > 1.0 or not np.isfinite(array).all():
                raise ImageRefused(
                    "cannot read the array: floats must be finite and lie in [0, 1], where 1 is "
                    "white; rescale them, or give uint8 or uint16"
                )
        pixels = by_depth(array)
    except ImageRefused:
        raise
    except ValueError as fault:
        raise ImageRefused(f"cannot read the array: {fault}") from None
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return grey_rgb(pixels.reshape(pixels.shape[:2]))
    return over_black(pixels[:, :, :3], pixels[:, :, 3]) if pixels.shape[2] == 4 else pixels
