"""The adaptation on a tiny model: on the product's prompt, packed as alone, resumed exactly."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from langchain_core.messages import HumanMessage, SystemMessage

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_reference.architecture import IMAGE_TOKENS
from imc_reference.evaluation import Answerer, EvaluateConfig
from imc_reference.losses import answer_logits, patch_features
from imc_reference.packed_answers import PackedAnswerer
from imc_reference.packing import pack
from imc_reference.pretrained.assembly import assembled
from imc_reference.pretrained.examples import ChatEncoder, Corpus, Row
from imc_reference.pretrained.gguf_llama import read_gguf
from imc_reference.pretrained.lora import add_low_rank, merge_low_rank, trainable
from imc_reference.pretrained.package import PretrainedRefused
from imc_reference.pretrained.training import AdaptConfig, Adapter, torch_device
from imc_reference.prompting import answer_prompt
from imc_reference.questions import Pair
from imc_reference.real_data import RealImage
from tests.imc_agents.chat_helpers import Features, picture

QUESTION = 'Is the "lung" enlarged?'


def images(folder: Path, count: int = 3) -> list[RealImage]:
    made = []
    for number in range(count):
        path = folder / f"{number}.png"
        picture(number).save(path)
        pairs = [Pair(f"Question {n} of this?", str(number), "other", False) for n in range(5)]
        made.append(RealImage(path, "own", pairs))
    return made


def adapter(gguf_file: Path, folder: Path, **settings: object) -> Adapter:
    folder.mkdir(exist_ok=True)
    model, processor = assembled(read_gguf(gguf_file))
    encoder = ChatEncoder(processor, answer_prompt(model.config), IMAGE_TOKENS)
    given = {"out": folder, "data": folder, "epochs": 4.0, "rows": 2, "rank": 2, "phantoms": 1}
    config = AdaptConfig(**{**given, "device": "cpu", **settings})  # type: ignore[arg-type]
    corpus = Corpus(images(folder), config.phantoms, config.seed)
    return Adapter(config, model, encoder, corpus)


def test_it_is_trained_on_the_prompt_that_is_asked(gguf_file: Path) -> None:
    model, processor = assembled(read_gguf(gguf_file))
    prompt = answer_prompt(model.config)
    encoder = ChatEncoder(processor, prompt, IMAGE_TOKENS)
    chat = ChatLocalMLLM.from_parts(model, processor)
    said = prompt.messages(question=QUESTION)
    messages = [SystemMessage(said[0]["content"]), HumanMessage(said[1]["content"])]
    with torch.inference_mode():
        pixels = processor.image_processor([picture()], return_tensors="pt")["pixel_values"]
        output = model.get_image_features(pixel_values=pixels, return_dict=True)
    shown = chat._engine.encode([messages], [Features("a", (90, 120), output)])[0]
    asked = encoder.question(QUESTION, "yes")
    assert shown.ids.tolist() == [*encoder.image_prefix, *asked.prompt]
    assert asked.target[-1] == processor.tokenizer.eos_token_id


def test_a_packed_question_has_the_logits_it_has_alone(gguf_file: Path, tmp_path: Path) -> None:
    own = adapter(gguf_file, tmp_path)
    segments = [own.encoder.question(f"Number {n}?", "yes") for n in range(3)]
    pixels = own.corpus.model_pixels([Row(0, ())], torch.Generator())
    with torch.inference_mode():
        projected = own.model.model.multi_modal_projector(patch_features(own.model, pixels))
        together = answer_logits(
            own.model, pack([(True, segments)], own.encoder), projected, own.encoder
        )
        alone = [
            answer_logits(own.model, pack([(True, [one])], own.encoder), projected, own.encoder)
            for one in segments
        ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_answers_to_packed_questions_are_those_to_each_alone(
    gguf_file: Path, tmp_path: Path
) -> None:
    own = adapter(gguf_file, tmp_path, epochs=15.0, low_rank_rate=1e-2, projector_rate=1e-2)
    list(own.run())  # so that answers end, and differ
    folder = tmp_path / "model"
    merged, processor = assembled(read_gguf(gguf_file))
    merge_low_rank(merged, trainable(own.model), own.config.rank)
    merged.save_pretrained(folder)
    processor.save_pretrained(folder)
    config = EvaluateConfig(model=folder, max_new_tokens=6, batch=8)
    shown = [np.asarray(picture(number).resize((112, 112))) for number in range(3)]
    asked = [(n % 3, f"{'Really? ' * (n % 2)}Number {n}?") for n in range(8)]
    packed = PackedAnswerer(config, own.encoder, questions=2).answers(shown, asked)
    assert packed == Answerer(config).answers(shown, asked)
    assert len(set(packed)) > 1


def test_every_pair_is_asked_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    corpus = Corpus(images(tmp_path), 2, seed=0)
    epochs = [[(r.image, p.question.lower()) for r in corpus.epoch(n) if not r.phantom
               for p in r.pairs] for n in (0, 1, 0)]  # fmt: skip
    assert len(epochs[0]) == corpus.pairs == 15
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != epochs[1]
    assert epochs[0] == epochs[2]


def test_the_loss_falls_and_a_curve_is_kept(gguf_file: Path, tmp_path: Path) -> None:
    own = adapter(gguf_file, tmp_path, epochs=20.0, low_rank_rate=1e-2, projector_rate=1e-2)
    said = list(own.run(lambda model, encoder: {"slake_val": 0.5}))
    assert sum(own.losses[-5:]) < 0.7 * sum(own.losses[:5])
    assert any("slake_val 0.5" in line for line in said)
    assert own.progress.curve[-1]["epoch"] == 20.0


def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = adapter(gguf_file, tmp_path / "whole")
    list(whole.run())
    monkeypatch.setattr("imc_reference.pretrained.training.SAVE_EVERY_S", -1.0)
    monkeypatch.setattr("imc_reference.pretrained.training.SAY_EVERY_S", -1.0)
    stopped = adapter(gguf_file, tmp_path / "stopped")
    list(itertools.islice(stopped.run(), 4))
    going_on = adapter(gguf_file, tmp_path / "stopped")
    assert 0 < going_on.progress.step < going_on.steps
    list(going_on.run())
    for name, value in whole.average.items():
        assert torch.equal(value, going_on.average[name]), name


def test_other_settings_do_not_go_on(gguf_file: Path, tmp_path: Path) -> None:
    list(adapter(gguf_file, tmp_path, epochs=0.1).run())
    with pytest.raises(PretrainedRefused, match="other settings"):
        adapter(gguf_file, tmp_path, epochs=0.2)
    assert adapter(gguf_file, tmp_path, epochs=0.2, resume=False).progress.step == 0


def test_passes_in_bfloat16(gguf_file: Path, tmp_path: Path) -> None:
    own = adapter(gguf_file, tmp_path, epochs=1.0, dtype="bfloat16")
    list(own.run())
    assert all(value.dtype == torch.float32 for value in own.average.values())
    assert all(torch.isfinite(torch.tensor(own.losses)))


def test_merged_changes_are_the_trained_model(gguf_file: Path, tmp_path: Path) -> None:
    own = adapter(gguf_file, tmp_path, epochs=2.0, low_rank_rate=1e-2)
    list(own.run())
    parts = {name: value.detach().clone() for name, value in trainable(own.model).items()}
    merged, _ = assembled(read_gguf(gguf_file))
    plain, _ = assembled(read_gguf(gguf_file))
    merge_low_rank(merged, parts, own.config.rank)
    ids = torch.arange(10, 40)[None]
    own.model.eval()
    with torch.inference_mode():
        expected, found = own.model(input_ids=ids).logits, merged(input_ids=ids).logits
        assert torch.allclose(expected, found, atol=1e-4)
        assert not torch.allclose(plain(input_ids=ids).logits, found, atol=1e-4)


def test_only_the_parts_are_trained(gguf_file: Path) -> None:
    model, _ = assembled(read_gguf(gguf_file))
    add_low_rank(model, 2, seed=0)
    asked = {id(p) for p in model.parameters() if p.requires_grad}
    assert asked == {id(p) for p in trainable(model).values()}


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(PretrainedRefused, match="--device 'warp:9'"):
        torch_device("warp:9")
