"""The files of a model folder, checked before any of them is loaded.

Nothing heavy is imported: a folder that cannot be used is refused at once. Weights are read from
safetensors files inside the folder alone; what names another file, or a pickle, is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imc_agents.errors import ModelRefused

__all__ = ["ModelFiles", "StoredTensor", "read_model_files"]

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
_WEIGHTS = "model.safetensors"
_INDEX = f"{_WEIGHTS}.index.json"
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "tekken.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)
_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
_NAMING_FILES = (*_PROCESSOR_FILES, "tokenizer_config.json")
_SETTINGS_FILES = (
    *_NAMING_FILES,
    "generation_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
)
_OWN_FILES = ("prototypes.", "questions.")
"""What this project keeps beside a model; may be a link to anywhere."""

_SETTINGS_BYTES = 8_000_000
_INDEX_BYTES = 64_000_000
_HEADER_BYTES = 25_000_000  # those of the largest published files take some megabytes
_LARGEST_JSON = 250_000_000
"""Bytes of any JSON file; the largest vocabularies take 35 MB."""
_DEEPEST = 24
"""Levels of nesting in settings; published ones have five."""

_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")


@dataclass(frozen=True)
class StoredTensor:
    """What a weight file's header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModelFiles:
    """A model folder whose files are all there.

    Attributes:
        folder: where they are.
        config: what `config.json` holds.
        settings: the settings of the processor and tokenizer, by file name.
        tensors: every stored tensor by name.
        weight_bytes: size of the weight files.
        processor_class: the processor's class as its files name it, or None.
    """

    folder: Path
    config: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    tensors: Mapping[str, StoredTensor]
    weight_bytes: int
    processor_class: str | None

    @property
    def is_quantized(self) -> bool:
        """Whether its settings say that weights are packed."""
        return bool(self.config.get("quantization_config"))


def read_model_files(folder: Path) -> ModelFiles:
    """Read settings and weight headers of a model folder.

    Raises:
        ModelRefused: a file is missing, unreadable, no JSON object, outside the folder, pickled or
            no ordinary file; a model in LLaVA's own format; an adapter without its model.
    """
    _check_entries(folder)
    if not (folder / "config.json").is_file():
        raise ModelRefused(f"model folder {folder} has no config.json: give a complete checkpoint")
    config = _read_json(folder / "config.json")
    _check_format(config, folder)
    weights = _weight_files(folder, config)
    tensors: dict[str, StoredTensor] = {}
    for path in weights:
        tensors.update(_read_header(path))
    if not config.get("quantization_config"):
        _check_dtypes(folder, tensors)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelRefused(f"model folder {folder} has no tokenizer: copy tokenizer.json too")
    if not any((folder / name).is_file() for name in _PROCESSOR_FILES):
        raise ModelRefused(
            f"model folder {folder} has no processor settings: copy processor_config.json or "
            "preprocessor_config.json too (a text-only model has none and cannot be used)"
        )
    settings = {
        name: _read_json(folder / name) for name in _SETTINGS_FILES if (folder / name).is_file()
    }
    named = [settings[name].get("processor_class") for name in _NAMING_FILES if name in settings]
    return ModelFiles(
        folder,
        config,
        settings,
        tensors,
        sum(path.stat().st_size for path in weights),
        next((one for one in named if isinstance(one, str) and one), None),
    )


def _check_entries(folder: Path) -> None:
    """Every file is an ordinary one inside the folder, or in the cache that the folder belongs to.

    The hub's cache keeps files in `blobs`, beside the snapshots that link to them.
    """
    try:
        real = folder.resolve()
        inside = [real, real.parent.parent / "blobs"] if real.parent.name == "snapshots" else [real]
        for entry in sorted(folder.iterdir()):
            if entry.name.startswith(_OWN_FILES) or entry.is_dir():
                continue
            target = entry.resolve()
            if entry.is_symlink() and not any(target.is_relative_to(one) for one in inside):
                raise ModelRefused(
                    f"model file {entry} is a link to a file outside the folder: copy that file "
                    "into the folder"
                )
            if entry.exists() and not entry.is_file():
                raise ModelRefused(
                    f"model file {entry} is no ordinary file: give a folder of a checkpoint alone"
                )
            if entry.suffix == ".json" and entry.stat().st_size > _LARGEST_JSON:
                raise ModelRefused(
                    f"model file {entry} is larger than {_LARGEST_JSON // 1_000_000} MB: copy it "
                    "again"
                )
    except (OSError, RuntimeError) as error:
        raise ModelRefused(
            f"model folder {folder} cannot be read ({type(error).__name__}): check its permissions"
        ) from error
    if (folder / "adapter_config.json").exists():
        raise ModelRefused(
            f"model folder {folder} holds an adapter (adapter_config.json): merge it into the "
            "weights of its base model and give that folder"
        )


