"""Hooks at the taps of an encoder: read features during a pass, or replace them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vision.encoder.structure import VisionStructure

Intervention = Callable[[str, Tensor], Tensor | None]
"""(tap, features (tokens, dim)) -> features of the same shape, or None for no change."""

BatchIntervention = Callable[[str, Tensor], Tensor | None]
"""(tap, features (images, tiles, tokens, dim)) -> the same shape, or None."""

_HIDDEN_NAMES = ("hidden_states", "image_hidden_states", "image_features", "x")
"""Keywords by which families pass hidden states to a block or to the projector."""


def tap_names(structure: VisionStructure) -> tuple[str, ...]:
    """The taps of a model, in order of depth."""
    blocks = [f"block.{i}" for i in range(len(structure.blocks))]
    embed = ["embed"] if blocks else []
    projector = ["projector"] if structure.projector is not None else []
    return (*embed, *blocks, *projector)


@contextmanager
def tapped(
    structure: VisionStructure, images: int, intervene: BatchIntervention | None
) -> Iterator[None]:
    """Context in which passes of this thread call `intervene` with the features at every tap."""
    handles = _install(structure, images, intervene) if intervene is not None else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _install(
    structure: VisionStructure, images: int, intervene: BatchIntervention
) -> list[RemovableHandle]:
    thread = threading.get_ident()

    def call(tap: str, hidden: object) -> Tensor | None:
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
                changed = call(tap, args[0])
                return None if changed is None else ((changed, *args[1:]), kwargs)
            for name in _HIDDEN_NAMES:
                if name in kwargs:
                    changed = call(tap, kwargs[name])
                    return None if changed is None else (args, {**kwargs, name: changed})
            return None

        return hook

    def after(tap: str) -> Callable[..., Any]:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            changed = call(tap, hidden)
            if changed is None:
                return None
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return hook

    handles = []
    blocks = structure.blocks
    if blocks:
        handles.append(
            blocks[0].register_forward_pre_hook(before("embed"), with_kwargs=True, prepend=True)
        )
    for i, block in enumerate(blocks):
        # Before transformers' own recorder of hidden states, so that it records the change.
        handles.append(block.register_forward_hook(after(f"block.{i}"), prepend=True))
    if structure.projector is not None:
        handles.append(
            structure.projector.register_forward_pre_hook(
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


def for_one_image(intervene: Intervention) -> BatchIntervention:
    """`intervene` on a batch of one image, with the tokens of all its tiles in one sequence."""

    def wrapped(tap: str, features: Tensor) -> Tensor | None:
        changed = intervene(tap, features.reshape(-1, features.shape[-1]))
        return None if changed is None else changed.reshape(features.shape)

    return wrapped


def for_each_image(intervene: Intervention) -> BatchIntervention:
    """`intervene` on each image of a batch, with the tokens of all its tiles in one sequence."""

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
