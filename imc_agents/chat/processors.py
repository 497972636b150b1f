"""The processor of a checkpoint on the Pillow backend, also where its video half cannot load.

Several families (llava_onevision, qwen2_5_vl, internvl, smolvlm) pair their image processor with a
video processor that needs torchvision. Medical stills need no video, so without torchvision the
processor is built with an empty video half instead of not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


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
