"""Images in a folder beside a checkpoint database, by the SHA-256 of their pixels.

A checkpoint names an image and never holds it; a process that resumes a run finds the picture
here. Files are written whole, readable by their owner alone, and checked when they are read.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from PIL import Image

from imc_core.errors import IMCError
from vision.errors import ImageRefused
from vision.reading.medical_image import MedicalImage, read_image

PRIVATE_FOLDER, SUFFIX = 0o700, ".png"

_DIGEST = re.compile(r"[0-9a-f]{64}")


class ImageNotKept(IMCError):
    """An image cannot be written into the folder: no permission, a full disk."""


class ImageFolder:
    """A folder of pictures, each a lossless PNG named by `MedicalImage.sha256`."""

    def __init__(self, path: Path) -> None:
        """`path`: made with its first image, for its owner alone."""
        self.path = path

    def put(self, image: MedicalImage) -> None:
        """Write an image, once.

        Raises:
            ImageNotKept: the folder cannot be made or written.
        """
        target = self._file(image.sha256)
        if target.is_file():
            return
        rgb = image.rgb
        grey = bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 0] == rgb[..., 2]).all())
        picture = Image.fromarray(np.ascontiguousarray(rgb[..., 0]) if grey else rgb)
        try:
            self.path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            number, writing = tempfile.mkstemp(dir=self.path, suffix=".writing")  # mode 0600
            try:
                with os.fdopen(number, "wb") as stream:
                    picture.save(stream, format="PNG", compress_level=1)
                os.replace(writing, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(writing)
                raise
        except OSError as error:
            raise ImageNotKept(
                f"{self.path}: the image cannot be kept beside the checkpoints "
                f"({error.strerror or type(error).__name__}); free some space or check permissions"
            ) from error

    def get(self, sha256: str) -> MedicalImage | None:
        """The image of that name; None where it is not here.

        Raises:
            ImageRefused: the file holds other pixels than its name says, or cannot be read.
        """
        if not _DIGEST.fullmatch(sha256):  # a name from outside never leads out of the folder
            return None
        file = self._file(sha256)
        if not file.is_file():
            return None
        image = read_image(file)
        if image.sha256 != sha256:
            raise ImageRefused(
                f"the kept image {sha256[:12]}… was changed on disk: ask the question again"
            )
        return image

    def remove(self, sha256: str) -> None:
        """Delete an image, where it is here."""
        if _DIGEST.fullmatch(sha256):
            self._file(sha256).unlink(missing_ok=True)

    def names(self) -> Iterator[str]:
        """The digests of all images that are here."""
        for file in self.path.glob(f"*{SUFFIX}"):
            if _DIGEST.fullmatch(file.stem):
                yield file.stem

    def _file(self, sha256: str) -> Path:
        return self.path / f"{sha256}{SUFFIX}"
