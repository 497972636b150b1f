"""Where tokens are shown to lie, there the image was: windows, merge blocks, pixel shuffle."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.tiny_models import FAMILIES, build_tiny
from tests.vision.conftest import projected, scan
from vision.encoder.token_layout import infer_layout
from vision.encoder.token_order import TokenOrder, find_order
from vision.encoder.vision_encoder import VisionEncoder
from vision.reading.medical_image import MedicalImage

SIDE = 112
CORNER = 28
"""Pixels along each side of the corner that is corrupted: a quarter of the picture's side."""


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> VisionEncoder:
    tiny = build_tiny(request.param)
    return VisionEncoder(tiny.model.eval(), tiny.processor)


def features_at(encoder: VisionEncoder, tap: str, image: MedicalImage) -> torch.Tensor:
    """(tiles, tokens, dim)."""
    visited: list[torch.Tensor] = []

    def see(at: str, features: torch.Tensor) -> None:
        if at == tap:
            visited.append(features[0].clone())

    encoder.visit(encoder.prepare(image), see, last_tap=tap)
    return visited[0]


def corrupted_corner(image: MedicalImage, *, right: bool) -> MedicalImage:
    """`image` with a checkered upper left or upper right corner."""
    rgb = image.rgb.copy()
    columns = slice(SIDE - CORNER, SIDE) if right else slice(0, CORNER)
    checks = np.indices((CORNER, CORNER)).sum(axis=0) % 2 * 255
    rgb[:CORNER, columns] = checks[:, :, None]
    return MedicalImage.from_rgb(rgb)


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("tap", ["embed", "block.0", "projector"])
def test_the_tokens_that_change_most_lie_where_the_image_was_corrupted(
    family: VisionEncoder, tap: str, right: bool
) -> None:
    plain = scan(1, side=SIDE)
    corrupted = corrupted_corner(plain, right=right)
    change = features_at(family, tap, corrupted) - features_at(family, tap, plain)
    inputs = family.prepare(plain)
    layout = infer_layout(change.shape[1], inputs.aspect)
    assert layout.has_grid
    size = change[:, layout.prefix :].norm(dim=2).reshape(-1, layout.height, layout.width)
    row, column = divmod(int(whole_image(size).argmax()), layout.width)
    assert row < layout.height / 2
    assert (column >= layout.width / 2) == right


def whole_image(size: torch.Tensor) -> torch.Tensor:
    """Of (tiles, height, width), the tile that shows all of the image: it changes in a corner; a
    part of the image changes wholly or not at all."""
    moving = size.flatten(1)
    still = moving.median(dim=1).values / moving.amax(dim=1).clamp_min(1e-9)
    still[moving.amax(dim=1) == 0] = 1.0
    return size[int(still.argmin())]


@pytest.mark.parametrize("merge", [1, 2])
@pytest.mark.parametrize("window", [0, 1, 2, 4])
@pytest.mark.parametrize("grid", [(4, 4), (8, 12), (10, 6)])
def test_the_order_is_transformers_own(grid: tuple[int, int], merge: int, window: int) -> None:
    from transformers.vision_utils import get_vision_window_index

    height, width = grid
    patches = torch.arange(height * width).reshape(height, width)
    cells = patches.reshape(height // merge, merge, width // merge, merge).transpose(1, 2)
    sequence = cells.reshape(-1, merge * merge)
    if window:
        size = torch.tensor([[1, height, width]])
        index, _ = get_vision_window_index(size, merge, window * merge * 14, 14)
        sequence = sequence[index]
    places = TokenOrder(merge, window).places(height, width)
    assert torch.equal(sequence.flatten()[places], patches.flatten())


def test_returned_features_are_put_back_in_the_encoders_order() -> None:
    order = TokenOrder(2, 2)
    visited: list[torch.Tensor] = []

    def shift(tap: str, features: torch.Tensor) -> torch.Tensor:
        visited.append(features)
        return features + 1.0

    hidden = torch.randn(1, 1, 8 * 12, 3)
    changed = order.in_rows(shift, (8, 12))("embed", hidden)
    assert changed is not None
    assert torch.equal(changed, hidden + 1.0)
    assert not torch.equal(visited[0], hidden)


def test_encoders_in_row_order_are_not_reordered() -> None:
    assert find_order(build_tiny("internvl").model) is None
    assert find_order(SimpleNamespace()) is None
    assert find_order(build_tiny("qwen2_5_vl").model) == TokenOrder(2, 2)


def test_an_intervention_on_windowed_tokens_is_local() -> None:
    """What is changed at a patch of the embedding is changed in the answer's features."""
    tiny = build_tiny("qwen2_5_vl")
    encoder = VisionEncoder(tiny.model.eval(), tiny.processor)
    image = scan(1, side=SIDE)

    def corner(tap: str, features: torch.Tensor) -> torch.Tensor | None:
        if tap != "projector":
            return None
        changed = features.clone()
        changed[0] += 3.0
        return changed

    plain = projected(encoder.encode(image))
    change = (projected(encoder.encode(image, intervene=corner)) - plain).norm(dim=1)
    assert change[0] > 0
    assert not change[1:].any()
