"""Images of a client that is not trusted with this machine's files: blocks, or one folder."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from graphs.stores import NAME_PREFIX, ImageSource, ImageStore
from vision.errors import ImageRefused
from vision.reading.medical_image import MedicalImage, read_image
from vision.reading.sources import block_source

NOT_READ = (
    "the image cannot be read: give an image block with base64, or the path of a PNG, JPEG, TIFF, "
    "WebP or DICOM file under the image folder of this service, where one is named"
)
"""The one message for every path, so that it does not say which files exist."""


class RootedImages(ImageStore):
    """An image store that reads files from under one folder and nowhere else."""

    def __init__(
        self, root: str | Path | None, *, held: ImageStore | None = None, capacity: int = 32
    ) -> None:
        """
        Args:
            root: the folder; None: no file is read, images come as blocks.
            held: a store whose images may be named too.
            capacity: images held in memory.

        Raises:
            ImageRefused: `root` is no folder.
        """
        super().__init__(capacity)
        self.held = held
        self.root = None if root is None else Path(root).resolve()
        if self.root is not None and not self.root.is_dir():
            raise ImageRefused(f"image folder {str(root)!r} is not a folder; name one that exists")

    def read(self, source: ImageSource) -> MedicalImage:
        """The image of a source. Raises ImageRefused, for every path with one message."""
        named = source if isinstance(source, str) else block_source(source)
        if isinstance(named, bytes):
            return read_image(named)
        if named.startswith(NAME_PREFIX):
            return super().read(named) if self.held is None else self.held.read(named)
        if named.startswith("data:"):
            return read_image(named)
        try:
            return read_image(self._under_root(named))
        except (ImageRefused, OSError, ValueError, RuntimeError):  # a loop of links is the last
            raise ImageRefused(NOT_READ) from None

    def put(self, image: MedicalImage) -> str:
        """Hold an image; returns its name."""
        return super().put(image) if self.held is None else self.held.put(image)

    def _under_root(self, named: str) -> Path:
        if self.root is None:
            raise ImageRefused(NOT_READ)
        if named.startswith("file:"):
            url = urlsplit(named)
            if url.netloc not in ("", "localhost"):
                raise ImageRefused(NOT_READ)
            named = unquote(url.path)
        path = (self.root / named).resolve(strict=True)  # links are followed before the check
        if not path.is_relative_to(self.root):
            raise ImageRefused(NOT_READ)
        return path
