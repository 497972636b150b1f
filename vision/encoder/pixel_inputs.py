"""What the model's processor makes of images, one by one or stacked."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vision.encoder.seen_size import SeenSizes, working_size
from vision.encoder.token_order import patch_grid
from vision.reading.medical_image import MedicalImage
from vision.reading.resizing import resize_rgb


@dataclass(frozen=True)
class PixelInputs:
    """What the processor made of one or several images."""

    tensors: dict[str, Tensor]
    """The arguments of `get_image_features`."""
    images: int
    """How many images they hold."""
    aspect: tuple[int, int] | None
    """(height, width) of one tile in pixels or patches, where the tensors say it."""

    def __getitem__(self, rows: slice) -> PixelInputs:
        """Those of some of several stacked images."""
        stacked = self.tensors["pixel_values"][rows]
        return PixelInputs({"pixel_values": stacked}, len(stacked), self.aspect)


class PixelPreparer:
    """Prepares images with a model's own processor (or its image processor alone)."""

    def __init__(self, model: Any, processor: Any) -> None:
        self.processor = processor
        self._accepted = _accepted_arguments(model)
        self._image_text = _image_placeholder(processor)
        patch_side = getattr(self._image_processor, "patch_size", None)
        self._seen_sizes = SeenSizes(
            lambda image: self._processed([image]),
            patch_side if isinstance(patch_side, int) else None,
        )

    @property
    def input_side(self) -> int | None:
        """Shorter side in pixels that the processor brings an image to; None where it varies."""
        image_processor = self._image_processor
        if hasattr(image_processor, "merge_size"):
            return None  # the size of such processors is an area in pixels
        sources = [getattr(image_processor, "size", None)]
        if getattr(image_processor, "do_center_crop", False):
            sources.insert(0, getattr(image_processor, "crop_size", None))
        for source in sources:
            for key in ("height", "shortest_edge"):
                value = _entry(source, key)
                if isinstance(value, int) and 16 <= value <= 4096:
                    return value
        return None

    def input_size(self, height: int, width: int) -> tuple[int, int] | None:
        """(height, width) in pixels that an image of this size is brought to; None: it varies."""
        side = self.input_side
        if side is None:
            return None
        size = getattr(self._image_processor, "size", None)
        if self.has_fixed_tokens and _entry(size, "shortest_edge") is None:
            return side, side  # squeezed into a square
        short = min(height, width)
        return max(1, round(height * side / short)), max(1, round(width * side / short))

    def fixed_size(self, height: int, width: int) -> tuple[int, int] | None:
        """`input_size` where every image becomes one tile and is seen at just that size; or None.

        Such images may be brought to that size before; others keep their own, because their tiles,
        padding or crops follow from it.
        """
        return self.input_size(height, width) if self._has_stated_size else None

    def seen_size(self, height: int, width: int) -> tuple[int, int] | None:
        """(height, width) at which the model sees an image of this size, before tiles or patches.

        Measured once per size (`vision.encoder.seen_size`); None where it cannot be measured.
        """
        return self.fixed_size(height, width) or self._seen_sizes.measure(height, width)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels at which an image of this size is restored.

        That at which the model sees it; at most its own size, unless the model has one input size,
        and at most `vision.encoder.seen_size.LARGEST_SIDE`.
        """
        own = self.fixed_size(height, width) or (height, width)
        return working_size(own, self.seen_size(height, width))

    def prepare(self, image: MedicalImage) -> PixelInputs:
        """The pixel inputs of one image, as the model's own processor makes them."""
        tensors = self._processed([image])
        return PixelInputs(tensors, 1, _tile_aspect(tensors))

    def prepare_many(self, images: Sequence[MedicalImage]) -> list[PixelInputs]:
        """The pixel inputs of several images, in one call of the processor where tiles allow it."""
        if len(images) > 1 and self.has_fixed_tokens:
            stacked = self._processed(images)["pixel_values"]
            aspect = _tile_aspect({"pixel_values": stacked})
            return [PixelInputs({"pixel_values": row[None]}, 1, aspect) for row in stacked]
        return [self.prepare(image) for image in images]

    @cached_property
    def has_fixed_tokens(self) -> bool:
        """Whether every image becomes one tile of the same size, whatever its own size."""
        sizes: list[torch.Size] = []
        for shape in ((48, 64, 3), (200, 90, 3), (400, 1300, 3)):
            inputs = self.prepare(MedicalImage.from_rgb(np.full(shape, 7, dtype=np.uint8)))
            pixels = inputs.tensors.get("pixel_values")
            if set(inputs.tensors) != {"pixel_values"} or pixels is None:
                return False
            sizes.append(pixels.shape)
        return len(set(sizes)) == 1 and len(sizes[0]) == 4 and sizes[0][0] == 1

    @cached_property
    def _has_stated_size(self) -> bool:
        """Whether an image that is brought to `input_size` before is prepared to the same pixels.

        Not so where images are padded, or much of them is cropped, or resized by another filter.
        """
        rgb = np.random.default_rng(0).integers(0, 256, (150, 250, 3), dtype=np.uint8)
        size = self.input_size(*rgb.shape[:2]) if self.has_fixed_tokens else None
        if size is None:
            return False
        direct, before, black = (
            self.prepare(MedicalImage.from_rgb(picture)).tensors["pixel_values"].float()
            for picture in (rgb, resize_rgb(rgb, size), np.zeros_like(rgb))
        )
        return float((direct - before).abs().mean()) < 0.02 * float((direct - black).abs().mean())

    @property
    def _image_processor(self) -> Any:
        return getattr(self.processor, "image_processor", self.processor)

    def _processed(self, images: Sequence[MedicalImage]) -> dict[str, Tensor]:
        pictures = [Image.fromarray(image.rgb) for image in images]
        if self._image_text is None:
            batch = self._image_processor(images=pictures, return_tensors="pt")
        else:
            text = [self._image_text] * len(pictures)
            # one list per prompt: some processors would take a flat list as one prompt's images
            nested = [[picture] for picture in pictures]
            batch = self.processor(images=nested, text=text, return_tensors="pt")
        return {
            name: value
            for name, value in batch.items()
            if name in self._accepted and isinstance(value, Tensor)
        }

    def group(self, prepared: Sequence[PixelInputs]) -> Iterator[tuple[list[int], PixelInputs]]:
        """Stack what can be encoded together: single tiles of one size; the rest go one by one.

        Yields (positions in `prepared`, their stacked inputs).
        """
        together: dict[tuple[int, ...], list[int]] = {}
        for position, inputs in enumerate(prepared):
            pixels = inputs.tensors.get("pixel_values")
            alone = set(inputs.tensors) != {"pixel_values"} or pixels is None
            if alone or pixels is None or pixels.dim() != 4 or pixels.shape[0] != 1:
                yield [position], inputs
            else:
                together.setdefault(tuple(pixels.shape), []).append(position)
        for positions in together.values():
            stacked = torch.cat([prepared[i].tensors["pixel_values"] for i in positions])
            aspect = prepared[positions[0]].aspect
            yield positions, PixelInputs({"pixel_values": stacked}, len(positions), aspect)


def _accepted_arguments(model: Any) -> frozenset[str]:
    """Names that `get_image_features` takes, on the model or on the base model it delegates to."""
    names: set[str] = set()
    for owner in (model, getattr(model, "model", None)):
        method = getattr(owner, "get_image_features", None)
        if method is not None:
            names.update(inspect.signature(method).parameters)
    return frozenset(names - {"kwargs", "args", "return_dict"})


def _image_placeholder(processor: Any) -> str | None:
    """The text that stands for one image, so that the processor prepares it as in a prompt."""
    if getattr(processor, "tokenizer", None) is None:
        return None
    for name in ("boi_token", "image_token"):
        token = getattr(processor, name, None)
        if token is not None:
            return str(token)
    return None


def _entry(source: Any, key: str) -> Any:
    if isinstance(source, dict):
        return source.get(key)
    return getattr(source, key, None)


def _tile_aspect(tensors: dict[str, Tensor]) -> tuple[int, int] | None:
    pixels = tensors.get("pixel_values")
    if pixels is None or pixels.dim() < 4:
        return patch_grid(tensors)
    return int(pixels.shape[-2]), int(pixels.shape[-1])
