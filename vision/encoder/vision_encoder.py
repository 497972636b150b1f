"""The model's own vision encoder: one pass per image, with features read or changed at taps.

Taps, in order: `embed` (input of the first block), `block.0`, `block.1`, ... (output of each
block) and `projector` (input of the multimodal projector). Everything after the projector tap
is the model's own code.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vision.encoder.fingerprint import model_fingerprint
from vision.encoder.pixel_inputs import PixelInputs, PixelPreparer
from vision.encoder.structure import describe_candidates, find_structure
from vision.encoder.taps import (
    BatchIntervention,
    Intervention,
    for_each_image,
    for_one_image,
    tap_names,
    tapped,
)
from vision.encoder.token_order import find_order, patch_grid
from vision.reading.medical_image import MedicalImage

__all__ = [
    "BatchIntervention",
    "EncodedImage",
    "Intervention",
    "PixelInputs",
    "VisionEncoder",
    "missing_blocks",
    "model_fingerprint",
]


@dataclass(frozen=True)
class EncodedImage:
    """The projected features of exactly one image."""

    name: str
    """SHA-256 of the image (of shape and pixels)."""
    size: tuple[int, int]
    """(height, width) of the image in pixels."""
    output: Any
    """transformers' BaseModelOutputWithPooling; `pooler_output` is scattered into the prompt by
    `generate(mm_encoder_outputs={"image": output})`."""


class _Stop(Exception):
    """Raised inside the encoder to end a pass after the last tap that is wanted."""


class VisionEncoder:
    """Encodes images with the vision side of any HuggingFace image-text-to-text model.

    `model` has `get_image_features`; `processor` is its processor (or its image processor alone).
    One encoder may be shared by threads: passes are serialised and hooks act in their own thread.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        fingerprint: str | None = None,
        blocks: str | None = None,
    ) -> None:
        """Find where the encoder can be tapped; nothing is run.

        Args:
            model: an image-text-to-text model.
            processor: its processor, or its image processor alone.
            fingerprint: the model's, where it is known already.
            blocks: dotted name of the list that holds the vision blocks; None: found by structure;
                "none": the encoder is used without them.

        Raises EncoderRefused where `blocks` names no list of modules. Warns where blocks are not
        found, with the candidates.
        """
        self.model = model
        self.processor = processor
        self.fingerprint = fingerprint or model_fingerprint(model)
        self.forwards = 0
        """Number of whole passes; those that end at a tap are not counted."""
        self.structure = find_structure(model, blocks)
        self.blocks = blocks or ""
        """The name that was given; empty where blocks were looked for."""
        if blocks is None and not self.structure.blocks:
            warnings.warn(f"{missing_blocks(model)}: name them with blocks=", stacklevel=2)
        self.pixels = PixelPreparer(model, processor)
        self.taps = tap_names(self.structure)
        """Those of `embed`, `block.0`, ..., `projector` that this model has, in order of depth."""
        self._order = find_order(model)
        self._lock = threading.RLock()

    # -- pixels ---------------------------------------------------------------------------------

    @property
    def input_side(self) -> int | None:
        """Shorter side in pixels that the processor brings an image to; None where it varies."""
        return self.pixels.input_side

    @property
    def has_fixed_tokens(self) -> bool:
        """Whether every image becomes one tile of the same size, whatever its own size."""
        return self.pixels.has_fixed_tokens

    def input_size(self, height: int, width: int) -> tuple[int, int] | None:
        """(height, width) in pixels that an image of this size is brought to; None: it varies."""
        return self.pixels.input_size(height, width)

    def fixed_size(self, height: int, width: int) -> tuple[int, int] | None:
        """`input_size` where every image becomes one tile and is seen at just that size; or None.

        Such images may be brought to that size before they are prepared.
        """
        return self.pixels.fixed_size(height, width)

    def seen_size(self, height: int, width: int) -> tuple[int, int] | None:
        """(height, width) at which the model sees an image of this size, before tiles or patches.

        None where it cannot be measured.
        """
        return self.pixels.seen_size(height, width)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels at which an image of this size is restored."""
        return self.pixels.working_size(height, width)

    def prepare(self, image: MedicalImage) -> PixelInputs:
        """The pixel inputs of one image, as the model's own processor makes them."""
        return self.pixels.prepare(image)

    def prepare_many(self, images: Sequence[MedicalImage]) -> list[PixelInputs]:
        """The pixel inputs of several images, in one call of the processor where tiles allow it."""
        return self.pixels.prepare_many(images)

    def group(self, prepared: Sequence[PixelInputs]) -> Iterator[tuple[list[int], PixelInputs]]:
        """Stack what can be encoded together; yields (positions in `prepared`, stacked inputs)."""
        return self.pixels.group(prepared)

    # -- features -------------------------------------------------------------------------------

    def encode(self, image: MedicalImage, *, intervene: Intervention | None = None) -> EncodedImage:
        """Encode one image in one pass of the encoder.

        `intervene` is called at each tap with the features (tokens, dim) of all tiles in one
        sequence; what it returns replaces them.
        """
        wrapped = None if intervene is None else for_one_image(intervene)
        return self.encode_inputs(self.prepare(image), [image], intervene=wrapped)[0]

    def encode_batch(
        self, images: Sequence[MedicalImage], *, intervene: Intervention | None = None
    ) -> list[EncodedImage]:
        """Encode several images, together where their pixel inputs stack.

        A batch's floating-point rounding may differ from a single image's in the last bit.
        """
        wrapped = None if intervene is None else for_each_image(intervene)
        encoded: dict[int, EncodedImage] = {}
        for positions, inputs in self.group(self.prepare_many(images)):
            outputs = self.encode_inputs(inputs, [images[i] for i in positions], intervene=wrapped)
            encoded.update(zip(positions, outputs, strict=True))
        return [encoded[i] for i in range(len(images))]

    def encode_inputs(
        self,
        inputs: PixelInputs,
        images: Sequence[MedicalImage],
        *,
        intervene: BatchIntervention | None = None,
    ) -> list[EncodedImage]:
        """Encode prepared inputs of `images` in one pass (the batched form of `encode`)."""
        output = self._run(inputs, intervene)
        parts = [output] if inputs.images == 1 else _split(output, inputs.images)
        return [
            EncodedImage(image.sha256, (image.height, image.width), _trim(part))
            for image, part in zip(images, parts, strict=True)
        ]

    def visit(self, inputs: PixelInputs, visitor: BatchIntervention, *, last_tap: str) -> None:
        """Run the encoder as far as `last_tap`, calling `visitor` at every tap."""

        def stopping(tap: str, features: Tensor) -> Tensor | None:
            changed = visitor(tap, features)
            if tap == last_tap:
                raise _Stop
            return changed

        try:
            self._run(inputs, stopping, whole=last_tap == self.taps[-1])
        except _Stop:
            return

    @torch.inference_mode()
    def _run(
        self, inputs: PixelInputs, intervene: BatchIntervention | None, *, whole: bool = True
    ) -> Any:
        device = next(self.model.parameters()).device
        dtype = next(self.model.parameters()).dtype
        moved = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in inputs.tensors.items()
        }
        grid = patch_grid(inputs.tensors)
        if intervene is not None and self._order is not None and grid is not None:
            intervene = self._order.in_rows(intervene, grid)
        with self._lock, tapped(self.structure, inputs.images, intervene):
            self.forwards += whole
            return self.model.get_image_features(**moved, return_dict=True)


def missing_blocks(model: Any) -> str:
    """What is said of a model whose vision blocks are not found: the candidates."""
    return (
        "the blocks of its vision tower were not found, so that noise is seen in pixels and at the "
        f"projector alone; candidates: {describe_candidates(model)}"
    )


def _split(output: Any, images: int) -> list[Any]:
    """Cut a batch's output into one output per image."""
    pooled = output.pooler_output
    if isinstance(pooled, Tensor):
        per_image: list[Any] = list(pooled.chunk(images))
    else:
        per_image = [[features] for features in pooled]
    hidden = output.last_hidden_state
    hiddens = [None] * images if hidden is None else list(hidden.chunk(images))
    return [
        type(output)(last_hidden_state=last, pooler_output=features)
        for last, features in zip(hiddens, per_image, strict=True)
    ]


def _trim(output: Any) -> Any:
    """The output without intermediate hidden states, which no prompt uses, to save memory."""
    for name in ("hidden_states", "attentions"):
        if getattr(output, name, None) is not None:
            kept = {key: value for key, value in output.items() if key != name}
            output = type(output)(**kept)
    return output
