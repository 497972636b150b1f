"""Which stages a model can have, said in sentences with the size, the taps and the reasons."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny_models import build_tiny
from tests.vision.conftest import scan, small_llava, small_processor
from vision.encoder.seen_size import SeenSizes
from vision.encoder.stages import describe_stages, readable_taps
from vision.encoder.vision_encoder import VisionEncoder


class WithoutTokens(nn.Module):
    """A block that hands its features on in a dictionary, which no tap reads."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.attention = block

    def forward(self, hidden_states: Any, *args: Any, **settings: Any) -> Any:
        return {"hidden": self.attention(hidden_states, *args, **settings)}


def sentences(encoder: VisionEncoder, own: tuple[int, int] = (600, 800)) -> list[str]:
    return [status.sentence for status in describe_stages(encoder, own)]


def test_a_model_of_one_input_size_has_both_stages(encoder: VisionEncoder) -> None:
    assert [status.on for status in describe_stages(encoder)] == [True, True]
    assert sentences(encoder) == [
        "pixel stage on: a picture of 600 x 800 pixels (height x width) is restored at 64 x 64 "
        "pixels: the model's input size",
        "feature stage on: features can be read and changed at the embedding, 3 blocks and the "
        "projector",
    ]


@pytest.mark.parametrize(
    ("family", "own", "said"),
    [
        ("qwen2_5_vl", (600, 800), "restored at 84 x 112 pixels: the size at which the model sees"),
        ("internvl", (90, 90), "restored at its own size: the model sees it at 112 x 112"),
        ("idefics3", (90, 120), "restored at 90 x 112 pixels: the model sees it at 112 x 112"),
    ],
)
def test_tiles_and_patches_are_said_with_the_size(
    family: str, own: tuple[int, int], said: str
) -> None:
    tiny = build_tiny(family)
    assert said in sentences(VisionEncoder(tiny.model, tiny.processor), own)[0]


def test_a_limited_size_is_said() -> None:
    import transformers as hf

    encoder = VisionEncoder(small_llava(), hf.GotOcr2ImageProcessorPil(crop_to_patches=True))
    said = sentences(encoder, (1000, 1000))[0]
    assert "at 672 x 672 pixels: the model sees it at 1152 x 1152, and restoration is" in said


def test_an_unmeasured_size_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = build_tiny("qwen2_5_vl")
    encoder = VisionEncoder(tiny.model, tiny.processor)
    unknown = SeenSizes(lambda image: {"patches": torch.zeros(4, 4)})
    monkeypatch.setattr(encoder.pixels, "_seen_sizes", unknown)
    said = sentences(encoder)[0]
    assert said.endswith("own size: the size at which the model sees it could not be measured")


def test_a_picture_too_small_to_be_restored_is_said() -> None:
    tiny = build_tiny("internvl")
    pixels, features = describe_stages(VisionEncoder(tiny.model, tiny.processor), (12, 40))
    assert not pixels.on and features.on
    assert pixels.sentence.endswith("not restored: a side of its 12 x 40 pixels is shorter than 16")


def test_an_encoder_without_its_blocks_has_the_projector_alone() -> None:
    encoder = VisionEncoder(small_llava(), small_processor(), blocks="none")
    assert sentences(encoder)[1] == (
        "feature stage on: features can be read and changed at the projector (the encoder is used "
        "without its blocks, as was asked)"
    )


def test_blocks_that_were_not_found_are_said_with_the_candidates() -> None:
    model = small_llava()
    owner = model.get_submodule("model.vision_tower.encoder")
    owner.layers = nn.ModuleList(nn.Sequential(block.layer_norm1) for block in owner.layers)
    with pytest.warns(UserWarning, match="not found"):
        encoder = VisionEncoder(model, small_processor())
    assert "not found; candidates: model.vision_tower.encoder.layers (3" in sentences(encoder)[1]


def test_a_model_without_any_tap_has_no_feature_stage() -> None:
    tower = small_llava().model.language_model
    with pytest.warns(UserWarning, match="not found"):
        encoder = VisionEncoder(tower, small_processor())
    status = describe_stages(encoder)[1]
    assert not status.on
    assert "the projector was not found" in status.sentence


def test_taps_at_which_a_pass_gives_no_tokens_are_left_out() -> None:
    model = small_llava()
    layers = model.get_submodule("model.vision_tower.encoder").layers
    layers[1] = WithoutTokens(layers[1])
    name = "model.vision_tower.encoder.layers"
    encoder = VisionEncoder(model, small_processor(), blocks=name)
    layers[2].register_forward_pre_hook(lambda block, args: (args[0]["hidden"], *args[1:]))
    found = readable_taps(encoder, scan(1))
    assert found == ("embed", "block.0", "block.2", "projector")
    said = describe_stages(encoder, readable=found)[1]
    assert said.on
    assert said.sentence.endswith(
        "the embedding, block.0, block.2 and the projector (a pass gives no tokens at block.1)"
    )
    assert not describe_stages(encoder, readable=())[1].on
