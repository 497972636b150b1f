"""The model's own vision encoder: one pass per image, with features read or changed at taps.

Taps, in order: `embed` (input of the first block), `block.0`, `block.1`, ... (output of each
block) and `projector` (input of the multimodal projector). Everything after the projector tap
is the model's own code.
"""

from __future__ import annotations

import inspect
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from imc_core.memory import MemoryBound, OutOfMemory
from vision.encoder.fingerprint import model_fingerprint
from vision.encoder.pixel_inputs import PixelInputs, PixelPreparer
from vision.encoder.structure import VisionStructure, describe_candidates, find_structure
from vision.encoder.taps import (
    BatchIntervention,
    Intervention,
    for_each_image,
    for_one_image,
    tap_names,
    tapped,
)
from vision.encoder.token_order import find_order, patch_grid
from vision.errors import EncoderRefused
from vision.reading.medical_image import MedicalImage

Result = TypeVar("Result")

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
    """transformers' BaseModelOutputWithPooling, with what its model reads of it alone: `generate`
    scatters `pooler_output` into the prompt where it is given `mm_encoder_outputs={"image":
    output}`, and some families read features of several layers too."""

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors, on whatever device they lie."""
        return sum(tensor.nbytes for tensor in _tensors(self.output))


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
        self._parts = _parts_of_prompts(model)
        self._memory = MemoryBound(torch.cuda.empty_cache)

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

    @property
    def device(self) -> torch.device:
        """Where pixels go in: the device of the tower's first weights."""
        return _first_weights(self.model, self.structure).device

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the tower's weights; that of a language model may differ."""
        return _first_weights(self.model, self.structure).dtype

    def in_passes(
        self, images: Sequence[MedicalImage], run: Callable[[list[int], PixelInputs], Result]
    ) -> Iterator[tuple[list[int], Result]]:
        """Prepare images, and run `run` on as many at once as stack and as memory holds.

        Args:
            images: of any sizes.
            run: given positions in `images` and their stacked inputs; where its pass does not fit
                into memory it is called again with half of them, and that size is remembered.

        Yields:
            (positions, what `run` returned) of each pass.

        Raises:
            EncoderRefused: one image alone does not fit into memory.
        """
        for positions, inputs in self.group(self.prepare_many(images)):
            pixels = sum(tensor.numel() for tensor in inputs.tensors.values()) // inputs.images
            parts = self._memory.run(
                positions,
                partial(_run_rows, positions, inputs, run),
                size=lambda rows, pixels=pixels: len(rows) * pixels,  # type: ignore[misc]
            )
            try:
                for rows, result in parts:
                    yield list(rows), result
            except OutOfMemory as error:
                raise EncoderRefused(
                    "the vision encoder does not fit into memory with one image of "
                    f"{images[positions[0]].height} x {images[positions[0]].width} pixels: free "
                    "memory, or use another device, bfloat16 or a smaller image"
                ) from error

    def encode(self, image: MedicalImage, *, intervene: Intervention | None = None) -> EncodedImage:
        """Encode one image in one pass of the encoder.

        `intervene` is called at each tap with the features (tokens, dim) of all tiles in one
        sequence; what it returns replaces them.
        """
        wrapped = None if intervene is None else for_one_image(intervene)

        def encode(_: list[int], inputs: PixelInputs) -> list[EncodedImage]:
            return self.encode_inputs(inputs, [image], intervene=wrapped)

        return in_order(self.in_passes([image], encode))[0]

    def encode_batch(
        self, images: Sequence[MedicalImage], *, intervene: Intervention | None = None
    ) -> list[EncodedImage]:
        """Encode several images, together where their pixel inputs stack.

        A batch's floating-point rounding may differ from a single image's in the last bit.
        """
        wrapped = None if intervene is None else for_each_image(intervene)

        def encode(positions: list[int], inputs: PixelInputs) -> list[EncodedImage]:
            return self.encode_inputs(inputs, [images[i] for i in positions], intervene=wrapped)

        return in_order(self.in_passes(images, encode))

    def encode_inputs(
        self,
        inputs: PixelInputs,
        images: Sequence[MedicalImage],
        *,
        intervene: BatchIntervention | None = None,
    ) -> list[EncodedImage]:
        """Encode prepared inputs of `images` in one pass (the batched form of `encode`)."""
        output = _trim(self._run(inputs, intervene), self._parts)
        parts = [output] if inputs.images == 1 else _split(output, inputs.images)
        return [
            EncodedImage(image.sha256, (image.height, image.width), part)
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
        weights = _first_weights(self.model, self.structure)
        device, dtype = weights.device, weights.dtype
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


def in_order(passes: Iterable[tuple[list[int], Sequence[Result]]]) -> list[Result]:
    """What `VisionEncoder.in_passes` found for each image, in the order of the images."""
    found: dict[int, Result] = {}
    for positions, results in passes:
        found.update(zip(positions, results, strict=True))
    return [found[i] for i in range(len(found))]


def _run_rows(
    positions: list[int],
    inputs: PixelInputs,
    run: Callable[[list[int], PixelInputs], Result],
    part: Sequence[int],
) -> Result:
    """`run` on consecutive ones of the images that `inputs` hold."""
    if len(part) == len(positions):
        return run(positions, inputs)
    begin = positions.index(part[0])
    return run(list(part), inputs[begin : begin + len(part)])


def _first_weights(model: nn.Module, structure: VisionStructure) -> Tensor:
    """The first weights of the tower that are numbers with a fraction, else of the model.

    Other parts may lie on other devices, in other number formats, or be quantised.
    """
    owners: list[nn.Module] = [*structure.blocks[:1]]
    owners += [structure.projector] if structure.projector is not None else []
    for owner in (*owners, model):
        for weights in owner.parameters():
            if weights.is_floating_point():
                return weights
    return next(iter(model.parameters()))


_READ = re.compile(r"""mm_encoder_outputs\["image"\](?:\.(\w+)|(?!\s*[=:]))""")
"""Where a model's code reads the features that it is given, whole or one part of them."""


def _parts_of_prompts(model: Any) -> frozenset[str] | None:
    """The parts of an encoder's output that a language model reads; None: not known, perhaps all.

    Most families read `pooler_output` alone, some `deepstack_features` or `last_hidden_state` too.
    """
    read: set[str] = set()
    for owner in {type(model), type(getattr(model, "model", model))}:
        try:
            found = _READ.findall(inspect.getsource(owner.forward))
        except (AttributeError, OSError, TypeError):  # code that is not in a file
            return None
        read.update(found)
    return frozenset(read) if read and "" not in read else None


def _split(output: Any, images: int) -> list[Any]:
    """Cut a batch's output into one output per image, of tensors of their own: a view would hold
    the whole batch in memory."""
    pooled = output.pooler_output
    if isinstance(pooled, Tensor):
        per_image: list[Any] = [part.clone() for part in pooled.chunk(images)]
    else:
        per_image = [[features.clone()] for features in pooled]
    hidden = getattr(output, "last_hidden_state", None)
    hiddens = [None] * images if hidden is None else [one.clone() for one in hidden.chunk(images)]
    return [
        type(output)(last_hidden_state=last, pooler_output=features)
        for last, features in zip(hiddens, per_image, strict=True)
    ]


def _trim(output: Any, parts: frozenset[str] | None) -> Any:
    """The output without what no prompt reads, to save memory; `parts`: of `_parts_of_prompts`."""
    unread = {"hidden_states", "attentions"}
    if parts is not None:
        unread |= output.keys() - parts - {"pooler_output"}
    if not unread & output.keys():
        return output
    return type(output)(**{name: value for name, value in output.items() if name not in unread})


def _tensors(held: Any) -> Iterator[Tensor]:
    """Every tensor in an output, in lists and mappings in it too."""
    if isinstance(held, Tensor):
        yield held
    elif isinstance(held, dict):
        for value in held.values():
            yield from _tensors(value)
    elif isinstance(held, list | tuple):
        for value in held:
            yield from _tensors(value)
