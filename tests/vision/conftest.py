"""A small random-weight LLaVA and synthetic scans for all vision tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from imc_noise import apply_image, noise_rng
from vision.encoder.vision_encoder import EncodedImage, VisionEncoder
from vision.reading.medical_image import MedicalImage

SIDE = 64


def scan(number: int, side: int = 80) -> MedicalImage:
    """A smooth bright body on black air: enough of a scan for noise to show."""
    rng = np.random.default_rng(number)
    texture = ndimage.gaussian_filter(rng.normal(size=(side, side)), rng.uniform(2.5, 6.0))
    texture = (texture - texture.min()) / np.ptp(texture)
    y, x = np.mgrid[0:side, 0:side]
    centre = side * rng.uniform(0.4, 0.6, size=2)
    body = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (side * rng.uniform(0.28, 0.45)) ** 2
    grey = (texture * body * rng.uniform(225.0, 250.0)).astype(np.uint8)
    return MedicalImage.from_rgb(np.stack([grey] * 3, axis=-1))


def corrupted(image: MedicalImage, kind: str, severity: int) -> MedicalImage:
    """`image` with a noise of `imc_noise` on it, always the same."""
    rng = noise_rng(f"test {image.sha256}", kind, severity)
    return MedicalImage.from_rgb(apply_image(kind, image.rgb, severity, rng))


def projected(encoded: EncodedImage) -> torch.Tensor:
    """All projected features of one image, (tokens, dim), whatever container holds them."""
    pooled = encoded.output.pooler_output
    parts = [pooled] if isinstance(pooled, torch.Tensor) else list(pooled)
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


def small_llava(seed: int = 0) -> Any:
    """A LLaVA of three vision blocks on 8 x 8 patches with CLS; its image processor alone."""
    import transformers as hf

    torch.manual_seed(seed)
    config = hf.LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 48,
            "intermediate_size": 96,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": SIDE,
            "patch_size": 8,
            "initializer_range": 0.1,
        },
        text_config={
            "model_type": "llama",
            "vocab_size": 32,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
        },
        image_token_index=31,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    return hf.LlavaForConditionalGeneration(config).eval()


def small_processor() -> Any:
    """The image processor of `small_llava`: squash to a square, standardise."""
    import transformers as hf

    return hf.CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        do_center_crop=False,
        image_mean=[0.25] * 3,
        image_std=[0.25] * 3,
    )


@pytest.fixture(scope="session")
def encoder() -> VisionEncoder:
    """The encoder of these tests."""
    return VisionEncoder(small_llava(), small_processor())


@pytest.fixture
def count_forwards(encoder: VisionEncoder) -> Callable[[], int]:
    """How many passes of the encoder have run since the test began."""
    begun = encoder.forwards
    return lambda: encoder.forwards - begun
