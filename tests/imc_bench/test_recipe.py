"""A worker loads the model as the command would, and a run knows where that was."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from imc_agents.chat.placement import Placement
from imc_bench.conditions import RunRefused
from imc_bench.run.recipe import ModelRequest, RunRecipe
from imc_bench.run.session import RunRequest, _attention, _placed
from tests.tiny_models import build_tiny


def test_a_worker_loads_the_model_where_and_how_the_command_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}

    def load(*_: Any, **settings: Any) -> None:
        given.update(settings)
        raise RunRefused("enough")

    monkeypatch.setattr("graphs.context.load_context", load)
    model = ModelRequest(seed=3, placement=Placement("cpu", "bfloat16", attention="eager"))
    recipe = RunRecipe(RunRequest("phantom", noises=(), limit=1), model)
    with pytest.raises(RunRefused, match="enough"):
        pickle.loads(pickle.dumps(recipe.absolute())).prepare()
    assert given["placement"] == model.placement
    assert given["seed"] == 3


def test_a_run_knows_device_and_format_of_the_weights_that_are_in_memory() -> None:
    model = torch.nn.Sequential(
        torch.nn.LayerNorm(4),  # some stay in float32
        torch.nn.Linear(4, 4, dtype=torch.bfloat16),
        torch.nn.Linear(40, 40, device="meta"),  # a device map holds them elsewhere
    )
    assert _placed(model) == {"device": "cpu", "dtype": "bfloat16"}


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "gemma3"])
def test_a_run_knows_an_attention_that_is_not_the_usual_one(family: str) -> None:
    usual = build_tiny(family).model
    assert _attention(usual) == "auto"
    config = copy.deepcopy(usual.config)
    for attention, known in (("eager", "eager"), ("sdpa", "auto")):
        config._attn_implementation = attention
        assert _attention(type(usual)(config)) == known
