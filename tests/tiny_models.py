"""Tiny random-weight models of the supported families, built in memory with no download.

`build_tiny("llava")` gives a model and its processor in a fraction of a second; `save_tiny` writes
them as the folder a user would point `--model` at. Weights are random but seeded: two builds of
one family are equal. Only behaviour that does not depend on what a model knows is tested with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

FAMILIES = (
    "llava",
    "llava_next",
    "llava_onevision",
    "qwen2_5_vl",
    "gemma3",
    "internvl",
    "idefics3",
    "smolvlm",
    "paligemma",
)
MORE_FAMILIES = ("llava_576", "qwen2_vl", "qwen3_vl")
"""Further ones for the language side: an image of 576 tokens, and more of rotary positions in three
axes."""
SIDE = 56  # pixels; 4 x 4 patches of 14
PATCH = 14
TEXT_DIM = 64
VISION_DIM = 32

_SENTENCES = (
    "Is there a lesion in the left lung? yes no",
    "What modality is used to take this image? ct mri x-ray ultrasound",
    "Which organ is abnormal? liver, kidney, heart, brain, spleen, bladder.",
    "Where is the lesion located: right upper lobe or left lower lobe?",
    "How many lesions are visible in this picture? one two three four",
    '{"name": "value", "number": 12, "list": [1, 2, 3], "truth": true}',
)

# `<s><|user|>[<image>]text<|assistant|>text</s>`: the shape of the embedded reference model.
_TEMPLATE = (
    "{{ '<s>' }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ 'IMAGE_SLOT' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")


@dataclass(frozen=True)
class TinyModel:
    """A model of one family with the processor that belongs to it."""

    family: str
    model: Any
    processor: Any


def _tokenizer(named: dict[str, str], extra: tuple[str, ...] = ()) -> Any:
    """Train a byte-level BPE (any UTF-8 input is representable) with the family's special tokens.

    Args:
        named: special tokens that the family's processor reads as tokenizer attributes.
        extra: further special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    specials = ["<pad>", "<s>", "</s>", *_ROLES, *named.values(), *extra]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(dict.fromkeys(specials)),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(_SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=named,
        model_max_length=4096,
    )


def _text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings of a two-layer language model over `tokenizer`."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_DIM,
        "intermediate_size": 2 * TEXT_DIM,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        # Larger than the usual 0.02: with tiny widths the image would otherwise move no logit.
        "initializer_range": 0.2,
    } | more


def _vision(model_type: str, **more: Any) -> dict[str, Any]:
    """Settings of a three-block vision tower on `SIDE` x `SIDE` images."""
    return {
        "model_type": model_type,
        "hidden_size": VISION_DIM,
        "intermediate_size": 2 * VISION_DIM,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "image_size": SIDE,
        "patch_size": PATCH,
        "initializer_range": 0.2,
    } | more


def _square(side: int = SIDE) -> dict[str, int]:
    return {"height": side, "width": side}


def _template(image: str = "<image>") -> str:
    return _TEMPLATE.replace("IMAGE_SLOT", image)


