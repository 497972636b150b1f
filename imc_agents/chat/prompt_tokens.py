"""Prompts as tokens, with image features in place of pixels.

A prompt's images are always encoded to features first and reach the language model through
`mm_encoder_outputs`, the same route that `generate(pixel_values=...)` takes inside transformers:
so one path serves pixels, calibrated features and batches of both.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from langchain_core.messages import BaseMessage
from PIL import Image
from torch import Tensor

from imc_agents.chat.encoded_prompt import EncodedPrompt
from imc_agents.chat.image_slots import ImageSlots
from imc_agents.chat.messages import Conversation, Turn, read_conversation
from imc_agents.chat.processors import expansion_remedy
from imc_agents.chat.rendering import Renderer
from imc_agents.errors import ModelRefused, QuestionRefused

__all__ = [
    "ImageFeatures",
    "PromptEncoder",
    "refuse_without_features",
]

_OTHER_TEXT = "."
"""A last text that shows, beside a prompt, which of its tokens do not depend on that text."""
_CACHED_PROMPTS = 512
"""Enough for some units of the benchmark and the agents' prompts, at about 2 kB each."""


class ImageFeatures(Protocol):
    """Precomputed features of one image (`vision.encoder.vision_encoder.EncodedImage` is one).

    Attributes:
        name: the image's SHA-256; names the features in traces and caches.
        size: (height, width) of the image in pixels; decides how the prompt's slot expands.
        output: the `BaseModelOutputWithPooling` that the model's `get_image_features` returns.
    """

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def output(self) -> Any: ...


