"""Where the vision blocks and the projector of an image-text-to-text model are, by structure.

Nothing here runs the model. Blocks may be named. Otherwise names that the families of
`transformers` use are tried first; where they fail, the shape of the module tree decides: the
blocks are the longest list of equal modules outside the language model, the projector is what the
blocks' owner feeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from vision.errors import EncoderRefused

NO_BLOCKS = "none"
"""In place of a name: the encoder is used without blocks, from its projector or pixels alone."""

_PROJECTOR_NAMES = (
    "multi_modal_projector",
    "mm_projector",
    "connector",
    "merger",
    "embed_vision",
    "aligner",
    "modality_projection",
    "vision_projection",
    "visual_projection",
    "image_projection",
    "language_projection",
    "image_to_text_projection",
    "projector",
    "mlp1",
)
"""Attribute names of the multimodal projector over the families of transformers."""

_LANGUAGE_NAMES = ("language_model", "text_model", "lm_head", "decoder", "llm")
_OTHER_SENSES = ("audio", "speech", "video_tower")
_VISION_WORDS = ("vis", "image", "img")


@dataclass(frozen=True)
class VisionStructure:
    """The modules that vision taps."""

    blocks: tuple[nn.Module, ...]
    """The transformer blocks in order; empty where the tower cannot be tapped."""
    blocks_name: str
    """Dotted name of the list that holds them, or `""`."""
    projector: nn.Module | None
    """The multimodal projector, or None."""
    projector_name: str
    """Its dotted name, or `""`."""


def _base(model: nn.Module) -> tuple[nn.Module, str]:
    """The module that owns tower and projector, and its prefix in the model."""
    inner = getattr(model, "model", None)
    if isinstance(inner, nn.Module):
        return inner, "model."
    return model, ""


def _is_foreign(name: str) -> bool:
    """Whether a dotted name lies in the language model or in another sense's tower."""
    parts = name.split(".")
    if any(word in part for part in parts for word in _OTHER_SENSES):
        return True
    # "vision_tower.text_model" does not exist, "vision_model.decoder" (a neck) might: only the
    # outermost name decides whose subtree this is.
    return parts[0] in _LANGUAGE_NAMES


def _looks_visual(name: str) -> bool:
    return any(word in name for word in _VISION_WORDS)


def _block_lists(base: nn.Module) -> Iterator[tuple[str, nn.ModuleList]]:
    for name, module in base.named_modules():
        if not isinstance(module, nn.ModuleList) or len(module) == 0 or _is_foreign(name):
            continue
        if any(part in _PROJECTOR_NAMES for part in name.split(".")):
            continue
        if len({type(item) for item in module}) != 1:
            continue
        children = dict(module[0].named_modules())
        has_attention = any("att" in child.lower() for child in children)
        if has_attention:
            yield name, module


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _find_blocks(base: nn.Module) -> tuple[str, nn.ModuleList] | None:
    found = list(_block_lists(base))
    visual = [(name, module) for name, module in found if _looks_visual(name)]
    candidates = visual or [
        (name, module) for name, module in found if "." in name and not name.startswith("layers")
    ]
    if not candidates:
        return None
    # A list inside another list's items is a part of a block, not the tower.
    outer = [
        (name, module)
        for name, module in candidates
        if not any(name.startswith(f"{other}.") for other, _ in candidates if other != name)
    ]
    return max(outer, key=lambda item: _size(item[1]))


def _find_projector(base: nn.Module, blocks_name: str) -> tuple[str, nn.Module] | None:
    named = [(name, module) for name, module in base.named_modules() if name]
    for wanted in _PROJECTOR_NAMES:
        matches = [
            (name, module)
            for name, module in named
            if name.split(".")[-1] == wanted
            and not _is_foreign(name)
            and not (blocks_name and name.startswith(f"{blocks_name}."))
        ]
        if matches:
            return min(matches, key=lambda item: item[0].count("."))
    # By structure: a child of the base, with weights, that is neither the tower nor the language
    # model nor an embedding table.
    tower = blocks_name.split(".")[0] if blocks_name else ""
    rest = [
        (name, module)
        for name, module in base.named_children()
        if name != tower
        and not _is_foreign(name)
        and not isinstance(module, nn.Embedding | nn.ModuleList)
        and any(isinstance(part, nn.Linear) for part in module.modules())
    ]
    return rest[-1] if blocks_name and rest else None


def block_candidates(model: nn.Module) -> list[tuple[str, int]]:
    """Lists of modules that may be the vision blocks: dotted names and lengths.

    Those of the language model are left out unless there are no others; long lists first.
    """
    base, prefix = _base(model)
    lists = [
        (name, len(module))
        for name, module in base.named_modules()
        if name and isinstance(module, nn.ModuleList | nn.Sequential) and len(module) > 0
    ]
    others = [(name, length) for name, length in lists if not _is_foreign(name)]
    outer = [(f"{prefix}{name}", length) for name, length in others or lists]
    return sorted(outer, key=lambda item: (-item[1], item[0]))


def describe_candidates(model: nn.Module, most: int = 6) -> str:
    """The candidates in a line, for messages: `model.tower.stages (4 modules), ...`."""
    found = block_candidates(model)
    shown = ", ".join(f"{name} ({length} modules)" for name, length in found[:most])
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return f"{shown}{more}" if found else "none: this model has no list of modules"


def _named_blocks(model: nn.Module, name: str) -> tuple[str, nn.ModuleList | nn.Sequential]:
    """The list of modules of a dotted name, counted from the model or from its base."""
    base, prefix = _base(model)
    for root, path in ((base, name.removeprefix(prefix)), (model, name)):
        try:
            found = root.get_submodule(path)
        except AttributeError:
            continue
        if path and isinstance(found, nn.ModuleList | nn.Sequential) and len(found):
            return path, found
    raise EncoderRefused(
        f"blocks {name[:100]!r}: this model has no list of modules of that name; give one of "
        f"{describe_candidates(model)}; or {NO_BLOCKS} to go without"
    )


def find_structure(model: nn.Module, blocks: str | None = None) -> VisionStructure:
    """Find the vision blocks and the projector of `model`; parts may be missing.

    Args:
        model: an image-text-to-text model.
        blocks: dotted name of the list that holds the blocks; None: found by structure;
            `NO_BLOCKS`: there are none.

    Raises:
        EncoderRefused: `blocks` names no list of modules; the candidates are listed.
    """
    base, prefix = _base(model)
    found: tuple[str, nn.ModuleList | nn.Sequential] | None
    if blocks is None:
        found = _find_blocks(base)
    else:
        found = None if blocks == NO_BLOCKS else _named_blocks(model, blocks)
    blocks_name = found[0] if found else ""
    projector = _find_projector(base, blocks_name)
    return VisionStructure(
        blocks=tuple(found[1]) if found else (),
        blocks_name=f"{prefix}{blocks_name}" if found else "",
        projector=projector[1] if projector else None,
        projector_name=f"{prefix}{projector[0]}" if projector else "",
    )