def _read_json(path: Path, limit: int = _SETTINGS_BYTES) -> dict[str, Any]:
    try:
        if path.stat().st_size > limit:
            raise ModelRefused(
                f"model file {path} is larger than {limit // 1_000_000} MB, settings are not: "
                "copy it again"
            )
        held = json.loads(path.read_text(encoding="utf-8"))
        deep = _is_deep(held, _DEEPEST)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelRefused(
            f"model file {path} is not readable JSON ({type(error).__name__}): copy it again"
        ) from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, ModelRefused):
            raise
        deep = True
    if deep:
        raise ModelRefused(
            f"model file {path} is nested too deeply or holds a number without end: copy it again"
        )
    if not isinstance(held, dict):
        raise ModelRefused(f"model file {path} holds no settings: copy it again")
    return held


def _is_deep(held: Any, levels: int) -> bool:
    if not isinstance(held, dict | list):
        return False
    if levels == 0:
        return True
    return any(_is_deep(v, levels - 1) for v in (held.values() if isinstance(held, dict) else held))


def _check_format(config: Mapping[str, Any], folder: Path) -> None:
    """Refuse what is known not to be transformers' format, with what to use instead."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise ModelRefused(
            f"model file {folder / 'config.json'} names no model_type: copy the checkpoint's own"
        )
    names = config.get("architectures")
    classes = " ".join(str(name) for name in names) if isinstance(names, list) else ""
    originals = ("llava_mistral", "llava_llama", "llava_qwen", "llava_mpt", "llava_phi")
    if kind.startswith(originals) or (kind == "llava" and "LlavaLlamaForCausalLM" in classes):
        raise ModelRefused(
            f"model {folder} is of type {kind!r}: LLaVA's own format (LLaVA-Med's too), which "
            "transformers does not load; use a conversion to its 'llava' or 'llava_next' type "
            "(those of llava-hf, names ending in -hf), or convert it with transformers' "
            "convert_llava_weights_to_hf.py"
        )
    explicit = config.get("transformers_weights")
    if explicit is not None and explicit != _WEIGHTS:
        raise ModelRefused(
            f"model {folder} names other weights in config.json (transformers_weights): rename "
            f"them to {_WEIGHTS} and remove that setting"
        )


def _weight_files(folder: Path, config: Mapping[str, Any]) -> list[Path]:
    """The safetensors files that hold the weights; what every index names is checked."""
    named: dict[str, list[str]] = {}
    for index in sorted(folder.glob("*.safetensors.index.json")):
        named[index.name] = _named_shards(index)
    if (folder / _WEIGHTS).is_file():
        return [folder / _WEIGHTS]
    if _INDEX in named:
        absent = [name for name in named[_INDEX] if not (folder / name).is_file()]
        if absent:
            raise ModelRefused(
                f"model folder {folder} lacks {len(absent)} of {len(named[_INDEX])} weight files "
                f"({absent[0]}): copy them too"
            )
        return [folder / name for name in named[_INDEX]]
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise ModelRefused(
            f"model folder {folder} has only pickled weights ({pickled[0]}), which can run "
            f"code: convert them to {_WEIGHTS}"
        )
    raise ModelRefused(f"model folder {folder} has no {_WEIGHTS}: copy the weights too")


def _named_shards(index: Path) -> list[str]:
    """Names of the files that an index names: safetensors files of its own folder, no others."""
    places = _read_json(index, _INDEX_BYTES).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ModelRefused(f"model file {index} names no weights (weight_map): copy it again")
    shards = sorted({name if isinstance(name, str) else repr(name) for name in places.values()})
    for name in shards:
        if not name.endswith(".safetensors"):
            raise ModelRefused(
                f"model file {index} names {name[:80]!r} as weights: only safetensors are loaded, "
                "pickled weights can run code; convert them"
            )
        if "/" in name or "\\" in name or name.startswith("."):
            raise ModelRefused(
                f"model file {index} names {name[:80]!r}, a file outside the folder or in another "
                "one: copy it into the folder itself and name it there"
            )
    return shards


def _read_header(path: Path) -> dict[str, StoredTensor]:
    """What the header of a safetensors file says of its tensors."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_HEADER_BYTES, path.stat().st_size - 8):
                raise ValueError("the length of its header")
            held = json.loads(file.read(length))
        return {
            name: StoredTensor(str(one["dtype"]), tuple(int(side) for side in one["shape"]))
            for name, one in held.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelRefused(
            f"model {path.parent} has damaged weights ({path.name}, {type(error).__name__} in its "
            "header): copy them again"
        ) from error


def _check_dtypes(folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
    """Refuse whole numbers in place of weights; counters and positions are no weights."""
    for name, tensor in tensors.items():
        if tensor.dtype not in _FLOATS and name.endswith((".weight", ".bias")):
            raise ModelRefused(
                f"model {folder} stores {name} as {tensor.dtype}, and config.json names no "
                "quantization: give a checkpoint in bfloat16, float16 or float32"
            )
