"""Checkpoints: which types they bring back, and what is made of those of another version."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

import graphs
from graphs.channels import STATE_VERSION
from graphs.checkpoints.serializing import STATE_TYPES
from graphs.errors import StateRefused
from graphs.imc import build_imc_graph
from imc_agents.policy import Policy
from imc_agents.state import Plain
from tests.fakes import FakeCalibrator
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, image, thread  # noqa: F401


def stopped(saver: InMemorySaver, image: str, stop: list[str]) -> Any:  # noqa: F811
    graph = build_imc_graph(checkpointer=saver)
    context = context_of(calibrator=FakeCalibrator("gaussian"))
    asked = {"image": image, "question": TYPO}
    graph.invoke(asked, thread(), context=context, interrupt_before=stop)
    return graph


def test_a_default_checkpointer_brings_back_the_state_without_a_warning(
    image: str,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    graph = stopped(InMemorySaver(), image, ["answer"])
    values = graph.get_state(thread()).values
    assert type(values["decision"]).__name__ == "Decision"
    assert caplog.records == []


def test_a_type_that_is_not_the_states_is_not_brought_back() -> None:
    stored = JsonPlusSerializer().dumps_typed(Policy())
    assert not isinstance(graphs.serializer().loads_typed(stored), Policy)


def test_every_value_of_the_agents_is_among_the_types() -> None:
    values = {one for one in Plain.__subclasses__() if one.__module__ == Plain.__module__}
    assert len(values) > 5
    assert values <= set(STATE_TYPES)


def test_a_serializer_takes_the_types_of_the_graph_around() -> None:
    class Study(Plain):
        name: str

    Study.__module__, Study.__qualname__ = __name__, "Study"
    globals()["Study"] = Study
    serde = graphs.serializer(Study)
    assert serde.loads_typed(serde.dumps_typed(Study(name="a"))) == Study(name="a")


def rewritten(saver: InMemorySaver, change: Any) -> InMemorySaver:
    """The thread as another version would have left it: `change` edits its latest values."""
    found = saver.get_tuple(thread())
    assert found is not None
    checkpoint = copy.deepcopy(found.checkpoint)
    change(checkpoint["channel_values"], checkpoint["channel_versions"])
    other = InMemorySaver()
    config = {"configurable": {"thread_id": "a", "checkpoint_ns": ""}}
    other.put(config, checkpoint, found.metadata, checkpoint["channel_versions"])  # type: ignore[arg-type]
    return other


def test_a_run_says_its_version(image: str) -> None:  # noqa: F811
    graph = stopped(InMemorySaver(), image, ["answer"])
    assert graph.get_state(thread()).values["state_version"] == STATE_VERSION


@pytest.mark.parametrize("stop", ["detector", "verifier", "review", "answer"])
def test_a_checkpoint_from_before_there_were_versions_is_resumed(
    image: str,  # noqa: F811
    stop: str,
) -> None:
    saver = InMemorySaver()
    stopped(saver, image, [stop])

    def older(values: dict[str, Any], versions: dict[str, Any]) -> None:
        for key in ("state_version", "routing", "image_read", "review"):
            values.pop(key, None)
            versions.pop(key, None)

    old = build_imc_graph(checkpointer=rewritten(saver, older))
    state = old.invoke(None, thread(), context=context_of())
    assert state["decision"].used == CLEAN
    assert state["answer"].text == "yes"


def test_a_checkpoint_of_a_newer_version_is_refused_in_a_sentence(image: str) -> None:  # noqa: F811
    saver = InMemorySaver()
    stopped(saver, image, ["answer"])

    def newer(values: dict[str, Any], versions: dict[str, Any]) -> None:
        values["state_version"] = STATE_VERSION + 1

    graph = build_imc_graph(checkpointer=rewritten(saver, newer))
    for use in (
        lambda: graph.get_state(thread()),
        lambda: graph.invoke(None, thread(), context=context_of()),
    ):
        with pytest.raises(StateRefused, match="new thread") as refused:
            use()
        assert "\n" not in str(refused.value)


def test_a_value_of_an_older_form_is_read_or_refused_in_a_sentence(image: str) -> None:  # noqa: F811
    saver = InMemorySaver()
    stopped(saver, image, ["answer"])

    def as_dict(values: dict[str, Any], versions: dict[str, Any]) -> None:
        values["decision"] = values["decision"].model_dump()

    graph = build_imc_graph(checkpointer=rewritten(saver, as_dict))
    assert graph.get_state(thread()).values["decision"].used == CLEAN

    def unreadable(values: dict[str, Any], versions: dict[str, Any]) -> None:
        values["decision"] = {"text": "patient Doe"}

    graph = build_imc_graph(checkpointer=rewritten(saver, unreadable))
    with pytest.raises(StateRefused, match="new thread") as refused:
        graph.invoke(None, thread(), context=context_of())
    assert "Doe" not in str(refused.value)


def test_a_checkpointer_may_be_named(image: str, tmp_path: Path) -> None:  # noqa: F811
    context = context_of()
    graph = build_imc_graph(checkpointer=str(tmp_path / "t.sqlite"), interrupt_before=["answer"])
    graph.invoke({"image": image, "question": TYPO}, thread(), context=context)
    assert graph.get_state(thread()).next == ("answer",)
    assert graph.invoke(None, thread(), context=context)["answer"].text == "yes"
