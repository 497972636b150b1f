"""What cannot answer is refused when its folder is loaded, with the reason and what to set."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.loading import load_local_mllm
from imc_agents.errors import ModelRefused
from tests.imc_agents.chat_helpers import asking, picture, tiny_chat
from tests.tiny_models import save_tiny

CONFIG, PROCESSOR, WEIGHTS = "config.json", "processor_config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete llava folder."""
    return save_tiny("llava", tmp_path_factory.mktemp("models") / "llava")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(saved, tmp_path / "llava"))


def setting(file: str, name: str, value: Any) -> Change:
    """Set a dotted name in a JSON file; `...` removes it."""

    def change(folder: Path) -> None:
        held = json.loads((folder / file).read_text())
        *outer, last = name.split(".")
        inner = held
        for key in outer:
            inner = inner[key]
        if value is ...:
            inner.pop(last)
        else:
            inner[last] = value
        (folder / file).write_text(json.dumps(held))

    return change


def weights(convert: Callable[[torch.Tensor], torch.Tensor], part: str = "") -> Change:
    """Convert the weights whose name holds `part`."""

    def change(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        made = {name: convert(one) if part in name else one for name, one in held.items()}
        save_file(made, folder / WEIGHTS, metadata={"format": "pt"})

    return change


def index(places: Any, *, alone: bool = False) -> Change:
    """Write an index of weights beside the weights, or in their place."""

    def change(folder: Path) -> None:
        torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
        if alone:
            (folder / WEIGHTS).rename(folder.parent / "elsewhere.safetensors")
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))

    return change


def template(source: str) -> Change:
    return lambda folder: (folder / "chat_template.jinja").write_text(source) and None


def refusal_of(folder: Path) -> str:
    with pytest.raises(ModelRefused) as refusal:
        load_local_mllm(folder)
    message = str(refusal.value)
    assert "\n" not in message and str(folder) in message
    return message


@pytest.mark.parametrize(
    "names",
    [
        ["patch_size"],
        ["patch_size", "num_additional_image_tokens", "vision_feature_select_strategy"],
    ],
)
def test_a_llava_processor_takes_what_it_lacks_from_the_model(
    folder: Path, names: list[str]
) -> None:
    for name in names:
        setting(PROCESSOR, name, ...)(folder)
    asked = asking(image=picture())
    answer = ChatLocalMLLM.from_pretrained(folder, max_tokens=4).invoke(asked)
    assert answer.content == tiny_chat("llava", max_tokens=4).invoke(asked).content


