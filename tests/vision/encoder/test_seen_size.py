"""The size at which a model sees a picture: measured with its own processor, in every family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny_models import FAMILIES, build_tiny
from tests.vision.conftest import small_llava
from vision.encoder.seen_size import LARGEST_AREA, LARGEST_SIDE, SeenSizes, working_size
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

OWN = ((600, 800), (340, 1000), (90, 120))
SQUARE = ((56, 56), (56, 56), (56, 56))
PADDED = ((84, 112), (38, 112), (84, 112))
"""Brought into a canvas of 2 x 2 tiles of 56 pixels, its shape kept."""
SPLIT = ((112, 112), (56, 112), (112, 112))
"""Squeezed into 2 x 2 tiles, or 1 x 2."""
SEEN = {
    "llava": SQUARE,
    "gemma3": SQUARE,
    "paligemma": SQUARE,
    "llava_next": PADDED,
    "llava_onevision": PADDED,
    "qwen2_5_vl": ((84, 112), (56, 168), (84, 112)),  # whole cells of 28 pixels, at most 16 x 784
    "internvl": ((112, 112), (56, 168), (112, 112)),  # at most four tiles
    "idefics3": SPLIT,
    "smolvlm": SPLIT,
}
GEMMA_CROPS = {
    "do_pan_and_scan": True,
    "pan_and_scan_min_crop_size": 256,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}


def sees(processor: Any) -> VisionEncoder:
    """An encoder with an image processor of the size that published models have."""
    return VisionEncoder(small_llava(), processor)


def picture(height: int, width: int) -> MedicalImage:
    return MedicalImage.from_rgb(np.full((height, width, 3), 9, dtype=np.uint8))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_s_size_is_measured_to_a_pixel(family: str) -> None:
    tiny = build_tiny(family)
    encoder = VisionEncoder(tiny.model, tiny.processor)
    for own, (height, width) in zip(OWN, SEEN[family], strict=True):
        seen = encoder.seen_size(*own)
        assert seen is not None
        assert abs(seen[0] - height) <= 1 and abs(seen[1] - width) <= 1


@pytest.mark.parametrize(
    ("name", "settings", "own", "seen"),
    [
        ("LlavaNextImageProcessorPil", {}, (600, 800), (336, 448)),
        ("LlavaNextImageProcessorPil", {}, (340, 1000), (224, 659)),
        ("GotOcr2ImageProcessorPil", {"crop_to_patches": True}, (340, 1000), (384, 1152)),
        ("Gemma3ImageProcessorPil", GEMMA_CROPS, (340, 1000), (224, 671)),
        ("Gemma3ImageProcessorPil", GEMMA_CROPS, (600, 600), (224, 224)),
        ("PixtralImageProcessorPil", {}, (90, 120), (96, 128)),
        ("SiglipImageProcessorPil", {}, (600, 800), (224, 224)),
        ("CLIPImageProcessorPil", {}, (600, 800), (224, 299)),
        ("CLIPImageProcessorPil", {"size": {"shortest_edge": 256}}, (600, 800), (256, 341)),
        ("LlavaImageProcessorPil", {"do_pad": True}, (600, 800), (168, 224)),
    ],
)
def test_published_processors_are_measured_too(
    name: str, settings: dict[str, Any], own: tuple[int, int], seen: tuple[int, int]
) -> None:
    import transformers as hf

    if name == "LlavaNextImageProcessorPil":
        settings = {"image_grid_pinpoints": [[448, 448], [224, 672], [672, 224]]}
    found = sees(getattr(hf, name)(**settings)).seen_size(*own)
    assert found is not None
    assert abs(found[0] - seen[0]) <= 1 and abs(found[1] - seen[1]) <= 1


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("CLIPImageProcessorPil", {"size": {"shortest_edge": 256}}),  # then a part is cropped
        ("LlavaImageProcessorPil", {"do_pad": True}),  # first padded to a square
        ("Gemma3ImageProcessorPil", {}),  # bilinear
    ],
)
def test_pictures_that_would_be_prepared_to_other_pixels_keep_their_own_size(
    name: str, settings: dict[str, Any]
) -> None:
    import transformers as hf

    encoder = sees(getattr(hf, name)(**settings))
    assert encoder.has_fixed_tokens and encoder.fixed_size(600, 800) is None
    assert encoder.working_size(90, 120) == (90, 120)


def test_pictures_are_brought_to_the_one_size_of_bicubic_processors() -> None:
    import transformers as hf

    encoder = sees(hf.CLIPImageProcessorPil(size={"shortest_edge": 224}))
    assert encoder.fixed_size(600, 800) == encoder.working_size(600, 800) == (224, 299)
    assert encoder.working_size(90, 120) == (224, 299)


def test_pictures_are_not_stacked_where_long_ones_are_cut_into_crops() -> None:
    import transformers as hf

    encoder = sees(hf.Gemma3ImageProcessorPil(**GEMMA_CROPS))
    assert not encoder.has_fixed_tokens
    prepared = encoder.prepare_many([picture(300, 900), picture(90, 90)])
    assert [len(one.tensors["pixel_values"]) for one in prepared] == [4, 1]


def test_an_unknown_processor_leaves_pictures_at_their_own_size() -> None:
    sizes = SeenSizes(lambda image: {"flattened_patches": torch.zeros(7, 768)})
    assert sizes.measure(600, 800) is None
    assert working_size((600, 800), None) == (600, 800)
    assert working_size((1344, 2688), None) == (672, 1344)


def test_a_size_is_measured_once() -> None:
    calls: list[tuple[int, int]] = []

    def process(image: MedicalImage) -> dict[str, torch.Tensor]:
        calls.append((image.height, image.width))
        pixels = torch.from_numpy(image.rgb.astype(np.float32))
        return {"pixels": pixels.permute(2, 0, 1)[None]}

    sizes = SeenSizes(process)
    assert [sizes.measure(90, 120) for _ in range(3)] == [(90, 120)] * 3
    assert calls.count((90, 120)) == 1


def test_a_picture_of_one_pixel_s_height_has_no_measured_size() -> None:
    sizes = SeenSizes(lambda image: {"pixels": torch.zeros(1, 3, 56, 56)})
    assert sizes.measure(1, 300) is None


@given(
    st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
    st.none() | st.tuples(st.integers(1, 4000), st.integers(1, 4000)),
)
def test_a_working_size_adds_no_pixels_and_is_bounded(
    own: tuple[int, int], seen: tuple[int, int] | None
) -> None:
    height, width = working_size(own, seen)
    assert 1 <= height <= own[0] and 1 <= width <= own[1]
    assert min(height, width) <= LARGEST_SIDE
    assert height * width <= 1.01 * LARGEST_AREA + height + width


def test_a_working_size_is_the_seen_size_within_the_picture_s_own() -> None:
    assert working_size((600, 800), (504, 672)) == (504, 672)
    assert working_size((600, 800), (896, 224)) == (600, 224)
    assert working_size((600, 800), (1344, 1792)) == (600, 800)
    assert working_size((3000, 4000), (1344, 1792)) == (672, 896)
