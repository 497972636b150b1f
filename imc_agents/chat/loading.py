"""Loading a local multimodal model: safetensors only, nothing fetched unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from imc_agents.errors import ModelRefused

__all__ = ["LocalMLLM", "find_model", "load_local_mllm"]

Device = str
Dtype = Literal["auto", "float32", "bfloat16", "float16"]

# Below this many bytes of weights a model is small: float32 is then both quick and exact on a CPU.
_SMALL_BYTES = 2 * 1024**3
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")


@dataclass
class LocalMLLM:
    """A model in memory with its processor.

    Attributes:
        model: an `AutoModelForImageTextToText`, in eval mode.
        processor: its processor, on the Pillow image backend.
        name: a short name for answers and traces.
        path: where it came from.
    """

    model: Any
    processor: Any
    name: str
    path: str


def load_local_mllm(
    path_or_id: str | Path,
    *,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: bool = False,
    local_files_only: bool = True,
) -> LocalMLLM:
    """Load any HF image-text-to-text model that takes precomputed image features.

    Args:
        path_or_id: a model folder, or a hub id that is in the local cache.
        device: "auto" (CUDA, else Apple's MPS, else CPU) or a torch device name.
        dtype: "auto" keeps the checkpoint's own for large models and takes float32 for small ones
            (under 2 GB of weights) and on a CPU without bfloat16 arithmetic.
        trust_remote_code: run Python code shipped with the checkpoint.
        local_files_only: never ask the network; a hub id must then be in the cache.

    Returns:
        The model and its processor.

    Raises:
        ModelRefused: missing, incomplete or damaged; pickled weights; a text-only model; a family
            without precomputed image features; an unusable device.
    """
    folder = _folder_of(str(path_or_id), local_files_only=local_files_only)
    settings = _check_folder(folder)
    name = folder.name if Path(path_or_id).is_dir() else str(path_or_id)

    where = _device(device)
    with _quiet():
        import transformers
        from safetensors import SafetensorError

        from imc_agents.chat.processors import load_processor

        try:
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
            _check_multimodal(config, folder, trust_remote_code)
            processor = load_processor(
                folder,
                settings.processor_class,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
            )
            if getattr(processor, "image_processor", None) is None:
                raise ModelRefused(
                    f"model {folder} has no image processor: copy processor_config.json or "
                    "preprocessor_config.json of the checkpoint into it"
                )
            model, report = transformers.AutoModelForImageTextToText.from_pretrained(
                folder,
                config=config,
                dtype=_dtype(dtype, settings.weight_bytes, config, where),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
            )
        except SafetensorError as error:
            raise ModelRefused(
                f"model {folder} has damaged weights ({_first_line(error)}): copy them again"
            ) from error
        except (OSError, ValueError, KeyError, TypeError, ImportError, RuntimeError) as error:
            if isinstance(error, ModelRefused):
                raise
            mend = "check that the folder is a complete copy of the checkpoint"
            if isinstance(error, ImportError):
                mend = "install what it names, or use a model that does without"
            raise ModelRefused(
                f"model {folder} cannot be loaded ({type(error).__name__}: {_first_line(error)}): "
                f"{mend}"
            ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelRefused(
            f"model {folder} lacks {len(missing)} of its weights ({missing[0]}, ...): "
            "copy all weight files of the checkpoint"
        )
    model = model.to(where).eval()
    model.requires_grad_(False)
    return LocalMLLM(model=model, processor=processor, name=name, path=str(folder))


def find_model(path_or_id: str | Path, *, local_files_only: bool = True) -> Path:
    """The folder of a model whose files are all there, found without any model library.

    For a command that wants to refuse a mistyped path before it spends seconds on imports.

    Raises ModelRefused: missing, incomplete, or pickled weights.
    """
    folder = _folder_of(str(path_or_id), local_files_only=local_files_only)
    _check_folder(folder)
    return folder


@dataclass(frozen=True)
class _FolderSettings:
    weight_bytes: int
    processor_class: str | None


def _folder_of(path_or_id: str, *, local_files_only: bool) -> Path:
    folder = Path(path_or_id).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelRefused(f"model {path_or_id} is a file: give the folder that holds config.json")
    looks_like_id = path_or_id.count("/") == 1 and not path_or_id.startswith((".", "/", "~"))
    if not looks_like_id:
        raise ModelRefused(
            f"model folder {path_or_id} does not exist: give the folder of a downloaded checkpoint"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(path_or_id, local_files_only=local_files_only))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        mend = "download it first, or allow fetching" if local_files_only else "check the id"
        raise ModelRefused(
            f"model {path_or_id} is neither a folder nor in the local cache: {mend}"
        ) from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelRefused(
            f"model file {path} is not readable JSON ({type(error).__name__}): copy it again"
        ) from error
    if not isinstance(held, dict):
        raise ModelRefused(f"model file {path} holds no settings: copy it again")
    return held


def _check_folder(folder: Path) -> _FolderSettings:
    """Look at the files before any heavy import, so that a bad folder is refused at once."""
    if not (folder / "config.json").is_file():
        raise ModelRefused(f"model folder {folder} has no config.json: give a complete checkpoint")
    _read_json(folder / "config.json")
    weights = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        shards = sorted(set(_read_json(index).get("weight_map", {}).values()))
        absent = [shard for shard in shards if not (folder / shard).is_file()]
        if absent:
            raise ModelRefused(
                f"model folder {folder} lacks {len(absent)} of {len(shards)} weight files "
                f"({absent[0]}): copy them too"
            )
        weights = [folder / shard for shard in shards]
    elif not (folder / "model.safetensors").is_file():
        pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
        if pickled:
            raise ModelRefused(
                f"model folder {folder} has only pickled weights ({pickled[0]}), which can run "
                "code: convert them to model.safetensors"
            )
        raise ModelRefused(f"model folder {folder} has no model.safetensors: copy the weights too")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ModelRefused(f"model folder {folder} has no tokenizer: copy tokenizer.json too")
    if not any((folder / name).is_file() for name in _PROCESSOR_FILES):
        raise ModelRefused(
            f"model folder {folder} has no processor settings: copy processor_config.json or "
            "preprocessor_config.json too (a text-only model has none and cannot be used)"
        )
    names = (_read_json(folder / n) for n in _NAMING_FILES if (folder / n).is_file())
    named = next((held["processor_class"] for held in names if held.get("processor_class")), None)
    return _FolderSettings(sum(path.stat().st_size for path in weights), named)


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


def _check_multimodal(config: Any, folder: Path, trust_remote_code: bool) -> None:
    from transformers import AutoModelForImageTextToText

    own_code = trust_remote_code and bool(getattr(config, "auto_map", None))
    if type(config) not in AutoModelForImageTextToText._model_mapping and not own_code:
        raise ModelRefused(
            f"model {folder} is of type {config.model_type!r}, which reads no images: "
            "give an image-text-to-text model such as llava or qwen2_5_vl"
        )
    if own_code:
        return
    import inspect

    model_class = AutoModelForImageTextToText._model_mapping[type(config)]
    if "mm_encoder_outputs" not in inspect.signature(model_class.forward).parameters:
        raise ModelRefused(
            f"model {folder} is of type {config.model_type!r}, which takes no precomputed image "
            "features (mm_encoder_outputs): give a llava, qwen2_5_vl, gemma3 or similar model"
        )


def _device(device: str) -> Any:
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ModelRefused(f"unknown device {device!r}: use auto, cpu, cuda or mps") from error
    usable = {"cpu": True, "cuda": torch.cuda.is_available()}
    usable["mps"] = torch.backends.mps.is_available()
    if not usable.get(chosen.type, False):
        raise ModelRefused(f"device {device!r} is not usable on this machine: use cpu or auto")
    return chosen


def _dtype(dtype: str, weight_bytes: int, config: Any, device: Any) -> Any:
    import torch

    if dtype != "auto":
        if dtype not in ("float32", "bfloat16", "float16"):
            raise ModelRefused(f"unknown dtype {dtype!r}: use auto, float32, bfloat16 or float16")
        return getattr(torch, dtype)
    if weight_bytes < _SMALL_BYTES:
        return torch.float32
    if device.type == "cpu" and getattr(config, "dtype", None) == torch.float16:
        return torch.bfloat16  # float16 arithmetic is slow or missing on CPUs
    return "auto"


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' warnings and progress bars while it loads; undone afterwards."""
    from transformers.utils import logging as hf_logging

    verbosity = hf_logging.get_verbosity()
    bars = hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0][:160]
