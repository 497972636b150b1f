"""The processor of a checkpoint on the Pillow backend, also where its video half cannot load.

Several families (llava_onevision, qwen2_5_vl, internvl, smolvlm) pair their image processor with a
video processor that needs torchvision. Medical stills need no video, so without torchvision the
processor is built with an empty video half instead of not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imc_agents.errors import ModelRefused

_WITH_CLASS_TOKEN = ("clip_vision_model", "chinese_clip_vision_model", "dinov2")
"""Vision towers that put a class token before the patches."""


def without_video(processor_class: type[Any]) -> type[Any]:
    """Derive a processor class that takes images and text and never loads a video processor.

    Args:
        processor_class: a `transformers.ProcessorMixin` subclass.

    Returns:
        `processor_class` itself when it has no video half; else a subclass of the same name whose
        `video_processor` argument defaults to an empty stand-in. It saves as the original class.
    """
    from transformers.utils import PushToHubMixin

    if "video_processor" not in processor_class.get_attributes():
        return processor_class

    class NoVideo(PushToHubMixin):  # type: ignore[misc]
        """What stands where a video processor would: saves as an empty dictionary."""

        _auto_class = None
        num_frames = None
        fps = None
        merge_size = 1
        model_input_names: tuple[str, ...] = ()

        def to_dict(self) -> dict[str, Any]:
            return {}

    class ImagesOnly(processor_class):  # type: ignore[misc]
        """The family's processor with an empty video half."""

        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if argument_name == "video_processor":
                return NoVideo
            return super().check_argument_for_proper_class(argument_name, argument)

        @classmethod
        def _get_arguments_from_pretrained(
            cls, path: str, processor_dict: dict[str, Any] | None = None, **kwargs: Any
        ) -> list[Any]:
            from transformers import AutoImageProcessor, AutoTokenizer

            loaders = {"image_processor": AutoImageProcessor, "tokenizer": AutoTokenizer}
            return [
                NoVideo()
                if attribute == "video_processor"
                else loaders[attribute].from_pretrained(path, **kwargs)
                for attribute in cls.get_attributes()
            ]

    ImagesOnly.__name__ = ImagesOnly.__qualname__ = processor_class.__name__
    ImagesOnly.no_video = NoVideo
    return ImagesOnly


def build_processor(processor_class: type[Any], **parts: Any) -> Any:
    """Construct a processor from its parts, leaving the video half empty.

    Args:
        processor_class: a `transformers.ProcessorMixin` subclass.
        **parts: its constructor's arguments (`image_processor`, `tokenizer`, `chat_template`, ...).

    Returns:
        The processor.
    """
    images_only = without_video(processor_class)
    if images_only is not processor_class:
        parts["video_processor"] = images_only.no_video()
    return images_only(**parts)


def load_processor(path: str | Path, processor_class_name: str | None, **kwargs: Any) -> Any:
    """Load the processor of a checkpoint with its Pillow image backend.

    Args:
        path: a model folder (or a hub id when the caller allowed that).
        processor_class_name: the class its files name, or None to let transformers find it.
        **kwargs: passed to `from_pretrained` (`local_files_only`, `trust_remote_code`, ...).

    Returns:
        A `transformers.ProcessorMixin`.

    Raises:
        OSError, ValueError, KeyError: as transformers raises them; `load_local_mllm` turns them
            into a refusal.
    """
    import transformers
    from transformers.utils import is_torchvision_available

    processor_class = getattr(transformers, processor_class_name or "", None)
    if (
        processor_class is not None
        and not is_torchvision_available()
        and "video_processor" in processor_class.get_attributes()
    ):
        return without_video(processor_class).from_pretrained(str(path), backend="pil", **kwargs)
    # The Pillow backend by name: the results must not depend on whether torchvision is installed.
    return transformers.AutoProcessor.from_pretrained(str(path), backend="pil", **kwargs)


def complete_processor(
    processor: Any, config: Any, settings: Mapping[str, Mapping[str, Any]]
) -> None:
    """Give a LLaVA processor what its files leave out, from the model's own settings.

    Without it the processor does not know how many tokens an image takes: older copies of
    checkpoints lack `patch_size`.

    Args:
        processor: changed in place; others than LLaVA's stay as they are.
        config: the model's.
        settings: what the files of the processor hold, by file name.

    Raises:
        ModelRefused: `patch_size` stands nowhere, or is no whole number from 1.
    """
    vision = getattr(config, "vision_config", None)
    if not hasattr(processor, "num_additional_image_tokens") or vision is None:
        return
    if getattr(processor, "patch_size", None) is None:
        processor.patch_size = getattr(vision, "patch_size", None)
    patch = processor.patch_size
    if not isinstance(patch, int) or isinstance(patch, bool) or patch < 1:
        raise ModelRefused(
            f"its processor has patch_size {patch!r}: set patch_size in processor_config.json to "
            "that of the vision tower (14 for CLIP-L)"
        )
    if processor.vision_feature_select_strategy is None:
        processor.vision_feature_select_strategy = getattr(
            config, "vision_feature_select_strategy", None
        )
    if not any("num_additional_image_tokens" in held for held in settings.values()):
        has_class_token = getattr(vision, "model_type", "") in _WITH_CLASS_TOKEN
        processor.num_additional_image_tokens = int(has_class_token)


def expansion_remedy(processor: Any, missing: int) -> str:
    """What to set so that an image takes as many tokens as it has features.

    Args:
        processor: the model's.
        missing: how many tokens an image takes too few; negative for too many.
    """
    current = getattr(processor, "num_additional_image_tokens", None)
    if isinstance(current, int) and 0 <= current + missing <= 16:
        return f"set num_additional_image_tokens to {current + missing} in processor_config.json"
    if current is not None:
        return (
            "set patch_size, vision_feature_select_strategy and num_additional_image_tokens in "
            "processor_config.json as the checkpoint has them"
        )
    names = ("image_seq_length", "image_seq_len", "num_image_tokens")
    name = next((one for one in names if getattr(processor, one, None) is not None), None)
    which = "the processor's settings" if name is None else f"{name} in processor_config.json"
    return f"copy {which} and config.json of one checkpoint"
