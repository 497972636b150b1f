"""Loading a local multimodal model: safetensors only, nothing fetched unasked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imc_agents.chat.model_files import read_model_files
from imc_agents.chat.model_settings import (
    check_image_settings,
    check_parameter_count,
    check_settings,
)
from imc_agents.chat.placement import Dtype, Placement
from imc_agents.errors import ModelRefused
from imc_core.errors import IMCError
from imc_core.memory import is_out_of_memory
from imc_core.quiet import native_silence

__all__ = ["LocalMLLM", "find_model", "load_local_mllm"]

# Below this many bytes of weights a model is small: float32 is then both quick and exact on a CPU.
_SMALL_BYTES = 2 * 1024**3


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
    placement: Placement | None = None,
    device: str = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: bool = False,
    local_files_only: bool = True,
) -> LocalMLLM:
    """Load any HF image-text-to-text model that takes precomputed image features.

    Args:
        path_or_id: a model folder, or a hub id that is in the local cache.
        placement: device, number format, device map and attention in one value; None: `device` and
            `dtype` alone.
        device: "auto" (CUDA, else Apple's MPS, else CPU) or a torch device name.
        dtype: "auto" keeps the checkpoint's own for large models and takes float32 for small ones
            (under 2 GB of weights) and where the device has no arithmetic in the checkpoint's own.
        trust_remote_code: run Python code shipped with the checkpoint.
        local_files_only: never ask the network; a hub id must then be in the cache.

    Returns:
        The model and its processor.

    Raises:
        ModelRefused: missing, incomplete or damaged; pickled weights; settings that are wrong, too
            large or do not fit together; weights that give no finite number; a text-only model; a
            family without precomputed image features; a device that is not there, a number format
            that it lacks, a package that is not installed; too little memory.
        TypeError: `placement` beside `device` or `dtype`.
    """
    placement = Placement.of(placement, device, dtype)
    folder = _folder_of(str(path_or_id), local_files_only=local_files_only)
    files = read_model_files(folder)
    check_settings(files)
    name = folder.name if Path(path_or_id).is_dir() else str(path_or_id)

    where = placement.find_device()
    small = files.weight_bytes < _SMALL_BYTES
    how = placement.loading_arguments(where, quantized=files.is_quantized)
    with _quiet(), _refusing(folder):
        import transformers

        from imc_agents.chat.processors import complete_processor, load_processor
        from imc_agents.chat.rehearsal import check_weights, rehearse

        auto = transformers.AutoModelForImageTextToText
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=trust_remote_code
        )
        _check_multimodal(config, folder, trust_remote_code)
        with native_silence():  # the tokenizers' Rust code writes a trace where it panics
            processor = load_processor(
                folder,
                files.processor_class,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
            )
        if getattr(processor, "image_processor", None) is None:
            raise ModelRefused(
                f"model {folder} has no image processor: copy processor_config.json or "
                "preprocessor_config.json of the checkpoint into it"
            )
        check_image_settings(processor, files)
        complete_processor(processor, config, files.settings)
        if not trust_remote_code:
            check_parameter_count(auto, config, files)
        chosen = placement.find_dtype(where, getattr(config, "dtype", None), small=small)
        with _refusing_attention(folder, placement.attention):
            model, report = auto.from_pretrained(
                folder,
                config=config,
                dtype=chosen,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                **how,
            )
        _check_report(report, model, folder)
        if files.is_quantized and getattr(model, "hf_quantizer", None) is None:
            raise ModelRefused(
                f"model {folder} names a quantization that transformers does not know: give a "
                "checkpoint in bfloat16, float16 or float32"
            )
        model = (model if "device_map" in how else model.to(where)).eval()
        model.requires_grad_(False)
        quick = small or where.type != "cpu"
        if quick:
            check_weights(model)
        rehearse(model, processor, whole=quick)
    return LocalMLLM(model=model, processor=processor, name=name, path=str(folder))


def find_model(path_or_id: str | Path, *, local_files_only: bool = True) -> Path:
    """The folder of a model whose files are all there, found without any model library.

    For a command that wants to refuse a mistyped path before it spends seconds on imports.

    Raises ModelRefused: missing, incomplete, pickled weights, or settings that are out of bounds.
    """
    folder = _folder_of(str(path_or_id), local_files_only=local_files_only)
    check_settings(read_model_files(folder))
    return folder


@contextmanager
def _refusing(folder: Path) -> Iterator[None]:
    """Turn whatever a library raises over a model folder into a refusal that keeps the reason."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except IMCError as error:
        said = str(error)
        if said.startswith(("attention ", "model ", "device ", "unknown ")):
            raise
        raise ModelRefused(f"model {folder} cannot be used: {said}") from error
    except BaseException as error:  # a panic of the tokenizers' Rust code is no Exception
        from safetensors import SafetensorError

        why = f"{type(error).__name__}: {_first_line(error)}".removesuffix(": ")
        if isinstance(error, SafetensorError):
            raise ModelRefused(
                f"model {folder} has damaged weights ({_first_line(error)}): copy them again"
            ) from error
        if "ignore_mismatched_sizes" in why:
            raise ModelRefused(
                f"model {folder} holds weights of other shapes than its config.json describes: "
                "copy both from one checkpoint"
            ) from error
        remedy = "check that its files are complete copies of one checkpoint's"
        if isinstance(error, ImportError):
            remedy = "install what it names, or use a model that does without"
        elif is_out_of_memory(error):
            why = "not enough memory for its weights, or for one picture and question"
            remedy = "free memory, or use another device, bfloat16, a device map or a smaller model"
        raise ModelRefused(f"model {folder} cannot be loaded ({why}): {remedy}") from error


def _check_report(report: Mapping[str, Any], model: Any, folder: Path) -> None:
    """Every weight that the model needs is there, and no layer is left over."""
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelRefused(
            f"model {folder} lacks {len(missing)} of its weights ({missing[0]}, ...): "
            "copy all weight files of the checkpoint"
        )
    held = {re.sub(r"\.\d+\.", ".#.", name) for name in model.state_dict()}
    left = sorted(
        name
        for name in report["unexpected_keys"]
        if re.search(r"\.\d+\.", name) and re.sub(r"\.\d+\.", ".#.", name) in held
    )
    if left:
        raise ModelRefused(
            f"model {folder} holds weights of layers that its config.json does not count "
            f"({left[0]}, ...): copy the checkpoint's own config.json"
        )


def _folder_of(path_or_id: str, *, local_files_only: bool) -> Path:
    try:
        folder = Path(path_or_id).expanduser()
        is_folder, is_there = folder.is_dir(), folder.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, or of an unknown user
        raise ModelRefused(
            f"model {path_or_id[:80]!r} is no path ({type(error).__name__}): give the folder of a "
            "downloaded checkpoint"
        ) from error
    if is_folder:
        return folder
    if is_there:
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
        remedy = "download it first, or allow fetching" if local_files_only else "check the id"
        raise ModelRefused(
            f"model {path_or_id} is neither a folder nor in the local cache: {remedy}"
        ) from error


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


@contextmanager
def _refusing_attention(folder: Path, attention: str) -> Iterator[None]:
    """Say that it is the attention asked for which a family does not have."""
    try:
        yield
    except (ImportError, ValueError) as error:
        said = str(error).lower()
        if attention == "auto" or "attention" not in said:
            raise
        raise ModelRefused(
            f"model {folder} has no attention of the kind {attention!r}: use auto or eager"
        ) from error


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
    """The first line of what a library says, and the next where the first only announces it."""
    lines = str(error).strip().splitlines() or [""]
    said = " ".join(line.strip() for line in lines[: 2 if lines[0].endswith(":") else 1])
    return said[:160]