def test_an_older_folder_with_a_preprocessor_file_alone_is_completed(folder: Path) -> None:
    held = json.loads((folder / PROCESSOR).read_text())
    (folder / PROCESSOR).unlink()
    (folder / "preprocessor_config.json").write_text(json.dumps(held["image_processor"]))
    processor = load_local_mllm(folder).processor
    assert (processor.patch_size, processor.num_additional_image_tokens) == (14, 1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (setting(PROCESSOR, "patch_size", 0), "patch_size"),
        (
            setting(PROCESSOR, "num_additional_image_tokens", 0),
            "16 tokens, the prompt has place for 15: set num_additional_image_tokens to 1",
        ),
        (setting(PROCESSOR, "patch_size", 7), "set patch_size"),
        (setting(PROCESSOR, "image_processor.image_std", [0, 0, 0]), "image_std"),
        (setting(PROCESSOR, "image_processor.rescale_factor", 0), "rescale_factor"),
        (setting(PROCESSOR, "image_processor.size.height", 10**6), "size.height"),
        (setting(PROCESSOR, "processor_class", "Qwen2_5_VLProcessor"), "cannot be loaded"),
        (setting(CONFIG, "image_token_index", 4), "image_token_id"),
        (setting(CONFIG, "vision_feature_layer", 99), "vision_feature_layer"),
        (setting(CONFIG, "vision_config.patch_size", 0), "vision_config.patch_size"),
        (setting(CONFIG, "text_config.num_attention_heads", 0), "num_attention_heads"),
        (setting(CONFIG, "text_config.num_hidden_layers", 10**7), "num_hidden_layers"),
        (setting(CONFIG, "text_config.num_hidden_layers", 1), "does not count"),
        (setting(CONFIG, "text_config.vocab_size", 10**7), "describes 640125472"),
        (setting(CONFIG, "text_config.rms_norm_eps", 1), "rms_norm_eps"),
        (setting(CONFIG, "text_config.rms_norm_eps", float("nan")), "rms_norm_eps"),
        (setting(CONFIG, "text_config", []), "text_config"),
        (setting(CONFIG, "vision_config.image_size", 28), "other shapes"),
        (setting(CONFIG, "model_type", "llava_mistral"), "LLaVA-Med.*-hf"),
        (setting(CONFIG, "quantization_config", {"quant_method": "none"}), "quantization"),
        (setting(CONFIG, "transformers_weights", "w.bin"), "transformers_weights"),
        (setting("tokenizer.json", "model.vocab.zzz", 99_999), "token 99999"),
        (setting("generation_config.json", "eos_token_id", "x"), "cannot be loaded"),
        (lambda f: (f / CONFIG).write_text('{"a":' * 10**5 + "1" + "}" * 10**5), "too deeply"),
        (lambda f: (f / "generation_config.json").write_text("[]"), "holds no settings"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "adapter"),
        (weights(lambda one: one * float("nan"), "lm_head"), "not finite: load .* bfloat16"),
        (weights(lambda one: one.to(torch.int8)), "I8"),
        (weights(lambda one: one.bool()), "BOOL"),
        (weights(torch.zeros_like), "zero"),
        (weights(torch.zeros_like, "projector"), "the same over the whole picture"),
        (weights(torch.zeros_like, "lm_head"), "equally likely"),
        (weights(lambda one: one * 1e30), "no trained weight"),
        (index({"a": "pytorch_model.bin"}), "only safetensors"),
        (index({"a": "pytorch_model.bin"}, alone=True), "only safetensors"),
        (index({"a": "../elsewhere.safetensors"}, alone=True), "outside the folder"),
        (index([]), "weight_map"),
        (index(None), "weight_map"),
        (lambda f: os.mkfifo(f / "merges.txt"), "no ordinary file"),
        (template("{% for %}"), "chat template"),
        (template("<image>hello"), "leaves the question out"),
        (template("{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}"), "chat template"),
    ],
)
def test_what_cannot_answer_is_refused_with_the_reason(
    folder: Path, change: Change, says: str
) -> None:
    change(folder)
    message = refusal_of(folder)
    assert re.search(says, message), message


def test_a_link_out_of_the_folder_is_refused(folder: Path, saved: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(saved / WEIGHTS)
    assert "outside the folder" in refusal_of(folder)


def test_a_snapshot_of_the_hubs_cache_loads(saved: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    shutil.copytree(saved, blobs)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(Path("../../blobs") / file.name)
    assert load_local_mllm(snapshot).name == "0123"


def test_pickles_are_never_loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **settings: Any) -> None:
        raise AssertionError("a pickle was loaded")

    index({"a": "pytorch_model.bin"}, alone=True)(folder)
    monkeypatch.setattr(torch, "load", refuse)
    refusal_of(folder)


def test_scores_that_are_not_finite_are_refused_when_they_come() -> None:
    chat = tiny_chat("llava")
    broken = ChatLocalMLLM.from_parts(chat.model, chat.processor, "tiny")
    head = broken.model.get_output_embeddings()
    kept = head.weight.data.clone()
    try:
        head.weight.data.fill_(float("nan"))
        with pytest.raises(ModelRefused, match="not finite"):
            broken.invoke(asking(image=picture()))
        with pytest.raises(ModelRefused, match="not finite"):
            broken.score(asking(), "yes")
    finally:
        head.weight.data.copy_(kept)


def test_a_panic_of_the_tokenizers_is_a_refusal_and_writes_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    setting("tokenizer.json", "normalizer", broken)(folder)
    assert "PanicException" in refusal_of(folder)
    assert capfd.readouterr() == ("", "")
