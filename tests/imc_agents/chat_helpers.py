"""Small things the tests of the chat model share."""

from __future__ import annotations

import base64
import inspect
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from langchain_core.messages import BaseMessage, HumanMessage
from PIL import Image

from imc_agents.chat.chat_model import ChatLocalMLLM
from tests.tiny_models import TinyModel, build_tiny

QUESTION = "Is there a lesion in the left lung?"


@dataclass(frozen=True)
class Features:
    """What `vision.encoder.vision_encoder.EncodedImage` is to the chat model."""

    name: str
    size: tuple[int, int]
    output: Any


def picture(seed: int = 0, height: int = 90, width: int = 120) -> Image.Image:
    """A seeded RGB noise image."""
    values = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


def png(image: Image.Image) -> str:
    """The image as base64 PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def tiny_chat(family: str = "llava", **settings: Any) -> ChatLocalMLLM:
    """A chat model over one family's tiny model, with short answers."""
    tiny = build_tiny(family)
    settings.setdefault("max_tokens", 6)
    return ChatLocalMLLM.from_parts(tiny.model, tiny.processor, f"tiny-{family}", **settings)


def asking(text: str = QUESTION, image: Image.Image | None = None) -> list[BaseMessage]:
    """One human message, with the image before the text if there is one."""
    blocks: list[Any] = (
        [] if image is None else [{"type": "image", "base64": png(image), "mime_type": "image/png"}]
    )
    return [HumanMessage([*blocks, {"type": "text", "text": text}])]


def bare_inputs(tiny: TinyModel, image: Image.Image, text: str = QUESTION) -> dict[str, Any]:
    """What a user of transformers alone passes to `generate`."""
    parts = [{"type": "image"}, {"type": "text", "text": text}]
    prompt = tiny.processor.apply_chat_template(
        [{"role": "user", "content": parts}], add_generation_prompt=True
    )
    inputs = tiny.processor(
        images=[image], text=prompt, return_tensors="pt", add_special_tokens=False
    )
    return {name: value for name, value in inputs.items() if value is not None}


def features_of(family: str, image: Image.Image, name: str = "image") -> Features:
    """Features as the model's own encoder makes them, apart from the chat model."""
    tiny = build_tiny(family)
    inputs = bare_inputs(tiny, image)
    wanted = ("pixel_values", "image_grid_thw", "image_sizes", "pixel_attention_mask")
    names = inspect.signature(tiny.model.get_image_features).parameters
    with torch.no_grad():
        output = tiny.model.get_image_features(
            **{key: inputs[key] for key in wanted if key in inputs and key in names},
            return_dict=True,
        )
    return Features(name, (image.height, image.width), output)
