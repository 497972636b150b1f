"""A LLaVA with a vision tower of CLIP-L's size and random weights, for the benchmarks."""

from __future__ import annotations

import numpy as np
import torch
import transformers as hf

from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

SIDE = 336
_PHANTOM_SEED = 8_230


def large_encoder(blocks: int = 24, channels: int = 1024) -> VisionEncoder:
    """CLIP-L at 336 pixels: 24 blocks of 1024 channels, 16 heads, 577 tokens; or a smaller one."""
    torch.manual_seed(0)
    config = hf.LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": channels,
            "intermediate_size": 4 * channels,
            "num_hidden_layers": blocks,
            "num_attention_heads": 16,
            "image_size": SIDE,
            "patch_size": 14,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 32,
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        },
        image_token_index=31,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    model = hf.LlavaForConditionalGeneration(config).eval()
    processor = hf.CLIPImageProcessorPil(size={"height": SIDE, "width": SIDE}, do_center_crop=False)
    return VisionEncoder(model, processor)


def phantoms(count: int, start: int = 0) -> list[MedicalImage]:
    """Phantoms that nothing else draws."""
    draws = (np.random.default_rng([_PHANTOM_SEED, i]) for i in range(start, start + count))
    return [MedicalImage.from_rgb(as_rgb(make_phantom(draw).image)) for draw in draws]
