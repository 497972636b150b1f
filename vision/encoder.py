"""The model's own vision encoder: run once per image, watched and changed at several depths.

Taps, in order: `embed` (input of the first block), `block.0`, `block.1`, ... (output of each
block) and `projector` (input of the multimodal projector). Everything after the projector tap
stays the family's own code.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vision.layout import TokenLayout, infer_layout
from vision.reading import MedicalImage
from vision.structure import VisionStructure, find_structure

Intervention = Callable[[str, Tensor], Tensor | None]
"""(tap, features (tokens, dim)) -> features of the same shape, or None to leave them alone."""

BatchIntervention = Callable[[str, Tensor], Tensor | None]
"""(tap, features (images, tiles, tokens, dim)) -> the same shape, or None."""

_VOLATILE_CONFIG = ("transformers_version", "_name_or_path", "dtype", "torch_dtype")
_SAMPLED_WEIGHTS = 32
"""Weights of each parameter that enter the fingerprint: enough to tell two trainings apart."""


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


@dataclass(frozen=True)
class PixelInputs:
    """What the processor made of one or several images."""

    tensors: dict[str, Tensor]
    """The arguments of `get_image_features`."""
    images: int
    """How many images they hold."""
    aspect: tuple[int, int] | None
    """(height, width) of one tile in pixels, where the tensors say it."""


class _Stop(Exception):
    """Raised inside the encoder to end a pass after the last tap that is wanted."""


def model_fingerprint(model: nn.Module) -> str:
    """Digest of the vision side of `model`: its configuration and a sample of its weights.

    Two models with the same fingerprint encode images alike, so a prototype bank of one serves the
    other. Weights are sampled in bfloat16: a float32 and a bfloat16 copy agree.
    """
    config = getattr(model, "config", None)
    vision_config = getattr(config, "vision_config", None)
    described: dict[str, object] = {"model_type": getattr(config, "model_type", "")}
    if vision_config is not None and hasattr(vision_config, "to_dict"):
        described["vision"] = {
            key: value
            for key, value in vision_config.to_dict().items()
            if key not in _VOLATILE_CONFIG
        }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    structure = find_structure(model)
    owner = _tower_name(structure) or structure.projector_name
    for name, parameter in sorted(model.named_parameters()):
        if owner and not name.startswith((owner, structure.projector_name or owner)):
            continue
        values = parameter.detach().reshape(-1)
        step = max(values.numel() // _SAMPLED_WEIGHTS, 1)
        sample = values[::step][:_SAMPLED_WEIGHTS].to(torch.bfloat16).float().cpu()
        digest.update(name.encode())
        digest.update(str(tuple(parameter.shape)).encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()


def _tower_name(structure: VisionStructure) -> str:
    """The outermost module that holds the blocks: `model.vision_tower.` and the like."""
    parts = structure.blocks_name.split(".")
    if len(parts) < 2:
        return ""
    depth = 2 if parts[0] == "model" else 1
    return ".".join(parts[:depth]) + "."


class VisionEncoder:
    """Encodes images with the vision side of any HuggingFace image-text-to-text model.

    `model` has `get_image_features`; `processor` is its processor (or its image processor alone).
    One encoder may be shared by threads: passes are serialised and hooks act in their own thread.
    """

    def __init__(self, model: Any, processor: Any, *, fingerprint: str | None = None) -> None:
        self.model = model
        self.processor = processor
        self.fingerprint = fingerprint or model_fingerprint(model)
        self.forwards = 0
        self.structure = find_structure(model)
        taps: list[str] = []
        if self.structure.blocks:
            taps.append("embed")
            taps.extend(f"block.{i}" for i in range(len(self.structure.blocks)))
        if self.structure.projector is not None:
            taps.append("projector")
        self.taps: tuple[str, ...] = tuple(taps)
        self._lock = threading.RLock()
        self._accepted = _accepted_arguments(model)
        self._image_text = _image_placeholder(processor)

    # -- pixels ---------------------------------------------------------------------------------

    @property
    def input_side(self) -> int | None:
        """Shorter side in pixels that the processor brings an image to; None where it varies."""
        image_processor = getattr(self.processor, "image_processor", self.processor)
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
        for shape in ((48, 64, 3), (200, 90, 3)):
            inputs = self.prepare(MedicalImage.from_rgb(np.full(shape, 7, dtype=np.uint8)))
            pixels = inputs.tensors.get("pixel_values")
            if set(inputs.tensors) != {"pixel_values"} or pixels is None:
                return False
            sizes.append(pixels.shape)
        return sizes[0] == sizes[1] and len(sizes[0]) == 4 and sizes[0][0] == 1

    def _processed(self, images: Sequence[MedicalImage]) -> dict[str, Tensor]:
        pictures = [Image.fromarray(image.rgb) for image in images]
        if self._image_text is None:
            image_processor = getattr(self.processor, "image_processor", self.processor)
            batch = image_processor(images=pictures, return_tensors="pt")
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

    # -- features -------------------------------------------------------------------------------

    def encode(self, image: MedicalImage, *, intervene: Intervention | None = None) -> EncodedImage:
        """Encode one image in one pass of the encoder.

        With `intervene`, each tap's features (tokens, dim) are shown to it on their way, all tiles
        in a row; what it returns takes their place.
        """
        wrapped = None if intervene is None else _for_one_image(intervene)
        return self.encode_inputs(self.prepare(image), [image], intervene=wrapped)[0]

    def encode_batch(
        self, images: Sequence[MedicalImage], *, intervene: Intervention | None = None
    ) -> list[EncodedImage]:
        """Encode several images, together where their pixel inputs stack.

        A batch's floating-point rounding may differ from a single image's in the last bit.
        """
        wrapped = None if intervene is None else _for_each_image(intervene)
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
        """Run the encoder for its taps alone, and no further than `last_tap`."""

        def stopping(tap: str, features: Tensor) -> Tensor | None:
            changed = visitor(tap, features)
            if tap == last_tap:
                raise _Stop
            return changed

        try:
            self._run(inputs, stopping)
        except _Stop:
            return

    def layout(self, features: Tensor, aspect: tuple[int, int] | None = None) -> TokenLayout:
        """The layout of the tokens of (images, tiles, tokens, dim) features."""
        return infer_layout(features.shape[2], aspect)

    @torch.inference_mode()
    def _run(self, inputs: PixelInputs, intervene: BatchIntervention | None) -> Any:
        device = next(self.model.parameters()).device
        dtype = next(self.model.parameters()).dtype
        moved = {
            name: value.to(device, dtype) if value.is_floating_point() else value.to(device)
            for name, value in inputs.tensors.items()
        }
        with self._lock, self._hooks(inputs.images, intervene):
            self.forwards += 1
            return self.model.get_image_features(**moved, return_dict=True)

    @contextmanager
    def _hooks(self, images: int, intervene: BatchIntervention | None) -> Iterator[None]:
        handles: list[RemovableHandle] = []
        if intervene is not None:
            handles = self._install(images, intervene, threading.get_ident())
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _install(
        self, images: int, intervene: BatchIntervention, thread: int
    ) -> list[RemovableHandle]:
        def shown(tap: str, hidden: object) -> Tensor | None:
            if threading.get_ident() != thread:
                return None
            if not isinstance(hidden, Tensor) or not _is_tappable(hidden, images):
                return None
            features = _as_tiles(hidden, images)
            changed = intervene(tap, features)
            if changed is None:
                return None
            return changed.reshape(hidden.shape).to(hidden)

        def before(tap: str) -> Callable[..., Any]:
            def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
                if args:
                    changed = shown(tap, args[0])
                    return None if changed is None else ((changed, *args[1:]), kwargs)
                for name in ("hidden_states", "image_hidden_states", "image_features", "x"):
                    if name in kwargs:
                        changed = shown(tap, kwargs[name])
                        return None if changed is None else (args, {**kwargs, name: changed})
                return None

            return hook

        def after(tap: str) -> Callable[..., Any]:
            def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
                hidden = output[0] if isinstance(output, tuple) else output
                changed = shown(tap, hidden)
                if changed is None:
                    return None
                return (changed, *output[1:]) if isinstance(output, tuple) else changed

            return hook

        handles = []
        blocks = self.structure.blocks
        if blocks:
            handles.append(
                blocks[0].register_forward_pre_hook(before("embed"), with_kwargs=True, prepend=True)
            )
        for i, block in enumerate(blocks):
            # Before transformers' own recorder of hidden states, so that it records the change.
            handles.append(block.register_forward_hook(after(f"block.{i}"), prepend=True))
        if self.structure.projector is not None:
            handles.append(
                self.structure.projector.register_forward_pre_hook(
                    before("projector"), with_kwargs=True, prepend=True
                )
            )
        return handles


def _is_tappable(hidden: Tensor, images: int) -> bool:
    if not hidden.is_floating_point() or hidden.dim() < 2:
        return False
    return images == 1 or (hidden.dim() >= 3 and hidden.shape[0] % images == 0)


def _as_tiles(hidden: Tensor, images: int) -> Tensor:
    """View a hooked tensor as (images, tiles, tokens, dim)."""
    if hidden.dim() == 2:
        return hidden[None, None]
    tiles = hidden.shape[0] // images
    return hidden.reshape(images, tiles, -1, hidden.shape[-1])


def _for_one_image(intervene: Intervention) -> BatchIntervention:
    def wrapped(tap: str, features: Tensor) -> Tensor | None:
        changed = intervene(tap, features.reshape(-1, features.shape[-1]))
        return None if changed is None else changed.reshape(features.shape)

    return wrapped


def _for_each_image(intervene: Intervention) -> BatchIntervention:
    def wrapped(tap: str, features: Tensor) -> Tensor | None:
        changes = [intervene(tap, one.reshape(-1, one.shape[-1])) for one in features]
        if all(change is None for change in changes):
            return None
        kept = [
            one if change is None else change.reshape(one.shape)
            for one, change in zip(features, changes, strict=True)
        ]
        return torch.stack(kept)

    return wrapped


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
    """Drop what no prompt uses: intermediate hidden states cost memory in the feature store."""
    for name in ("hidden_states", "attentions"):
        if getattr(output, name, None) is not None:
            kept = {key: value for key, value in output.items() if key != name}
            output = type(output)(**kept)
    return output


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
        return None
    return int(pixels.shape[-2]), int(pixels.shape[-1])
