"""The embedded tower, a projector and the pretrained language model as one LLaVA."""

from __future__ import annotations

import hashlib

import torch
from transformers import LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
from transformers.utils import logging

from imc_reference import MODEL_DIR
from imc_reference.architecture import IMAGE_TOKENS, build_processor
from imc_reference.pretrained.gguf_llama import GGUFLlama
from imc_reference.tokenizer import IMAGE

PROFILE = "instruct"
"""The prompts that the second model is adapted with and asked with."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""The language model's own template, which takes texts alone, with a place for an image."""

_UNUSED_TOKEN = -1
"""Which of the control tokens the image token's row of the embedding is a copy of: the last, which
conversations do not use. The row is never read (features stand in its place); as an output it must
be unlikely."""


def assembled(
    language: GGUFLlama, tower: LlavaForConditionalGeneration | None = None, *, seed: int = 0
) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """Model and processor before adaptation: its texts are the language model's, its projector is
    drawn.

    Args:
        language: the language model; its tokenizer is given one token more.
        tower: a LLaVA whose vision tower is taken; None: the embedded model's.
        seed: of the projector.
    """
    tower = tower if tower is not None else embedded_model()
    tokenizer = language.tokenizer
    unused = sorted(tokenizer.all_special_ids)[_UNUSED_TOKEN]
    if IMAGE not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    tokenizer.chat_template = CHAT_TEMPLATE
    image = tokenizer.convert_tokens_to_ids(IMAGE)
    text = type(language.config)(**{**language.config.to_dict(), "vocab_size": image + 1})
    config = LlavaConfig(
        vision_config=tower.config.vision_config,
        text_config=text,
        image_token_id=image,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=text.pad_token_id,
    )
    config.imc_profile = PROFILE
    torch.manual_seed(seed)
    model = LlavaForConditionalGeneration(config).eval()
    embedding = language.weights["embed_tokens.weight"]
    rows = torch.cat([embedding, embedding[unused : unused + 1]])
    model.model.language_model.load_state_dict({**language.weights, "embed_tokens.weight": rows})
    model.tie_weights()
    model.model.vision_tower.load_state_dict(tower.model.vision_tower.state_dict())
    _scale_projector(model, rows)
    settings = model.generation_config
    settings.bos_token_id, settings.eos_token_id = text.bos_token_id, text.eos_token_id
    settings.pad_token_id, settings.do_sample = text.pad_token_id, False
    processor = build_processor(tokenizer)
    processor.chat_template = CHAT_TEMPLATE
    return model, processor


def embedded_model() -> LlavaForConditionalGeneration:
    """The embedded model, whose tower is shared."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return LlavaForConditionalGeneration.from_pretrained(
            MODEL_DIR, local_files_only=True, use_safetensors=True, dtype=torch.float32
        ).eval()
    finally:
        if shown:
            logging.enable_progress_bar()


def tower_digest(model: LlavaForConditionalGeneration) -> str:
    """SHA-256 of the vision tower's weights: trained parts belong to one tower."""
    digest = hashlib.sha256()
    for name, value in sorted(model.model.vision_tower.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _scale_projector(model: LlavaForConditionalGeneration, embedding: torch.Tensor) -> None:
    """Begin with image tokens of about the size of words: the tower's features are of size 1."""
    projector = model.model.multi_modal_projector
    with torch.no_grad():
        for layer in (projector.linear_1, projector.linear_2):
            layer.weight.normal_(std=layer.in_features**-0.5)
            layer.bias.zero_()
        # a GELU of unit normals has a root mean square of .65
        projector.linear_2.weight *= float(embedding.std()) / 0.65
