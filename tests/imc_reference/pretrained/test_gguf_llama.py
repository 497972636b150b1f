"""A GGUF file read back is the model that it was written from; what is no such file is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from imc_reference.pretrained.assembly import CHAT_TEMPLATE, assembled
from imc_reference.pretrained.gguf_llama import read_gguf
from imc_reference.pretrained.package import PretrainedRefused
from tests.imc_reference.pretrained.tiny_gguf import TEMPLATE, tiny_llama, write_gguf

QUESTION = "Is the lung on the left 12 mm?"


def test_its_logits_are_the_model_s(gguf_file: Path, llama: Any) -> None:
    read = read_gguf(gguf_file)
    again = type(llama)(read.config).eval()
    again.model.load_state_dict(read.weights)
    ids = torch.arange(5, 60)[None]
    with torch.inference_mode():
        assert torch.allclose(again(ids).logits, llama(ids).logits, atol=1e-5)


def test_the_assembled_model_judges_texts_as_the_language_model(
    gguf_file: Path, llama: Any
) -> None:
    model, processor = assembled(read_gguf(gguf_file))
    ids = processor.tokenizer(QUESTION, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        own, plain = model(input_ids=ids).logits, llama(ids).logits
    assert own.shape[-1] == plain.shape[-1] + 1
    assert torch.allclose(own[..., :-1], plain, atol=1e-5)


def test_texts_come_back_and_control_tokens_are_whole(gguf_file: Path) -> None:
    tokenizer = read_gguf(gguf_file).tokenizer
    assert tokenizer.decode(tokenizer(QUESTION)["input_ids"]) == QUESTION
    assert tokenizer.tokenize("<|im_start|>lung 12") == ["<|im_start|>", "lung", "Ġ", "1", "2"]


@pytest.mark.parametrize("system", [True, False])
def test_the_template_is_the_file_s_with_a_place_for_an_image(
    gguf_file: Path, system: bool
) -> None:
    read = read_gguf(gguf_file)
    assert read.chat_template == TEMPLATE
    said = [{"role": "system", "content": "Be brief."}] if system else []
    said.append({"role": "user", "content": QUESTION})
    shown = [
        read.tokenizer.apply_chat_template(
            said, chat_template=template, add_generation_prompt=True, tokenize=False
        )
        for template in (TEMPLATE, CHAT_TEMPLATE)
    ]
    assert shown[0] == shown[1]


def test_a_damaged_file_is_refused_in_one_line(gguf_file: Path, tmp_path: Path) -> None:
    whole = gguf_file.read_bytes()
    for name, content in {"cut": whole[: len(whole) // 2], "other": b"no weights"}.items():
        damaged = tmp_path / f"{name}.gguf"
        damaged.write_bytes(content)
        with pytest.raises(PretrainedRefused, match=f"{name}.gguf: damaged") as refusal:
            read_gguf(damaged)
        assert "\n" not in str(refusal.value)


def test_another_architecture_and_another_tokenizer_are_refused(tmp_path: Path) -> None:
    model = tiny_llama()
    with pytest.raises(PretrainedRefused, match="only llama"):
        read_gguf(write_gguf(tmp_path / "a.gguf", model, architecture="gemma"))
    with pytest.raises(PretrainedRefused, match="only gpt2 smollm"):
        read_gguf(write_gguf(tmp_path / "b.gguf", model, pre="llama-bpe"))
