"""Bounded stores of pixels and features, by name, in the context: state must not hold them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from graphs.checkpoints.images import ImageFolder
from vision.errors import ImageRefused
from vision.reading.medical_image import MedicalImage, read_image

if TYPE_CHECKING:
    from vision.pdc import CalibratedImage

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

NAME_PREFIX = "sha256:"
"""Prefix of the name, in state, of an image that only the ImageStore holds."""

ImageSource = str | dict[str, str]
"""A path, a name given by `ImageStore.put`, or a LangChain image block of strings."""


class Recent(Generic[Key, Value]):
    """The most recently used values of a bounded number; safe to share between threads."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity} holds nothing; give at least 1")
        self.capacity = capacity
        self._held: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Key) -> Value | None:
        """The value, which becomes the most recent; None where it is not held any more."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
            return self._held.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Hold a value; the least recently used one makes room."""
        with self._lock:
            self._held[key] = value
            self._held.move_to_end(key)
            while len(self._held) > self.capacity:
                self._held.popitem(last=False)


class FeatureStore:
    """Encoded images by name, plain and calibrated apart."""

    def __init__(self, capacity: int = 32) -> None:
        """`capacity`: images held; one takes 40 kB for the embedded model, 10 MB for a 7B one."""
        self._features: Recent[tuple[str, bool], CalibratedImage] = Recent(capacity)
        self.restored: Recent[str, str] = Recent(capacity)
        """Name, in the `ImageStore`, of the restored picture of each image that was corrected."""

    def __len__(self) -> int:
        return len(self._features)

    def get(self, image_name: str, *, calibrated: bool) -> CalibratedImage | None:
        """The features stored by the vision node; None: they must be computed again."""
        return self._features.get((image_name, calibrated))

    def put(self, image_name: str, encoded: CalibratedImage, *, calibrated: bool) -> None:
        """Store the result of one pass of the encoder, without the restored picture: pixels are the
        `ImageStore`'s."""
        self._features.put((image_name, calibrated), replace(encoded, restored=None))


class ImageStore:
    """Images by name, for state to refer to where there is no path."""

    def __init__(self, capacity: int = 8) -> None:
        """`capacity`: images held in memory, each three bytes a pixel."""
        self._images: Recent[str, MedicalImage] = Recent(capacity)
        self._folders: list[ImageFolder] = []

    def put(self, image: MedicalImage) -> str:
        """Hold an image; returns the name under which the graph's input may give it."""
        name = NAME_PREFIX + image.sha256
        self._images.put(name, image)
        return name

    def search(self, folder: ImageFolder) -> None:
        """Also find the images of `folder` from now on."""
        if all(known.path != folder.path for known in self._folders):
            self._folders.append(folder)

    def read(self, source: ImageSource) -> MedicalImage:
        """The image of a source.

        Raises ImageRefused for a source that cannot be read, or a name that is not stored.
        """
        if not (isinstance(source, str) and source.startswith(NAME_PREFIX)):
            return read_image(source)
        held = self._images.get(source)
        for folder in self._folders:
            held = held or folder.get(source.removeprefix(NAME_PREFIX))
        if held is None:
            raise ImageRefused(
                f"image {source[:15]}… is not stored in this context: it was given as pixels to "
                "another one, or later images replaced it; put it into this context's image store "
                "again"
            )
        return held
