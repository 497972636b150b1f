"""Settings of a model, compared with bounds and with its weights before memory is taken for it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from imc_agents.chat.model_files import ModelFiles
from imc_agents.errors import ModelRefused

__all__ = ["check_image_settings", "check_parameter_count", "check_settings"]

_POSITIVE = re.compile(
    r"(^|_)(patch_size|image_size|hidden_size|intermediate_size|vocab_size|embed_dim|head_dim|"
    r"num_channels|num_(attention_|key_value_)?heads|num_hidden_layers|depth|merge_size|"
    r"max_position_embeddings)$"
)
"""Settings that are whole numbers from 1, or lists of such."""
_LAYERS = re.compile(r"(layers?|depths?|blocks?|stages?)$")
_SIZES = re.compile(
    r"(size|dim|heads?|channels?|positions?|embeddings?|experts?|length|tokens?|rank|groups?|width)$"
)
_IMAGE_TOKENS = re.compile(r"(image_seq_len(gth)?|image_tokens|mm_tokens_per_image)$")

_TOKEN_SETTINGS = frozenset(
    "content single_word lstrip rstrip normalized special __type id".split()
)

_MOST_LAYERS = 1000
"""Layers that a model may have whose weights are fewer tensors than that."""
_LARGEST_SIZE = 2**24
_LARGEST_NUMBER = 2**53
_MOST_IMAGE_TOKENS = 2**16
_MOST_LARGER = 1.5
"""Parameters that settings may describe for each stored one: tied weights are stored once."""
_MOST_PACKED = 40
"""The same where weights are packed, eight in a byte and more."""
_SMALL = 1_000_000
"""Parameters that are of no consequence for memory."""

_LARGEST_SIDE = 4096
_LARGEST_AREA = 2**27
_LARGEST_LEAST_AREA = 2**22
"""Pixels that a small picture may be enlarged to."""
_MOST_TILES = 1024


def check_settings(files: ModelFiles) -> None:
    """Refuse settings that are no numbers, or so large that they would exhaust memory or time.

    Raises:
        ModelRefused: naming file and setting.
    """
    where = files.folder / "config.json"
    most_layers = max(_MOST_LAYERS, len(files.tensors))
    for name, key, value in _leaves(files.config):
        if key != "id" and _POSITIVE.search(key) and value is not None:
            whole = isinstance(value, int) and not isinstance(value, bool)
            if not whole or value < 1:
                raise _wrong(where, name, value, "a whole number from 1 is needed")
        if isinstance(value, float) and not math.isfinite(value) and "limit" not in key:
            raise _wrong(where, name, value, "a finite number is needed")
        if isinstance(value, int) and not isinstance(value, bool):
            most = _most(key, most_layers)
            if abs(value) > most:
                raise _wrong(where, name, value, f"more than {most}")
    _check_layer(files)
    _check_tokens(files)
    for file in ("processor_config.json", "preprocessor_config.json"):
        for name, key, value in _leaves(files.settings.get(file, {})):
            if isinstance(value, int) and _IMAGE_TOKENS.search(key) and value > _MOST_IMAGE_TOKENS:
                raise _wrong(files.folder / file, name, value, f"more than {_MOST_IMAGE_TOKENS}")


def _check_tokens(files: ModelFiles) -> None:
    """Tokens have no settings but their own: the tokenizer would write each other one to stdout."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        for token in _tokens(files.settings.get(name, {})):
            unknown = sorted(str(key) for key in token if key not in _TOKEN_SETTINGS)
            if unknown:
                raise ModelRefused(
                    f"model file {files.folder / name}: a token has the setting "
                    f"{unknown[0][:40]!r}, which tokens do not have: copy the checkpoint's own file"
                )


def _tokens(held: Any) -> Iterator[Mapping[str, Any]]:
    """Every description of a token in nested settings."""
    if isinstance(held, Mapping):
        if "content" in held:
            yield held
        for inner in held.values():
            yield from _tokens(inner)
    elif isinstance(held, list):
        for inner in held:
            yield from _tokens(inner)


