"""Vision blocks are found, or named; where they are neither, the candidates are said."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from tests.vision.conftest import small_llava, small_processor
from vision.encoder.structure import block_candidates, find_structure
from vision.encoder.vision_encoder import VisionEncoder
from vision.errors import EncoderRefused

NAME = "model.vision_tower.encoder.layers"


@pytest.fixture
def hidden() -> Any:
    """A model whose blocks no search finds: nothing in them is called attention."""
    model = small_llava()
    owner = model.get_submodule("model.vision_tower.encoder")

    class Stage(nn.Module):
        def __init__(self, block: nn.Module) -> None:
            super().__init__()
            self.inner = nn.Sequential(block.layer_norm1, block.layer_norm2)

        def forward(self, hidden_states: Any, *args: Any, **settings: Any) -> Any:
            return self.inner(hidden_states)

    owner.layers = nn.ModuleList(Stage(block) for block in owner.layers)
    return model


def test_blocks_that_are_not_found_are_said_with_the_candidates(hidden: Any) -> None:
    assert (NAME, 3) in block_candidates(hidden)
    with pytest.warns(UserWarning, match=rf"not found.*{NAME} \(3 modules\)"):
        encoder = VisionEncoder(hidden, small_processor())
    assert encoder.taps == ("projector",)


@pytest.mark.parametrize("name", [NAME, NAME.removeprefix("model.")])
def test_named_blocks_are_tapped(hidden: Any, name: str) -> None:
    encoder = VisionEncoder(hidden, small_processor(), blocks=name)
    assert encoder.structure.blocks_name == NAME
    assert encoder.taps == ("embed", "block.0", "block.1", "block.2", "projector")


def test_naming_what_is_found_changes_nothing() -> None:
    model = small_llava()
    found, named = find_structure(model), find_structure(model, NAME)
    assert found == named


def test_an_encoder_may_go_without_blocks(hidden: Any) -> None:
    assert VisionEncoder(hidden, small_processor(), blocks="none").taps == ("projector",)


@pytest.mark.parametrize("name", ["", "model", "model.vision_tower.nothing", "lm_head", "a..b"])
def test_a_name_of_no_list_is_refused_with_the_candidates(name: str) -> None:
    with pytest.raises(EncoderRefused, match=NAME) as refusal:
        find_structure(small_llava(), name)
    assert "\n" not in str(refusal.value)
