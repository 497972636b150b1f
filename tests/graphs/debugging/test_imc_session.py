"""A debug session over the imc graph: its exchanges, and edits that count from there on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.serde.event_hooks import register_serde_event_listener
from PIL import Image

from graphs.checkpoints import open_checkpointer
from graphs.context import IMCContext
from graphs.debugging import DebugRefused, DebugSession
from graphs.debugging.session import in_memory
from graphs.exchange_store import ExchangeStore
from graphs.imc import build_imc_graph
from graphs.sms import build_sms_graph
from tests.fakes import FakeCalibrator, grey_square
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of


def opened(question: str = TYPO, **policy: Any) -> DebugSession[IMCContext]:
    context = context_of(calibrator=FakeCalibrator("gaussian"), **policy)
    session = DebugSession(build_imc_graph(), context=context)
    session.start({"image": context.images.put(grey_square()), "question": question})
    return session


def test_the_whole_graph_is_stepped_to_its_answer() -> None:
    session = opened()
    nodes = []
    while session.stops[-1].next:
        nodes.append({run.node for run in session.step().ran})
    assert nodes[0] == {"vision", "coordinator"}
    assert nodes[-1] == {"answer"}
    assert session.state["decision"].used == CLEAN


def test_each_node_shows_what_it_asked_the_model() -> None:
    session = opened()
    session.run()
    assert {one.request for one in session.exchanges("coordinator")} == {"loglikelihood"}
    (answer,) = session.exchanges("answer")
    assert (answer.reply, answer.messages[-1].text) == ("yes", CLEAN)


def test_an_exchange_is_asked_again_with_another_prompt() -> None:
    session = opened()
    session.run()
    before = dict(session.state)
    (answer,) = session.exchanges("answer")
    again = session.ask_again(answer, prompt="Is the heart normal?")
    assert again.messages[-1].text == "Is the heart normal?"
    assert again.reply == "yes" and again.image == answer.image
    judged = next(one for one in session.exchanges("verifier") if one.options)
    assert session.ask_again(judged).options == judged.options
    scored = session.exchanges("coordinator")[0]
    assert session.ask_again(scored).texts == scored.texts
    assert session.state == before


def test_a_model_that_fails_at_an_exchange_is_named() -> None:
    session = opened()
    session.run()
    judged = next(one for one in session.exchanges("verifier") if one.options)
    session.context.chat.agreement = RuntimeError("patient Doe")  # type: ignore[union-attr]
    assert session.ask_again(judged).failure == "RuntimeError"


def test_an_exchange_is_asked_of_a_model_alone() -> None:
    session = opened()
    session.run()
    alone: DebugSession[Any] = DebugSession(build_imc_graph())
    with pytest.raises(DebugRefused, match="IMCContext"):
        alone.ask_again(session.exchanges()[0])


def test_an_edited_question_is_refined_instead() -> None:
    session = opened(CLEAN)
    session.edit({"question": TYPO})
    assert session.run().after["decision"].used == CLEAN


def test_a_question_edited_after_both_branches_began_is_decided_anew() -> None:
    session = opened(CLEAN)
    session.step()
    session.edit({"question": TYPO})
    assert session.run().after["decision"].used == CLEAN
    assert session.state["answer"].text == "yes"


def test_an_edited_finding_is_a_value_or_json() -> None:
    session = opened()
    session.run(to="corrector")
    finding = session.state["findings"][0]
    session.edit_json("findings", f"[{finding.model_dump_json()}]")
    assert session.state["findings"] == [finding]
    with pytest.raises(DebugRefused, match=r"'findings' is left as it was.*0.*start"):
        session.edit_json("findings", '[{"start": "three"}]')
    assert session.run().after["decision"].used == CLEAN


def test_a_fork_before_the_answer_answers_another_question() -> None:
    session = opened()
    session.run()
    (before,) = [one for one in session.history() if one.next == ("answer",)]
    session.fork(before.number)
    decision = session.state["decision"]
    session.edit({"decision": decision.model_copy(update={"used": "What organ is this?"})})
    session.run()
    assert session.exchanges("answer")[-1].messages[-1].text == "What organ is this?"


def test_a_review_is_an_interrupt_that_a_reply_ends() -> None:
    session = opened(review="always")
    asked = session.run()
    assert asked.reason == "interrupt"
    assert session.run(reply=False).after["decision"].used == TYPO


def test_exchanges_that_were_kept_are_shown_by_a_later_session(tmp_path: Path) -> None:
    store, saver = ExchangeStore(tmp_path / "kept.sqlite"), in_memory()
    context = replace(context_of(), exchanges=store)
    first = DebugSession(build_sms_graph(), context=context, checkpointer=saver)
    first.start({"question": TYPO})
    first.run()
    later = DebugSession(
        build_sms_graph(), context=context, checkpointer=saver, thread_id=first.thread_id
    )
    later.open()
    assert later.exchanges("verifier") == first.exchanges("verifier") != []
    assert [one.node for one in later.exchanges()] == [
        one.node for run in first.runs for one in run.exchanges
    ]


def test_a_session_keeps_its_thread_and_its_image(tmp_path: Path) -> None:
    Image.new("L", (20, 10), 90).save(tmp_path / "slice.png")
    asked = {"image": str(tmp_path / "slice.png"), "question": CLEAN}
    saver = open_checkpointer(tmp_path / "threads.sqlite")
    session = DebugSession(
        build_imc_graph(), context=context_of(), checkpointer=saver, metadata={"by": "a test"}
    )
    session.start(asked)
    session.step()
    session.edit({"question": TYPO})
    (tmp_path / "slice.png").unlink()
    later = DebugSession(
        build_imc_graph(),
        context=context_of(),
        checkpointer=saver,
        thread_id=session.thread_id,
    )
    later.open()
    assert later.run().after["decision"].used == CLEAN
    config = {"configurable": {"thread_id": session.thread_id}}
    assert any(found.metadata.get("by") == "a test" for found in saver.list(config))


def test_the_sessions_memory_knows_every_type_of_the_state() -> None:
    warned: list[Any] = []
    forget = register_serde_event_listener(warned.append)
    try:
        opened().run()
    finally:
        forget()
    assert warned == []
