"""Bounded stores of pixels and features, by name, in the context: state must not hold them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
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
    """The most recently used values up to a bound; safe to share between threads."""

    def __init__(self, capacity: int, size: Callable[[Value], int] = lambda _: 1) -> None:
        """
        Args:
            capacity: most that all values together may have of what `size` counts.
            size: of one value; without it values are counted.
        """
        if capacity < 1:
            raise ValueError(f"capacity {capacity} holds nothing; give at least 1")
        self.capacity = capacity
        self.used = 0
        """What the values held have of it."""
        self._size = size
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
        """Hold a value; those that were not used for longest make room. The value itself is held
        also where it alone is over the bound: whoever put it is about to use it."""
        with self._lock:
            if key in self._held:
                self.used -= self._size(self._held.pop(key))
            self._held[key] = value
            self.used += self._size(value)
            while self.used > self.capacity and len(self._held) > 1:
                self.used -= self._size(self._held.popitem(last=False)[1])


FEATURE_BYTES = 256 << 20
"""Room of a feature store. In bfloat16 an image of 576 tokens of 4,096 channels (LLaVA-7B) takes
4.7 MB, one of 2,880 tokens of 3,584 channels (Qwen2.5-VL-7B) 21 MB."""
_NAMES = 1024
"""Names of restored pictures that are remembered, of about a hundred bytes each."""


class FeatureStore:
    """Encoded images by name, plain and calibrated apart, on the device where they were encoded."""

    def __init__(self, room: int = FEATURE_BYTES) -> None:
        """`room`: bytes of features that are held; the latest image is, however large."""
        self._features: Recent[tuple[str, bool], CalibratedImage] = Recent(
            room, lambda one: one.features.nbytes
        )
        self.restored: Recent[str, str] = Recent(_NAMES)
        """Name, in the `ImageStore`, of the restored picture of each image that was corrected."""

    @property
    def nbytes(self) -> int:
        """Bytes of the features that are held."""
        return self._features.used

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