def _most(key: str, most_layers: int) -> int:
    if _IMAGE_TOKENS.search(key):
        return _MOST_IMAGE_TOKENS
    if _LAYERS.search(key):
        return most_layers
    return _LARGEST_SIZE if _SIZES.search(key) else _LARGEST_NUMBER


def _check_layer(files: ModelFiles) -> None:
    """The tower has the layers whose features are taken."""
    vision = files.config.get("vision_config")
    held = vision.get("num_hidden_layers") if isinstance(vision, Mapping) else None
    chosen = files.config.get("vision_feature_layer")
    if chosen is None:
        return
    layers = chosen if isinstance(chosen, list) else [chosen]
    for layer in layers:
        if not isinstance(layer, int) or isinstance(layer, bool):
            raise _wrong(
                files.folder / "config.json", "vision_feature_layer", chosen, "no whole number"
            )
        if isinstance(held, int) and not -held - 1 <= layer <= held:
            raise _wrong(
                files.folder / "config.json",
                "vision_feature_layer",
                layer,
                f"the vision tower has {held} layers",
            )


def check_parameter_count(model_class: Any, config: Any, files: ModelFiles) -> None:
    """Compare the parameters that settings describe with those that are stored.

    The model is built without memory (torch's meta device).

    Raises:
        ModelRefused: the settings describe far more than the files hold.
    """
    import torch

    with torch.device("meta"):
        described = model_class.from_config(config)
    wanted = sum(parameter.numel() for parameter in described.parameters())
    head = described.get_output_embeddings()
    if head is not None and any("lm_head" not in name for name in files.tensors):
        wanted -= sum(parameter.numel() for parameter in head.parameters())
    stored = sum(tensor.size for tensor in files.tensors.values())
    most = stored * (_MOST_PACKED if files.is_quantized else _MOST_LARGER) + _SMALL
    if wanted > most:
        raise ModelRefused(
            f"model {files.folder} holds {stored} weights, and its config.json describes {wanted}: "
            "copy the checkpoint's own config.json"
        )


def check_image_settings(processor: Any, files: ModelFiles) -> None:
    """Refuse settings of the image processor that no image survives, or no memory.

    Raises:
        ModelRefused: naming the setting.
    """
    image_processor = processor.image_processor
    where = files.folder / (
        "processor_config.json"
        if "processor_config.json" in files.settings
        else "preprocessor_config.json"
    )
    by_area = hasattr(image_processor, "merge_size")
    for name, key, value in _leaves(dict(image_processor.to_dict())):
        if not isinstance(value, int) or isinstance(value, bool):
            continue
        most = _LARGEST_SIDE
        if "min_pixels" in key or (by_area and key == "shortest_edge"):
            most = _LARGEST_LEAST_AREA
        elif "pixels" in key or (by_area and key.endswith("_edge")):
            most = _LARGEST_AREA
        elif "patches" in key or "tiles" in key:
            most = _MOST_TILES
        if abs(value) > most:
            raise _wrong(where, name, value, f"more than {most}")
    std = getattr(image_processor, "image_std", None)
    for value in std if isinstance(std, list | tuple) else [] if std is None else [std]:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:
            raise _wrong(where, "image_std", value, "numbers above 0 are needed")


def _leaves(held: Any, name: str = "", key: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every value of nested settings: its dotted name, the last key above it, and itself."""
    if isinstance(held, Mapping):
        for inner, value in held.items():
            yield from _leaves(value, f"{name}.{inner}" if name else str(inner), str(inner))
    elif isinstance(held, list | tuple):
        for value in held:
            yield from _leaves(value, name, key)
    else:
        yield name, key, held


def _wrong(where: Any, name: str, value: Any, why: str) -> ModelRefused:
    return ModelRefused(
        f"model file {where}: {name} is {str(value)[:40]!r}, {why}: copy the checkpoint's own file"
    )
