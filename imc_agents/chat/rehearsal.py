"""One small picture and question through a model that was just loaded.

What cannot answer is found here and not when a patient's image is waiting: settings that do not fit
together, weights that give no finite number, an image that leaves no trace in the features.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imc_agents.chat.decoding import DecodingSettings, generate_texts
from imc_agents.chat.messages import Conversation, Turn
from imc_agents.chat.prompt_tokens import PromptEncoder
from imc_agents.errors import ModelRefused, QuestionRefused

__all__ = ["check_weights", "rehearse"]

_QUESTION = "Is this normal?"
_SIDE = 64
"""Pixels of the picture's side: one tile for every family."""
_LARGEST_WEIGHT = 1e9
"""Trained weights stay below some thousands; from here on, sums of products overflow."""


def check_weights(model: Any) -> None:
    """Refuse weights that are not finite, far too large, or empty. Reads every weight.

    Raises:
        ModelRefused: naming the first such weight.
    """
    matrices, empty = 0, 0
    for name, parameter in model.named_parameters():
        if not parameter.numel() or not parameter.is_floating_point() or parameter.is_meta:
            continue  # on the meta device: a device map holds them elsewhere until they are used
        largest = float(torch.stack(torch.aminmax(parameter.detach())).abs().max())  # no copy
        if not math.isfinite(largest):
            raise ModelRefused(
                f"the weights {name} are not finite: load the model in bfloat16 or float32 "
                "(dtype), or copy its weights again"
            )
        if largest > _LARGEST_WEIGHT:
            raise ModelRefused(
                f"the weights {name} reach {largest:.0e}, which no trained weight does: copy the "
                "weight files again"
            )
        matrices += parameter.dim() > 1
        empty += parameter.dim() > 1 and largest == 0.0
    if empty * 2 > matrices:
        raise ModelRefused(
            f"{empty} of {matrices} weight matrices are zero: copy the weight files again"
        )


def rehearse(model: Any, processor: Any, *, whole: bool) -> None:
    """Run a picture and a question through a model, and check the result of every stage.

    Args:
        model: in eval mode.
        processor: its processor.
        whole: whether the language model reads the image's features too; without, it reads the
            question alone, which costs a large model on a CPU seconds instead of a minute.

    Raises:
        ModelRefused: naming the stage and what to set. Other errors are those of settings that do
            not fit together; `load_local_mllm` turns them into a refusal.
    """
    encoder = PromptEncoder(model, processor)
    picture = _picture()
    try:
        text = encoder.renderer.render(Conversation((Turn("user", (None, _QUESTION)),), (picture,)))
    except QuestionRefused as error:
        raise ModelRefused(
            "its chat template renders no question about an image: copy the checkpoint's own"
        ) from error
    if _QUESTION not in text:
        raise ModelRefused(
            "its chat template leaves the question out: copy the checkpoint's own chat template"
        )
    prompt, pixels = encoder.tokenise(text, (picture,))
    _check_tokens(model, processor, prompt.ids)
    _, blank = encoder.tokenise(text, (Image.new("RGB", picture.size),))
    _check_pixels(pixels, blank)
    with torch.no_grad():
        prompt = replace(prompt, features=encoder.encode_images(pixels))
    encoder.check(prompt)
    _check_features(prompt.features.pooler_output)
    if not whole:
        prompt, _ = encoder.tokenise(_QUESTION, ())
    answer = generate_texts(model, processor.tokenizer, [prompt], DecodingSettings(2))[0]
    if _says_nothing(answer.token_logprobs, model):
        raise ModelRefused(
            "the model finds every word equally likely: its weights are empty or far too large; "
            "copy the weight files again"
        )


def _picture() -> Image.Image:
    """Smooth shades with an edge, the same each time."""
    ramp = np.linspace(0, 200, _SIDE)
    shades = np.add.outer(ramp, ramp[::-1]) / 2.0
    shades[_SIDE // 4 : _SIDE // 2, _SIDE // 4 : _SIDE // 2] += 55
    return Image.fromarray(shades.astype(np.uint8)).convert("RGB")


def _check_tokens(model: Any, processor: Any, ids: Tensor) -> None:
    """Every token has an embedding, and the image's is the one that the model fills."""
    rows = model.get_input_embeddings().weight.shape[0]
    image_id = model.config.image_token_id
    known = dict(processor.tokenizer.get_vocab())
    beyond = {token: at for token, at in known.items() if at >= rows and at != image_id}
    highest = max([*beyond.values(), *(i for i in ids.tolist() if i != image_id)], default=0)
    if highest >= rows:
        raise ModelRefused(
            f"its tokenizer has token {highest}, its model embeds tokens up to {rows - 1}: copy "
            "tokenizer.json and config.json of one checkpoint"
        )
    written = getattr(processor, "image_token_id", None)
    places = int((ids == image_id).sum())
    others = 0 if written in (None, image_id) else int((ids == written).sum())
    if others > places or not places:  # some families write one more token to begin an image
        raise ModelRefused(
            f"an image leaves no token {image_id} in the prompt (image_token_id of config.json; "
            f"the processor writes {written}): copy config.json, the processor's settings and the "
            "chat template of one checkpoint"
        )


def _check_pixels(pixels: dict[str, Any], blank: dict[str, Any]) -> None:
    """Pixels are finite, and not those of a blank picture."""
    values = pixels.get("pixel_values")
    if not isinstance(values, Tensor):
        raise ModelRefused(
            "its image processor gives no pixel_values that the model takes: copy the processor's "
            "settings of the checkpoint"
        )
    if not bool(torch.isfinite(values).all()):
        raise ModelRefused(
            "its image processor gives pixels that are not finite: check image_mean, image_std and "
            "rescale_factor"
        )
    if torch.equal(values, blank["pixel_values"]):
        raise ModelRefused(
            "its image processor makes a picture the same as a blank one: check rescale_factor, "
            "image_mean, image_std and size"
        )


def _check_features(pooled: Any) -> None:
    """Features are finite, and differ over the picture."""
    parts = [pooled] if isinstance(pooled, Tensor) else list(pooled)
    features = torch.cat([part.reshape(-1, part.shape[-1]).float() for part in parts])
    if not bool(torch.isfinite(features).all()):
        raise ModelRefused(
            "its image features are not finite: load the model in bfloat16 or float32 (dtype), or "
            "copy its weights again"
        )
    if len(features) > 1 and bool((features == features[0]).all()):
        raise ModelRefused(
            "its image features are the same over the whole picture: the weights of its vision "
            "side are empty; copy the weight files again"
        )


def _says_nothing(logprobs: tuple[float, ...], model: Any) -> bool:
    """The most probable token is no more probable than every other."""
    head = model.get_output_embeddings()
    words = head.weight.shape[0] if head is not None else 0
    return bool(logprobs) and words > 1 and abs(logprobs[0] + math.log(words)) < 1e-5
