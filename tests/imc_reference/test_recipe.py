"""The recipe's parts: tokenizer, packing, data without a leak, scoring, a resumable training."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from imc_data.errors import DataRefused
from imc_data.strict_match import is_right
from imc_reference import training
from imc_reference.architecture import build_model, build_processor
from imc_reference.exact_match import exact_matches
from imc_reference.losses import answer_logits
from imc_reference.packing import Encoder, pack
from imc_reference.questions import Pair
from imc_reference.real_data import load_slake, load_vqa_rad
from imc_reference.recipe import bank_references
from imc_reference.text_skills import scramble, text_exercise
from imc_reference.tokenizer import train_tokenizer
from imc_reference.training import TrainConfig, Trainer
from vision.reading.medical_image import read_image

TEXTS = ["Is there a lesion?", "Which organ is shown?", "yes", "no", "right lung", "12 mm"] * 4


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, vocabulary=320)


@pytest.mark.parametrize("text", ["", "é à ü", "肝臓はどこ?", "🫁 12.5 mm", "a\tb\nc"])
def test_any_utf8_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_are_never_merged(tokenizer):
    assert len(tokenizer("12345")["input_ids"]) == 5


def test_packed_questions_have_the_logits_they_have_alone(tokenizer):
    model, encoder = build_model(tokenizer).eval(), Encoder(tokenizer)
    segments = [
        encoder.question("Is there a lesion?", "yes"),
        encoder.question("Which organ is shown?", "right lung"),
    ]
    projected = torch.randn(1, 64, 192)
    with torch.inference_mode():
        together = pack([(True, segments)], encoder)
        packed = answer_logits(model, together, projected, encoder)
        alone = [
            answer_logits(model, pack([(True, [s])], encoder), projected, encoder) for s in segments
        ]
    assert torch.allclose(packed, torch.cat(alone), atol=1e-4)


def test_training_and_generate_agree_on_the_prompt(tokenizer):
    """What training packs is, token for token, what the processor makes of a chat."""
    processor, encoder = build_processor(tokenizer), Encoder(tokenizer)
    question = "Is there a lesion?"
    chat = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
    text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    made = processor(images=Image.new("RGB", (40, 30)), text=text, return_tensors="pt")
    packed = pack([(True, [encoder.question(question, "yes")])], encoder)
    prompt = made["input_ids"][0]
    assert torch.equal(packed.ids[0, : len(prompt)], prompt)


def test_teacher_forced_match_is_what_greedy_decoding_gives(tokenizer):
    model, encoder = build_model(tokenizer, seed=4).eval(), Encoder(tokenizer)
    pixels = torch.zeros(1, 3, 112, 112, dtype=torch.uint8)
    hits = exact_matches(model, encoder, pixels, [[Pair("Is there a lesion?", "no", "t", True)]])
    assert hits == [[False]]  # random weights do not say "no" and stop


def _write_slake(folder, split, names):
    rows = [
        {
            "img_id": n, "img_name": f"xmlab{n}/source.jpg", "question": q, "answer": a,
            "q_lang": lang, "location": "Lung", "modality": "CT", "answer_type": kind,
            "base_type": "vqa", "content_type": "Organ", "triple": ["vhead", "_", "_"], "qid": n,
        }
        for n in names
        for q, a, lang, kind in (
            ("Does the picture contain lung?", "Yes", "en", "CLOSED"),
            ("Which organ is shown?", "Lung", "en", "OPEN"),
            ("图中有肺吗", "是", "zh", "CLOSED"),
        )
    ]  # fmt: skip
    (folder / f"{split}.json").write_text(json.dumps(rows), encoding="utf-8")
    for n in names:
        path = folder / "imgs" / f"xmlab{n}"
        path.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(n).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path / "source.jpg")


def _write_vqa_rad(folder):
    def row(name, question, phrase):
        return {
            "qid": question, "phrase_type": phrase, "image_name": name, "image_organ": "CHEST",
            "question": question, "question_rephrase": "NULL", "answer": 3,
            "answer_type": "OPEN ", "question_type": "COUNT",
        }  # fmt: skip

    rows = [
        row("a.jpg", "How many nodules?", "freeform"),
        row("a.jpg", "how many  NODULES?", "test_para"),
        row("a.jpg", "What is this?", "para"),
    ]
    (folder / "VQA_RAD Dataset Public.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "VQA_RAD Image Folder").mkdir()
    Image.new("RGB", (30, 30)).save(folder / "VQA_RAD Image Folder" / "a.jpg")


@pytest.fixture()
def data(tmp_path):
    root = tmp_path / "data"
    (root / "slake").mkdir(parents=True)
    (root / "vqa-rad").mkdir()
    _write_slake(root / "slake", "train", range(20))
    _write_slake(root / "slake", "validate", range(20, 30))
    _write_vqa_rad(root / "vqa-rad")
    return root


def test_only_english_slake_pairs_are_read(data):
    images = load_slake(data / "slake", "train")
    assert len(images) == 20
    assert [p.answer for p in images[0].pairs] == ["yes", "lung"]


def test_a_training_pair_that_repeats_a_test_pair_is_left_out(data):
    train = load_vqa_rad(data / "vqa-rad", "train")
    assert [p.question for p in train[0].pairs] == ["What is this?"]
    assert [p.answer for p in load_vqa_rad(data / "vqa-rad", "test")[0].pairs] == ["3"]


def test_missing_data_says_what_is_expected(tmp_path):
    with pytest.raises(DataRefused, match="imgs/xmlabN/source.jpg"):
        load_slake(tmp_path, "train")


@pytest.mark.parametrize(
    ("said", "truth", "closed", "right"),
    [
        ("Yes.", "yes", True, True),
        ("yes, it is", "yes", True, True),
        ("normal", "no", True, False),
        ("yes and no", "yes", True, False),
        ("", "no", True, False),
        ("The liver", "liver", False, True),
        ("left lung", "lung", False, False),
        ("ct", "CT", True, True),
    ],
)
def test_strict_scoring(said, truth, closed, right):
    assert is_right(said, truth, closed=closed) is right


def test_scrambled_text_differs_and_is_repeatable():
    a, b = (scramble("Is there a lesion?", np.random.default_rng(5), 3) for _ in range(2))
    assert a == b != "Is there a lesion?"


def test_text_exercises_cover_writing_correcting_and_comparing():
    rng = np.random.default_rng(0)
    prompts = [text_exercise(TEXTS, rng)[0] for _ in range(200)]
    for start in ("write a question", "correct: ", "same question? "):
        assert any(p.startswith(start) for p in prompts)


def test_an_interrupted_training_goes_on_and_exports_a_loadable_folder(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY_S", 0.0)
    out = tmp_path / "model"
    config = TrainConfig(out=out, data=data, tower_steps=1, joint_steps=3, phantoms=80)
    interrupted = Trainer(config)
    steps = iter([interrupted._joint_step])

    def step_then_stop():
        try:
            return next(steps)()
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(interrupted, "_joint_step", step_then_stop)
    with pytest.raises(KeyboardInterrupt):
        list(interrupted.run())

    resumed = Trainer(config)
    assert (resumed.progress.stage, resumed.progress.step) == ("joint", 1)
    for name, value in interrupted.ema.items():
        assert torch.equal(value, resumed.ema[name])
    list(resumed.run())
    assert (resumed.progress.stage, resumed.progress.step) == ("done", 3)
    assert {"model.safetensors", "config.json", "tokenizer.json", "vocabulary.tsv"} <= {
        p.name for p in out.iterdir()
    }
    assert not list(out.rglob("*.bin")) and not list(out.rglob("*.pt"))


def test_the_bank_is_built_from_no_image_that_vqa_rad_tests(data_folder):
    shown = load_vqa_rad(data_folder / "vqa-rad", "test")
    tested = {read_image(image.path).sha256 for image in shown}
    references = bank_references(data_folder, seed=0)
    assert len(references) > 500
    assert not tested & {image.sha256 for image in references}
