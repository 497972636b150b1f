"""The same taps in every family: tiles, windows, pixel shuffle, mergers."""

from __future__ import annotations

import pytest
import torch

from tests.tiny_models import FAMILIES, build_tiny
from tests.vision.conftest import projected, scan, small_llava
from vision.encoder.structure import find_structure
from vision.encoder.token_layout import infer_layout
from vision.encoder.vision_encoder import VisionEncoder


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> VisionEncoder:
    """An encoder of one family."""
    tiny = build_tiny(request.param)
    return VisionEncoder(tiny.model.eval(), tiny.processor)


def test_blocks_and_projector_are_found(family: VisionEncoder) -> None:
    assert family.taps == ("embed", "block.0", "block.1", "block.2", "projector")


def test_every_tap_is_visited_once_per_pass(family: VisionEncoder) -> None:
    visited: list[str] = []
    begun = family.forwards
    family.encode(scan(1, side=90), intervene=lambda tap, _: visited.append(tap))
    assert tuple(visited) == family.taps
    assert family.forwards - begun == 1


def test_reading_features_changes_no_bit(family: VisionEncoder) -> None:
    watched = family.encode(scan(2), intervene=lambda tap, features: None)
    assert torch.equal(projected(watched), projected(family.encode(scan(2))))


@pytest.mark.parametrize("tap", ["embed", "projector"])
def test_interventions_reach_the_output(family: VisionEncoder, tap: str) -> None:
    changed = family.encode(
        scan(2), intervene=lambda at, features: features + 0.5 if at == tap else None
    )
    assert not torch.equal(projected(changed), projected(family.encode(scan(2))))


def test_batches_agree_with_single_images(family: VisionEncoder) -> None:
    images = [scan(3, side=60), scan(4, side=110), scan(5, side=60)]
    for image, encoded in zip(images, family.encode_batch(images), strict=True):
        alone = projected(family.encode(image))
        assert projected(encoded).shape == alone.shape
        assert torch.allclose(projected(encoded), alone, atol=1e-3)


def test_tokens_of_a_tile_lie_on_a_grid_or_in_a_row(family: VisionEncoder) -> None:
    counts: list[int] = []

    def count(tap: str, features: torch.Tensor) -> None:
        counts.append(features.shape[2])

    family.encode_inputs(family.prepare(scan(6)), [scan(6)], intervene=count)
    is_qwen = family.structure.projector_name.endswith("merger")
    assert all(infer_layout(tokens).has_grid for tokens in counts) or is_qwen


def test_structure_of_a_model_without_vision_is_empty() -> None:
    structure = find_structure(small_llava().model.language_model)
    assert structure.projector is None