def _llava(side: int = SIDE) -> tuple[Any, Any]:
    import transformers as hf

    tokenizer = _tokenizer({"image_token": "<image>"})
    config = hf.LlavaConfig(
        vision_config=_vision("clip_vision_model", projection_dim=VISION_DIM, image_size=side),
        text_config=_text(tokenizer, model_type="llama"),
        image_token_index=tokenizer.image_token_id,
        image_seq_length=(side // PATCH) ** 2,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = hf.LlavaProcessor(
        image_processor=hf.CLIPImageProcessorPil(size=_square(side), crop_size=_square(side)),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_template(),
    )
    return hf.LlavaForConditionalGeneration(config), processor


def _llava_next() -> tuple[Any, Any]:
    import transformers as hf

    tokenizer = _tokenizer({"image_token": "<image>"})
    pinpoints = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = hf.LlavaNextConfig(
        vision_config=_vision("clip_vision_model", projection_dim=VISION_DIM),
        text_config=_text(tokenizer, model_type="llama"),
        image_token_index=tokenizer.image_token_id,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    processor = hf.LlavaNextProcessor(
        image_processor=hf.LlavaNextImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size=_square(), image_grid_pinpoints=pinpoints
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_template(),
    )
    return hf.LlavaNextForConditionalGeneration(config), processor


def _llava_onevision() -> tuple[Any, Any]:
    import transformers as hf

    from imc_agents.chat.processors import build_processor

    tokenizer = _tokenizer({"image_token": "<image>", "video_token": "<video>"})
    pinpoints = [[SIDE, SIDE], [SIDE, 2 * SIDE], [2 * SIDE, SIDE], [2 * SIDE, 2 * SIDE]]
    config = hf.LlavaOnevisionConfig(
        vision_config=_vision("siglip_vision_model", vision_use_head=False),
        text_config=_text(tokenizer, model_type="qwen2"),
        image_token_index=tokenizer.image_token_id,
        video_token_index=tokenizer.video_token_id,
        image_grid_pinpoints=pinpoints,
    )
    processor = build_processor(
        hf.LlavaOnevisionProcessor,
        image_processor=hf.LlavaOnevisionImageProcessorPil(
            size=_square(), image_grid_pinpoints=pinpoints
        ),
        tokenizer=tokenizer,
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=_template(),
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def _qwen2_5_vl() -> tuple[Any, Any]:
    import transformers as hf

    from imc_agents.chat.processors import build_processor

    tokenizer = _qwen_tokenizer()
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": VISION_DIM,
            "intermediate_size": 2 * VISION_DIM,
            "num_heads": 4,
            "patch_size": PATCH,
            "window_size": 2 * 2 * PATCH,
            "fullatt_block_indexes": [2],
            "out_hidden_size": TEXT_DIM,
            "initializer_range": 0.2,
        },
        **_qwen_text(tokenizer),
    )
    processor = build_processor(hf.Qwen2_5_VLProcessor, **_qwen_parts(tokenizer))
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen2_vl() -> tuple[Any, Any]:
    import transformers as hf

    from imc_agents.chat.processors import build_processor

    tokenizer = _qwen_tokenizer()
    config = hf.Qwen2VLConfig(
        vision_config={
            "depth": 3,
            "embed_dim": VISION_DIM,
            "hidden_size": TEXT_DIM,
            "mlp_ratio": 2,
            "num_heads": 4,
            "patch_size": PATCH,
            "initializer_range": 0.2,
        },
        **_qwen_text(tokenizer),
    )
    processor = build_processor(hf.Qwen2VLProcessor, **_qwen_parts(tokenizer))
    return hf.Qwen2VLForConditionalGeneration(config), processor


def _qwen3_vl() -> tuple[Any, Any]:
    import transformers as hf

    from imc_agents.chat.processors import build_processor

    tokenizer = _qwen_tokenizer()
    config = hf.Qwen3VLConfig(
        vision_config={
            "depth": 3,
            "hidden_size": VISION_DIM,
            "intermediate_size": 2 * VISION_DIM,
            "num_heads": 4,
            "patch_size": PATCH,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
            "out_hidden_size": TEXT_DIM,
            "initializer_range": 0.2,
        },
        **_qwen_text(tokenizer, head_dim=16),
    )
    processor = build_processor(hf.Qwen3VLProcessor, **_qwen_parts(tokenizer))
    return hf.Qwen3VLForConditionalGeneration(config), processor


def _qwen_tokenizer() -> Any:
    return _tokenizer(
        {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
        ("<|vision_start|>", "<|vision_end|>"),
    )


def _qwen_text(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Settings of a language model with rotary positions in three axes, and its tokens."""
    rotary = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    return {
        "text_config": _text(tokenizer, rope_parameters=rotary, **more),
        "image_token_id": tokenizer.image_token_id,
        "video_token_id": tokenizer.video_token_id,
        "vision_start_token_id": tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tokenizer.convert_tokens_to_ids("<|vision_end|>"),
    }


def _qwen_parts(tokenizer: Any) -> dict[str, Any]:
    """Parts of the processor of a Qwen-VL."""
    import transformers as hf

    area = 4 * PATCH * PATCH
    return {
        "image_processor": hf.Qwen2VLImageProcessorPil(
            patch_size=PATCH, size={"shortest_edge": area, "longest_edge": 16 * area}
        ),
        "tokenizer": tokenizer,
        "chat_template": _template("<|vision_start|><|image_pad|><|vision_end|>"),
    }


def _gemma3() -> tuple[Any, Any]:
    import transformers as hf

    tokenizer = _tokenizer(
        {
            "image_token": "<image_soft_token>",
            "boi_token": "<start_of_image>",
            "eoi_token": "<end_of_image>",
        }
    )
    config = hf.Gemma3Config(
        vision_config=_vision("siglip_vision_model", vision_use_head=False),
        text_config=_text(
            tokenizer,
            model_type="gemma3_text",
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
        ),
        mm_tokens_per_image=4,
        image_token_index=tokenizer.image_token_id,
        boi_token_index=tokenizer.boi_token_id,
        eoi_token_index=tokenizer.eoi_token_id,
    )
    processor = hf.Gemma3Processor(
        image_processor=hf.Gemma3ImageProcessorPil(size=_square()),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=_template("<start_of_image>"),
    )
    model = hf.Gemma3ForConditionalGeneration(config)
    # The family starts its projector at zero, where no image could move a logit.
    model.model.multi_modal_projector.mm_input_projection_weight.data.normal_(0.0, 0.2)
    return model, processor


def _internvl() -> tuple[Any, Any]:
    import transformers as hf

    from imc_agents.chat.processors import build_processor

    tokenizer = _tokenizer(
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        }
    )
    config = hf.InternVLConfig(
        vision_config=_vision(
            "internvl_vision", image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH]
        ),
        text_config=_text(tokenizer, model_type="qwen2"),
        image_token_id=tokenizer.context_image_token_id,
        image_seq_length=4,
    )
    processor = build_processor(
        hf.InternVLProcessor,
        image_processor=hf.GotOcr2ImageProcessorPil(size=_square(), max_patches=4),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=_template("<IMG_CONTEXT>"),
    )
    return hf.InternVLForConditionalGeneration(config), processor


_IDEFICS_TOKENS = (
    "<fake_token_around_image>",
    "<global-img>",
    "<end_of_utterance>",
    *(f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)),
)


def _idefics3() -> tuple[Any, Any]:
    import transformers as hf

    tokenizer = _tokenizer({"image_token": "<image>"}, _IDEFICS_TOKENS)
    config = hf.Idefics3Config(
        vision_config=_vision("idefics3_vision"),
        text_config=_text(tokenizer, model_type="llama"),
        image_token_id=tokenizer.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    processor = hf.Idefics3Processor(
        image_processor=hf.Idefics3ImageProcessorPil(
            size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=_template(),
    )
    return hf.Idefics3ForConditionalGeneration(config), processor


def _smolvlm() -> tuple[Any, Any]:
    import transformers as hf

    from imc_agents.chat.processors import build_processor

    tokenizer = _tokenizer({"image_token": "<image>"}, (*_IDEFICS_TOKENS, "<video>"))
    config = hf.SmolVLMConfig(
        vision_config=_vision("smolvlm_vision"),
        text_config=_text(tokenizer, model_type="llama"),
        image_token_id=tokenizer.image_token_id,
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    processor = build_processor(
        hf.SmolVLMProcessor,
        image_processor=hf.SmolVLMImageProcessorPil(
            size={"longest_edge": 2 * SIDE}, max_image_size={"longest_edge": SIDE}
        ),
        tokenizer=tokenizer,
        image_seq_len=4,
        chat_template=_template(),
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def _paligemma() -> tuple[Any, Any]:
    import transformers as hf

    tokenizer = _tokenizer({"image_token": "<image>"})
    image_processor = hf.SiglipImageProcessorPil(size=_square())
    image_processor.image_seq_length = (SIDE // PATCH) ** 2
    processor = hf.PaliGemmaProcessor(
        image_processor=image_processor,
        tokenizer=tokenizer,
        chat_template=_template(),
    )
    config = hf.PaliGemmaConfig(
        vision_config=_vision("siglip_vision_model", vision_use_head=False),
        text_config=_text(tokenizer, model_type="gemma", head_dim=16),
        image_token_index=tokenizer.image_token_id,
        vocab_size=len(tokenizer),
        projection_dim=TEXT_DIM,
        hidden_size=TEXT_DIM,
    )
    return hf.PaliGemmaForConditionalGeneration(config), processor


_BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "llava": _llava,
    "llava_next": _llava_next,
    "llava_onevision": _llava_onevision,
    "qwen2_5_vl": _qwen2_5_vl,
    "gemma3": _gemma3,
    "internvl": _internvl,
    "idefics3": _idefics3,
    "smolvlm": _smolvlm,
    "paligemma": _paligemma,
    "llava_576": partial(_llava, 24 * PATCH),
    "qwen2_vl": _qwen2_vl,
    "qwen3_vl": _qwen3_vl,
}


@cache
def build_tiny(family: str) -> TinyModel:
    """Build one family's tiny model (float32, CPU, eval mode); the same object on every call.

    Args:
        family: one of `FAMILIES` or `MORE_FAMILIES`.

    Raises:
        KeyError: for another family.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model, processor = _BUILDERS[family]()
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.bos_token_id = processor.tokenizer.bos_token_id
    return TinyModel(family, model.eval(), processor)


def save_tiny(family: str, folder: Path) -> Path:
    """Write one family's tiny model as an ordinary HF folder.

    Args:
        family: one of `FAMILIES`.
        folder: made if missing.

    Returns:
        `folder`.
    """
    tiny = build_tiny(family)
    tiny.model.save_pretrained(folder)
    tiny.processor.save_pretrained(folder)
    return folder
