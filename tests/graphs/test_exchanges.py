"""Every request to the model is visible to who listens: the stream, callbacks, a store."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver

from graphs.context import IMCContext, load_context
from graphs.exchange_store import ExchangesRefused, ExchangeStore
from graphs.imc import build_imc_graph
from graphs.sms import build_sms_graph
from imc_agents.chat.recording import RequestRecorder
from imc_agents.chat.run_requests import run_requests
from imc_agents.exchanges import Exchange, ScoredText
from imc_agents.requests import MultipleChoice, Request, RequestSteps
from tests.fakes import AskedChat, FakeCalibrator, always, grey_square, small_chat
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, thread

IMAGE = Path(__file__).parents[2] / "examples" / "phantom_ct.png"


def exchanges(graph: Any, asked: dict[str, Any], context: IMCContext, **how: Any) -> list[Exchange]:
    return list(graph.stream(asked, context=context, stream_mode="custom", **how))


@pytest.fixture(scope="module")
def embedded(embedded_model: Path) -> IMCContext:
    return load_context(embedded_model)


def test_the_custom_stream_shows_each_request_of_each_agent() -> None:
    shown = exchanges(build_sms_graph(), {"question": TYPO}, context_of())
    assert {one.node for one in shown} >= {"coordinator", "verifier"}
    scored = next(one for one in shown if one.request == "loglikelihood")
    assert TYPO in [text.text for text in scored.texts]
    assert all(text.logprob < 0 for text in scored.texts)


def test_the_answer_is_an_exchange_with_the_raw_generation() -> None:
    context = context_of(small_chat(script=always(" Yes ")))
    image = context.images.put(grey_square())
    shown = exchanges(build_imc_graph(), {"image": image, "question": CLEAN}, context)
    answer = shown[-1]
    assert (answer.node, answer.request, answer.reply) == ("answer", "generate", " Yes ")
    assert answer.image == image.removeprefix("sha256:")


def test_an_exchange_of_the_embedded_model_shows_prompt_tokens_and_reuse(
    embedded: IMCContext,
) -> None:
    shown = exchanges(
        build_imc_graph(), {"image": str(IMAGE), "question": "What modaliy is this?"}, embedded
    )
    scored = next(one for one in shown if one.request == "loglikelihood")
    assert scored.prompt is not None and scored.prompt != scored.messages[-1].text
    text = scored.texts[0]
    assert text.tokens is not None
    assert text.logprob == pytest.approx(sum(text.tokens.logprobs))
    assert scored.passes == 1
    assert scored.prompt_tokens and scored.reused_tokens
    # every text but one finds the prompt computed, but for its last token
    assert scored.reused_tokens >= (scored.prompt_tokens - 1) * (len(scored.texts) - 1)
    answer = shown[-1]
    assert answer.prompt is not None and "What modality is this?" in answer.prompt
    assert answer.reply_tokens == len(answer.reply_logprobs) > 0


def test_options_come_with_their_probabilities(embedded: IMCContext) -> None:
    shown: list[Exchange] = []
    request = MultipleChoice((HumanMessage("Is it raining?"),), ("yes", "no"))
    replied = run_requests(
        embedded.chat, one_request(request), observer=RequestRecorder("judge", [shown.append])
    )
    (choice,) = shown
    assert [one.option for one in choice.options] == ["yes", "no"]
    assert tuple(one.probability for one in choice.options) == replied.probabilities
    assert choice.prompt is not None and "Is it raining?" in choice.prompt


def one_request(request: Request) -> RequestSteps[Any]:
    return (yield request)


def test_listening_changes_no_answer(embedded: IMCContext) -> None:
    asked: Any = {"question": "What modaliy is this?"}
    graph = build_sms_graph()
    alone = graph.invoke(asked, context=embedded)
    parts = list(graph.stream(asked, context=embedded, stream_mode=["custom", "values"]))
    values = [part for mode, part in parts if mode == "values"]
    assert alone["decision"] == values[-1]["decision"]


class Spy(BaseCallbackHandler):
    """A tracer: what model runs it saw."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.ended: list[Any] = []
        self.failed: list[str] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **rest: Any) -> None:
        self.started.append(str(rest.get("name")))

    def on_llm_end(self, response: Any, **rest: Any) -> None:
        self.ended.append(response)

    def on_llm_error(self, error: BaseException, **rest: Any) -> None:
        self.failed.append(type(error).__name__)


