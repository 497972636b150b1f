"""Loading a model folder, and every way it is refused."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.loading import load_local_mllm
from imc_agents.errors import ModelRefused
from tests.imc_agents.chat_helpers import asking, picture, tiny_chat
from tests.tiny_models import FAMILIES, save_tiny


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete llava folder; copy it before changing it."""
    return save_tiny("llava", tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may corrupt."""
    return Path(shutil.copytree(saved, tmp_path / "llava"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("something went to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_loads_from_its_folder_without_network(family: str, tmp_path: Path) -> None:
    chat = ChatLocalMLLM.from_pretrained(save_tiny(family, tmp_path / family), max_tokens=4)
    in_memory = tiny_chat(family, max_tokens=4)
    asked = asking(image=picture())
    assert chat.invoke(asked).content == in_memory.invoke(asked).content
    assert chat.model_name == family
    assert type(chat.processor.image_processor).__name__.endswith("Pil")


def test_loading_says_nothing(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_local_mllm(saved)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_loaded_model_is_ready_to_answer(saved: Path) -> None:
    mllm = load_local_mllm(saved, device="cpu")
    assert not mllm.model.training
    assert mllm.model.dtype == torch.float32
    assert not any(p.requires_grad for p in mllm.model.parameters())


def test_a_dtype_can_be_asked_for(saved: Path) -> None:
    chat = ChatLocalMLLM.from_pretrained(saved, dtype="bfloat16", max_tokens=3)
    assert chat.model.dtype == torch.bfloat16
    assert chat.invoke(asking(image=picture())).usage_metadata is not None


def _edit(name: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        held = json.loads((folder / name).read_text())
        change(held)
        (folder / name).write_text(json.dumps(held))

    return apply


def _without(*names: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return apply


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"weight": torch.zeros(1)}, folder / "pytorch_model.bin")


def _cut_short(folder: Path) -> None:
    raw = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(raw[: len(raw) // 2])


def _noise(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"\x00\xff" * 500)


def _missing_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))


def _missing_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "multi_modal_projector" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _text_only(folder: Path) -> None:
    text = json.loads((folder / "config.json").read_text())["text_config"]
    text["architectures"] = ["LlamaForCausalLM"]
    (folder / "config.json").write_text(json.dumps(text))


def _mllama(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": "mllama"}))


@pytest.mark.parametrize(
    ("corrupt", "reason"),
    [
        pytest.param(_without("config.json"), "no config.json", id="no config"),
        pytest.param(
            lambda f: (f / "config.json").write_text("{"), "not readable JSON", id="broken config"
        ),
        pytest.param(_without("model.safetensors"), "no model.safetensors", id="no weights"),
        pytest.param(_pickled, "pickled weights", id="pickled"),
        pytest.param(_missing_shard, "lacks 1 of 2 weight files", id="missing shard"),
        pytest.param(_cut_short, "damaged weights", id="cut short"),
        pytest.param(_noise, "damaged weights", id="noise"),
        pytest.param(_missing_weights, "lacks 1 of its weights", id="missing weights"),
        pytest.param(_without("tokenizer.json"), "no tokenizer", id="no tokenizer"),
        pytest.param(_without("processor_config.json"), "no processor", id="no processor"),
        pytest.param(_text_only, "reads no images", id="text-only"),
        pytest.param(_mllama, "mm_encoder_outputs", id="no precomputed features"),
        pytest.param(
            _edit("config.json", lambda held: held.update(model_type="unheard_of")),
            "cannot be loaded",
            id="unknown type",
        ),
        pytest.param(
            _edit("config.json", lambda held: held["text_config"].update(hidden_size=48)),
            "other shapes",
            id="another shape",
        ),
    ],
)
def test_a_corrupted_folder_is_refused_in_one_line(
    folder: Path, corrupt: Callable[[Path], None], reason: str
) -> None:
    corrupt(folder)
    with pytest.raises(ModelRefused, match=reason) as refusal:
        load_local_mllm(folder)
    message = str(refusal.value)
    assert "\n" not in message
    assert str(folder) in message
    assert ": " in message  # ends with the remedy


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/no/such/folder", "does not exist"), ("nobody/no-such-model", "local cache")],
)
def test_a_missing_model_is_refused(path: str, reason: str) -> None:
    with pytest.raises(ModelRefused, match=reason):
        load_local_mllm(path)


def test_a_file_is_no_model_folder(saved: Path) -> None:
    with pytest.raises(ModelRefused, match="is a file"):
        load_local_mllm(saved / "model.safetensors")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"device": "abacus"}, "unknown device"),
        ({"device": "xpu"}, "not usable"),
        ({"dtype": "int3"}, "unknown dtype"),
    ],
)
def test_an_unusable_device_or_dtype_is_refused(
    saved: Path, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelRefused, match=reason):
        load_local_mllm(saved, **settings)


def test_a_package_of_another_origin_is_named() -> None:
    import imc_agents

    with pytest.raises(ImportError, match=r"package 'json' at .* hides the one of IMC agents"):
        imc_agents._refuse_shadowed(("json",))
