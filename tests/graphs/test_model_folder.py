"""What a user's model folder may bring: prompts and a vocabulary of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from langchain_core.messages import ChatMessage, HumanMessage

import prompts
from graphs.context import is_reference, load_context, own_profile
from graphs.debugging.replaying import ask_again
from graphs.question_thresholds import with_measured_judgements
from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.recording import RequestRecorder
from imc_agents.chat.run_requests import run_requests
from imc_agents.errors import QuestionRefused
from imc_agents.exchanges import Exchange
from imc_agents.requests import Loglikelihood, untemplated
from imc_agents.self_assessment import SelfAssessment
from prompts import PromptRefused, load_prompts
from tests.fakes import AskedChat
from tests.imc_agents.test_judgements import CLEAN, agreeing
from tests.tiny_models import build_tiny

INSTRUCT_FILES = Path(prompts.__file__).parent / "instruct"
SHOTS = "Is there a mass?\nWhich organ is shown?\n"


def with_prefix(folder: Path) -> Path:
    """A profile of one's own: the shipped one, its coordinator with a prefix."""
    shutil.copytree(INSTRUCT_FILES, folder)
    file = folder / "coordinator.yaml"
    file.write_text(f"prefix: {json.dumps(SHOTS)}\n" + file.read_text("utf-8"), "utf-8")
    return folder


@pytest.fixture
def own_folder(tiny_llava: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_llava, tmp_path / "own")


def test_a_vocabulary_does_not_make_it_the_embedded_model(own_folder: Path) -> None:
    (own_folder / "vocabulary.tsv").write_text("sequense\t40\n", "utf-8")
    assert not is_reference(own_folder)
    context = load_context(own_folder)
    assert context.prompts.profile == "instruct"
    assert context.model_name == "own"
    assert "sequense" in context.lexicon


def test_the_embedded_model_says_so_itself(embedded_model: Path) -> None:
    assert is_reference(embedded_model)
    assert own_profile(embedded_model) == "reference"


def test_a_folder_s_own_prompts_are_used(own_folder: Path) -> None:
    with_prefix(own_folder / "prompts")
    context = load_context(own_folder)
    assert context.prompts.coordinator.prefix == SHOTS
    assert load_context(own_folder, profile="instruct").prompts.coordinator.prefix is None


@pytest.mark.parametrize("named", ["instruct", "unknown", 7])
def test_what_a_config_names_is_a_profile_of_ours_or_nothing(
    own_folder: Path, named: object
) -> None:
    file = own_folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "imc_profile": named}))
    assert own_profile(own_folder) == "instruct"


def test_under_a_prefix_texts_are_scored_as_what_follows_it(tmp_path: Path) -> None:
    tiny = build_tiny("llava")
    chat = ChatLocalMLLM.from_parts(tiny.model, tiny.processor)
    prompt = load_prompts(with_prefix(tmp_path / "own")).coordinator
    text = "Is the liver normal?"
    steps = SelfAssessment(chat).log_likelihoods(prompt, [text, "Is it?"])
    score = run_requests(chat, steps)[0]
    tokenizer = tiny.processor.tokenizer
    before = tokenizer(SHOTS)["input_ids"]
    own = tokenizer(text, add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = tiny.model(input_ids=torch.tensor([[*before, *own]])).logits[0]
    plain = logits.log_softmax(-1)[range(len(before) - 1, len(before) + len(own) - 1), own]
    assert score.logprob == pytest.approx(float(plain.sum()), abs=1e-3)


def test_an_untemplated_prompt_stands_alone() -> None:
    tiny = build_tiny("llava")
    chat = ChatLocalMLLM.from_parts(tiny.model, tiny.processor)
    shown = chat.rendered_prompt(untemplated(SHOTS + "<image>"))
    assert shown.text == SHOTS + "< image>"
    with pytest.raises(QuestionRefused, match="one message"):
        chat.score([*untemplated(SHOTS), HumanMessage("and?")], "Is it?")


def test_an_exchange_under_a_prefix_can_be_asked_again(own_folder: Path) -> None:
    context = load_context(own_folder, method="sms")
    found: list[Exchange] = []
    request = Loglikelihood(untemplated(SHOTS), ("Is it?",))
    score = context.chat.score_batch  # type: ignore[attr-defined]
    RequestRecorder("coordinator", [found.append]).record(
        context.chat, request, lambda: score([(request.messages, "Is it?")])
    )
    assert [message.role for message in found[0].messages] == ["untemplated"]
    again = ask_again(found[0], context, {})
    assert again.prompt == found[0].prompt == SHOTS
    assert again.texts[0].logprob == pytest.approx(found[0].texts[0].logprob, abs=1e-4)


def test_a_prefix_is_the_coordinator_s_alone(tmp_path: Path) -> None:
    folder = with_prefix(tmp_path / "own")
    file = folder / "verifier.yaml"
    file.write_text("prefix: Is it?\n" + file.read_text("utf-8"), "utf-8")
    with pytest.raises(PromptRefused, match="verifier.yaml.*prefix"):
        load_prompts(folder)


def test_agents_that_can_only_be_asked_are_measured_in_a_context(own_folder: Path) -> None:
    context = load_context(own_folder).with_agents(AskedChat(script=agreeing))
    judged = with_measured_judgements(context, CLEAN)
    assert not judged.policy.trust_clean and not judged.policy.trust_same
    assert context.policy.trust_clean
    assert isinstance(untemplated("a")[0], ChatMessage)