def test_a_tracer_sees_scoring_passes_too() -> None:
    spy = Spy()
    build_sms_graph().invoke({"question": TYPO}, {"callbacks": [spy]}, context=context_of())
    assert {"loglikelihood", "multiple_choice"} <= set(spy.started)
    assert len(spy.started) == len(spy.ended)
    scored = next(one for one in spy.ended if one.llm_output)
    assert "logprob" in scored.generations[0][0].generation_info
    assert scored.llm_output["exchange"]["request"] == "loglikelihood"


def test_a_failed_pass_is_a_failed_run_and_a_failed_exchange() -> None:
    spy, context = Spy(), context_of(small_chat(agreement=RuntimeError("patient Doe")))
    shown = exchanges(
        build_sms_graph(), {"question": TYPO}, context, config={"callbacks": [spy]}
    )
    assert spy.failed and set(spy.failed) == {"RuntimeError"}
    failed = next(one for one in shown if one.failure)
    assert failed.failure == "RuntimeError" and "Doe" not in failed.model_dump_json()


def test_scored_texts_are_no_messages_of_the_run() -> None:
    parts = build_sms_graph().stream(
        {"question": TYPO}, context=context_of(), stream_mode="messages"
    )
    assert {message.text for message, _ in parts} <= {"yes"}  # what the model generated


async def test_an_asynchronous_run_shows_them_as_well() -> None:
    spy = Spy()
    stream = build_sms_graph().astream(
        {"question": TYPO}, {"callbacks": [spy]}, context=context_of(), stream_mode="custom"
    )
    assert [one.request async for one in stream]
    assert "loglikelihood" in spy.started


def test_where_nobody_listens_no_exchange_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("an exchange was made")

    monkeypatch.setattr("imc_agents.chat.recording.Exchange", refuse)
    graph = build_sms_graph()
    graph.invoke({"question": TYPO}, context=context_of())
    list(graph.stream({"question": TYPO}, context=context_of(), stream_mode="updates"))
    with pytest.raises(AssertionError):
        exchanges(graph, {"question": TYPO}, context_of())


def test_a_model_that_can_only_be_asked_shows_its_replies() -> None:
    context = context_of(AskedChat(script=always('{"clean": true}')), profile="instruct")
    shown = exchanges(build_sms_graph(), {"question": TYPO}, context)
    assert shown and all(one.request == "generate" for one in shown)
    assert shown[0].reply == '{"clean": true}' and shown[0].prompt is None


# kept beside the checkpoint


def kept(context: IMCContext, store: ExchangeStore) -> IMCContext:
    return replace(context, exchanges=store)


def test_exchanges_are_kept_by_thread_checkpoint_and_node(tmp_path: Path) -> None:
    store = ExchangeStore(tmp_path / "kept.sqlite")
    graph = build_imc_graph(checkpointer=InMemorySaver())
    context = kept(context_of(calibrator=FakeCalibrator("gaussian")), store)
    asked: Any = {"image": context.images.put(grey_square()), "question": TYPO}
    graph.invoke(asked, thread("a"), context=context)
    graph.invoke(asked, thread("b"), context=context)
    of_a = store.of("a")
    assert [one.exchange.node for one in of_a] == [one.exchange.node for one in store.of("b")]
    before = {
        snapshot.config["configurable"]["checkpoint_id"]: snapshot.next
        for snapshot in graph.get_state_history(thread("a"))
    }
    assert all(one.exchange.node in before[one.checkpoint_id] for one in of_a)
    judged = store.of("a", node="verifier")
    assert judged and store.of("a", judged[0].checkpoint_id) == judged
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_deleting_a_thread_deletes_its_exchanges_and_no_others(tmp_path: Path) -> None:
    store = ExchangeStore(tmp_path / "kept.sqlite")
    graph = build_sms_graph(checkpointer=InMemorySaver())
    for name in ("a", "b"):
        graph.invoke({"question": TYPO}, thread(name), context=kept(context_of(), store))
    assert store.delete("a") > 0
    assert store.of("a") == [] and store.of("b")
    store.close()
    assert ExchangeStore(store.path).of("b")


def test_a_store_that_cannot_be_opened_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "other.sqlite").write_bytes(b"no database, but long enough to be looked at" * 9)
    for path in (tmp_path / "other.sqlite", tmp_path / "none" / "kept.sqlite", tmp_path):
        with pytest.raises(ExchangesRefused, match="cannot be opened"):
            ExchangeStore(path)


def test_an_infinite_log_probability_survives_the_store() -> None:
    scored = ScoredText(text="x", logprob=float("-inf"))
    assert ScoredText.model_validate_json(scored.model_dump_json()) == scored