@dataclass
class PromptEncoder:
    """Messages to `EncodedPrompt`, for one model and processor.

    Attributes:
        model: an image-text-to-text model that takes `mm_encoder_outputs`.
        processor: its processor.
        allow_remote_images: whether http(s) image URLs may be fetched.
    """

    model: Any
    processor: Any
    allow_remote_images: bool = False
    renderer: Renderer = field(init=False)
    _cache: OrderedDict[tuple[tuple[Turn, ...], tuple[int, int] | None], EncodedPrompt] = field(
        init=False, repr=False, default_factory=OrderedDict
    )
    _slots: ImageSlots = field(init=False, repr=False, default_factory=ImageSlots)

    def __post_init__(self) -> None:
        self.renderer = Renderer(self.processor)
        self._forward_names = set(inspect.signature(self.model.forward).parameters)
        refuse_without_features(self.model)
        self._pixel_names = set(
            inspect.signature(self.model.base_model.get_image_features).parameters
        )

    @property
    def context_tokens(self) -> int | None:
        """How many tokens the language model can read; None when its config does not say."""
        limit = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return int(limit) if limit else None

    def encode(
        self, messages: Sequence[BaseMessage], features: ImageFeatures | None = None
    ) -> EncodedPrompt:
        """Render and tokenise messages; encode their images unless `features` stand for them.

        Args:
            messages: LangChain messages.
            features: precomputed features of the one image.

        Raises:
            QuestionRefused: see `read_conversation`; or the prompt is longer than the context.
            ModelRefused: an image's features do not fill its place in the prompt.
        """
        conversation = read_conversation(
            messages,
            placeholder=features is not None,
            allow_remote_images=self.allow_remote_images,
        )
        if conversation.images:
            prompt = self._with_pixels(self.renderer.render(conversation), conversation.images)
        else:
            prompt = self._cached(conversation, None if features is None else features.size)
            if features is not None:
                # A name alone could be reused for recalibrated features: the object decides.
                key = (prompt.key[0], f"{features.name}:{id(features.output)}")
                prompt = replace(prompt, features=features.output, key=key)
        self.check(prompt, given=features is not None)
        return prompt

    def _cached(self, conversation: Conversation, size: tuple[int, int] | None) -> EncodedPrompt:
        """A prompt's tokens, its image slot expanded as for a blank image of that size."""
        key = (conversation.turns, size)
        found = self._cache.get(key)
        if found is not None:
            self._cache.move_to_end(key)
            return found
        text = self.renderer.render(conversation)
        if size is None:
            found, _ = self.tokenise(text, ())
        else:
            found = self._with_slot(text, size)
        other = _asking_otherwise(conversation.turns)
        if other is not None and other != conversation.turns:
            asked = self._cached(replace(conversation, turns=other), size)
            found = replace(found, lasting=_common_length(found.ids, asked.ids))
        self._cache[key] = found
        if len(self._cache) > _CACHED_PROMPTS:
            self._cache.popitem(last=False)
        return found

    def _with_slot(self, text: str, size: tuple[int, int]) -> EncodedPrompt:
        """Expand the image token; the processor runs on a blank image until a size is confirmed."""
        ids = self.processor.tokenizer(text, **self._specials(text))["input_ids"]
        filled = self._slots.filled(ids, size)
        if filled is not None:
            return replace(filled, key=(text, ""))
        prompt, _ = self.tokenise(text, (Image.new("RGB", (size[1], size[0])),))
        self._slots.record(ids, self.renderer.image_token_id, size, prompt)
        return prompt

    def _with_pixels(self, text: str, images: tuple[Image.Image, ...]) -> EncodedPrompt:
        prompt, pixels = self.tokenise(text, images)
        with torch.no_grad():
            output = self.encode_images(pixels)
        return replace(prompt, features=output, key=(text, f"pixels:{id(output)}"))

    def encode_images(self, pixels: dict[str, Any]) -> Any:
        """The model's own features of pixel inputs, a `BaseModelOutputWithPooling`."""
        return self.model.base_model.get_image_features(**pixels, return_dict=True)

    def tokenise(
        self, text: str, images: tuple[Image.Image, ...]
    ) -> tuple[EncodedPrompt, dict[str, Any]]:
        """Run the processor.

        Args:
            text: a rendered prompt, a placeholder for each image.
            images: RGB pictures.

        Returns:
            The prompt without features, and the encoder's inputs by name.
        """
        tokenizer = self.processor.tokenizer
        settings: dict[str, Any] = {"return_tensors": "pt", **self._specials(text)}
        try:
            outputs = (
                self.processor(images=list(images), text=text, **settings)
                if images
                else self.processor(text=text, **settings)
            )
        except ValueError:
            if images:
                raise
            # PaliGemma's processor insists on an image; its language model does not. The prompt is
            # then a prefix (type 0), as it is beside an image.
            outputs = dict(tokenizer(text, **settings))
            outputs["token_type_ids"] = torch.zeros_like(outputs["input_ids"])
        device, dtype = self.model.device, self.model.dtype
        ids = outputs["input_ids"]
        per_token: dict[str, Tensor] = {}
        per_image: dict[str, Tensor] = {}
        pixels: dict[str, Any] = {}
        for name, value in outputs.items():
            if name in ("input_ids", "attention_mask", "labels") or value is None:
                continue
            if isinstance(value, Tensor):
                value = value.to(device, dtype if value.is_floating_point() else None)
            if isinstance(value, Tensor) and value.shape == ids.shape:
                if name in self._forward_names:
                    per_token[name] = value[0]
                continue
            if name in self._pixel_names:
                pixels[name] = value
            if (
                isinstance(value, Tensor)
                and not name.startswith("pixel")
                and name in self._forward_names
            ):
                per_image[name] = value
        written = {name: self._written_type(name, value) for name, value in per_token.items()}
        prompt = EncodedPrompt(ids[0].to(device), per_token, written, per_image, None, (text, ""))
        return prompt, pixels

    def _specials(self, text: str) -> dict[str, Any]:
        """Settings of the tokenizer: nothing is added to what the template wrote already."""
        begins = self.processor.tokenizer.bos_token
        return {"add_special_tokens": False} if begins and text.startswith(begins) else {}

    def _written_type(self, name: str, prompt_types: Tensor) -> int:
        """The token type of a written token, from the model's own generation loop.

        Families disagree (0 is text for gemma3 and the bidirectional prefix for paligemma), and a
        wrong type would let scored tokens see what comes after them.
        """
        from transformers.utils import ModelOutput

        updated = self.model._update_model_kwargs_for_generation(
            ModelOutput(), {name: prompt_types[None]}, num_new_tokens=1
        )
        return int(updated[name][0, -1]) if updated[name].shape[1] > len(prompt_types) else 0

    def check(self, prompt: EncodedPrompt, *, given: bool = False) -> None:
        """Refuse a prompt that the model cannot read.

        Args:
            prompt: with its features, if it has an image.
            given: whether its features came precomputed, from another encoder perhaps.

        Raises:
            QuestionRefused: longer than the context.
            ModelRefused: its images have more or fewer features than places.
        """
        limit = self.context_tokens
        if limit is not None and len(prompt.ids) >= limit:
            raise QuestionRefused(
                f"question and image take {len(prompt.ids)} tokens, the model reads {limit}: "
                "shorten the question"
            )
        if prompt.features is None:
            return
        places = int((prompt.ids == self.model.config.image_token_id).sum())
        held = prompt.features.pooler_output
        images = [held] if isinstance(held, Tensor) else held
        tokens = sum(image.numel() // image.shape[-1] for image in images)
        if places != tokens:
            remedy = (
                "make them with this model's own encoder and processor"
                if given
                else expansion_remedy(self.processor, tokens - places)
            )
            raise ModelRefused(
                f"image features have {tokens} tokens, the prompt has place for {places}: {remedy}"
            )


def _asking_otherwise(turns: tuple[Turn, ...]) -> tuple[Turn, ...] | None:
    """The conversation with another last text; None where its last turn ends with an image."""
    if not turns or not turns[-1].parts or turns[-1].parts[-1] is None:
        return None
    last = replace(turns[-1], parts=(*turns[-1].parts[:-1], _OTHER_TEXT))
    return (*turns[:-1], last)


def _common_length(ids: Tensor, others: Tensor) -> int:
    """How many tokens both prompts begin with."""
    shorter = min(len(ids), len(others))
    return int((ids[:shorter] == others[:shorter]).cumprod(dim=0).sum())


def refuse_without_features(model: Any) -> None:
    """Refuse a model that cannot take precomputed image features.

    Raises:
        ModelRefused: naming its class.
    """
    takes = "mm_encoder_outputs" in inspect.signature(model.forward).parameters
    if not takes or not hasattr(model.base_model, "get_image_features"):
        raise ModelRefused(
            f"{type(model).__name__} takes no precomputed image features (mm_encoder_outputs): "
            "use a family that does, such as llava, qwen2_5_vl or gemma3"
        )
