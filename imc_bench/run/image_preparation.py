"""The image side of a run: each image read, corrupted and encoded once for every method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imc_bench.conditions import SWAPPED, Condition, RunRefused
from imc_bench.datasets import load_pixels
from imc_bench.methods import Method, PreparedImage, Tools
from imc_bench.plan import Plan, Unit
from imc_data.errors import DataRefused
from imc_data.items import ImageSource, VQAItem
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import ImageRefused
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb

NAME_DIGITS = 16
"""Hex digits of a SHA-256 that name an image in the store: no two of a set will share them."""

HELD_BYTES = 64 * 1024**2
"""Most clean pixels kept for the chunk: all its images at any input size, one scan or so at native
size; what is over is read again under every condition."""

PreparedImages = dict[tuple[str, ImageSource], PreparedImage]
"""By the name of the image side and the item's image."""


@dataclass(frozen=True)
class CleanImage:
    """An image as it was read, in the size that noise is put on."""

    rgb: NDArray[np.uint8]
    """Pixels, `(H, W, 3)`, `uint8`, read-only."""
    sha256: str
    """Name of the file's own pixels."""
    source_format: str


class ImagePreparer:
    """Prepares the images of units as every method does."""

    def __init__(
        self, plan: Plan, methods: Sequence[Method], tools: Tools, *, noise_at: str, seed: int
    ) -> None:
        """Raises RunRefused where the model has no image side, or its input size is unknown."""
        if tools.context.calibrator is None:
            raise RunRefused("the model has no image side: answers cannot be measured")
        self._plan, self._tools, self._seed = plan, tools, seed
        self._image_sides = {method.image_side: method for method in methods}
        self._encoder = tools.context.calibrator.encoder
        self._at_input = noise_at == "input"
        if self._at_input:
            input_size(self._encoder, 64, 64)
        self._clean: PreparedImages = {}
        self._pixels: dict[ImageSource, CleanImage] = {}
        self._chunk = -1
        self._names: dict[ImageSource, str] = {}

    def prepare(
        self, unit: Unit, refused: dict[str, str], alive: Callable[[], None]
    ) -> PreparedImages:
        """Features of every image of the unit under every image side.

        Clean ones, and their pixels, are kept for the chunk: every other condition corrupts those.

        An image that cannot be read leaves its items out: `refused` gets each with the reason.
        """
        if unit.chunk != self._chunk:
            self._clean, self._pixels, self._names, self._chunk = {}, {}, {}, unit.chunk
        clean = unit.condition.image_is_clean
        prepared: PreparedImages = dict(self._clean) if clean else {}
        by_image: dict[ImageSource, list[VQAItem]] = {}
        for item in unit.items:
            by_image.setdefault(item.image, []).append(item)
        tools = replace(self._tools, condition=unit.condition)
        waiting = [
            image
            for image in by_image
            if any((side, image) not in prepared for side in self._image_sides)
        ]
        for start in range(0, len(waiting), self._tools.batch):
            pictures = {}
            for image in waiting[start : start + self._tools.batch]:
                try:
                    pictures[image] = self._picture(unit.condition, by_image[image][0])
                except (ImageRefused, DataRefused) as error:
                    refused.update({item.item_id: str(error) for item in by_image[image]})
            for side, method in self._image_sides.items():
                if pictures:
                    shown = method.prepare_images(list(pictures.values()), tools)
                    prepared.update(
                        {(side, image): one for image, one in zip(pictures, shown, strict=True)}
                    )
            alive()
        if clean:
            self._clean = dict(prepared)
        return prepared

    def name(self, condition: Condition, item: VQAItem) -> str:
        """What the store calls the image that was shown for `item`, once it was prepared."""
        return self._names[self._shown(condition, item).image]

    def _shown(self, condition: Condition, item: VQAItem) -> VQAItem:
        return self._plan.swapped[item.image] if condition.image_noise == SWAPPED else item

    def _picture(self, condition: Condition, item: VQAItem) -> MedicalImage:
        clean = self._read(
            self._shown(condition, item), keep=condition.image_noise != SWAPPED
        )  # replacements come from other chunks and are shown once
        # drawn by the file's own pixels: the same draw at either resolution
        return MedicalImage.from_rgb(
            condition.corrupt_image(clean.rgb, clean.sha256, self._seed), clean.source_format
        )

    def _read(self, item: VQAItem, *, keep: bool) -> CleanImage:
        held = self._pixels.get(item.image)
        if held is not None:
            return held
        image = load_pixels(item)
        self._names[item.image] = image.sha256[:NAME_DIGITS]
        rgb = image.rgb
        if self._at_input:
            rgb = resize_rgb(rgb, input_size(self._encoder, image.height, image.width))
            rgb.setflags(write=False)
        read = CleanImage(rgb, image.sha256, image.source_format)
        held_bytes = sum(one.rgb.nbytes for one in self._pixels.values())
        if keep and held_bytes + rgb.nbytes <= HELD_BYTES:
            self._pixels[item.image] = read
        return read


def input_size(encoder: VisionEncoder, height: int, width: int) -> tuple[int, int]:
    """(height, width) in pixels that the model's processor brings an image of this size to.

    Raises RunRefused for a processor whose size varies with more than the image's shape.
    """
    size = encoder.input_size(height, width)
    if size is None:
        raise RunRefused(
            "this model's processor has no fixed input size; add the noise to the images as they "
            "are with --noise-at native"
        )
    return size
