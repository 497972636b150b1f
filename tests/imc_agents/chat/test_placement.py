"""Where a model runs: what this machine does not have is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from imc_agents.chat import placement as placements
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.loading import load_local_mllm
from imc_agents.chat.placement import Placement
from imc_agents.chat.rehearsal import check_weights
from imc_agents.errors import ModelRefused
from tests.imc_agents.chat_helpers import asking, picture
from tests.tiny_models import save_tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("llava", tmp_path_factory.mktemp("placed") / "llava")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"dtype": "int3"}, "unknown dtype 'int3': use auto, float32, bfloat16 or float16"),
        ({"attention": "magic"}, "unknown attention 'magic'"),
        ({"device_map": "balanced"}, "unknown device map 'balanced': use auto"),
        ({"device": "cuda:1", "device_map": "auto"}, "give one of the two"),
    ],
)
def test_what_no_machine_has_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        Placement(**given)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_device_beyond_those_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert Placement("cuda:1").find_device() == torch.device("cuda:1")
    with pytest.raises(ModelRefused, match="'cuda:7' is not on this machine: use cuda:0 or cuda:1"):
        Placement("cuda:7").find_device()


def test_a_dtype_that_the_device_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placements, "_lacks", lambda _, dtype: dtype == torch.bfloat16)
    with pytest.raises(ModelRefused, match="no arithmetic in bfloat16: use float32 or float16"):
        Placement(dtype="bfloat16").find_dtype(CPU, torch.bfloat16, small=False)
    assert Placement().find_dtype(CPU, torch.bfloat16, small=False) == torch.float32


def test_the_checkpoints_own_dtype_is_kept_where_the_device_has_it() -> None:
    assert Placement().find_dtype(CPU, torch.bfloat16, small=False) == "auto"
    assert Placement().find_dtype(CPU, torch.bfloat16, small=True) == torch.float32


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"device_map": "auto"}, "needs the package accelerate"),
        ({"attention": "flash_attention_2"}, "needs a CUDA device and the package flash-attn"),
    ],
)
def test_a_package_that_is_missing_is_named(
    given: dict[str, str], says: str, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placements, "_is_installed", lambda _: False)
    with pytest.raises(ModelRefused, match=says):
        load_local_mllm(saved, placement=Placement(**given))


def test_a_family_without_an_attention_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import transformers

    monkeypatch.setattr(transformers.LlavaForConditionalGeneration, "_supports_sdpa", False)
    with pytest.raises(ModelRefused, match="no attention of the kind 'sdpa': use auto or eager"):
        load_local_mllm(saved, placement=Placement(attention="sdpa"))


def answers(saved: Path, **given: Any) -> tuple[str, Any]:
    chat = ChatLocalMLLM.from_pretrained(saved, placement=Placement(**given), max_tokens=4)
    return str(chat.invoke(asking(image=picture())).content), chat.model


def test_attention_is_chosen(saved: Path) -> None:
    text, model = answers(saved, attention="eager")
    assert model.config._attn_implementation == "eager"
    assert text == answers(saved)[0]


def test_a_device_map_gives_the_same_answers(saved: Path) -> None:
    pytest.importorskip("accelerate")
    text, model = answers(saved, device_map="auto")
    assert {weights.device.type for weights in model.parameters()} == {"cpu"}
    assert text == answers(saved, device="cpu")[0]


def test_a_model_in_several_places_answers_and_scores_alike(saved: Path, tmp_path: Path) -> None:
    """Language model off memory, brought in layer by layer: its weights are on the meta device."""
    accelerate = pytest.importorskip("accelerate")
    chat = ChatLocalMLLM.from_pretrained(saved, max_tokens=4)
    asked = asking(image=picture())
    answer, score = chat.invoke(asked).content, chat.score(asking(), "yes").logprob
    places = {"model.vision_tower": "cpu", "model.multi_modal_projector": "cpu"}
    places |= {"model.language_model": "disk", "lm_head": "disk"}
    model = accelerate.dispatch_model(
        chat.model, places, main_device="cpu", offload_dir=str(tmp_path), force_hooks=True
    )
    assert any(weights.is_meta for weights in model.parameters())
    check_weights(model)
    divided = ChatLocalMLLM.from_parts(model, chat.processor, max_tokens=4)
    assert divided.invoke(asked).content == answer
    assert divided.score(asking(), "yes").logprob == pytest.approx(score, abs=1e-4)


def test_a_placement_beside_a_device_is_a_mistake(saved: Path) -> None:
    with pytest.raises(TypeError, match="placement= alone"):
        load_local_mllm(saved, placement=Placement(), device="cpu")


def test_too_little_memory_is_refused(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 14 GiB")

    monkeypatch.setattr("imc_agents.chat.rehearsal.rehearse", crowded)
    with pytest.raises(ModelRefused, match="not enough memory for its weights") as refused:
        load_local_mllm(saved)
    assert "GiB" not in str(refused.value)
