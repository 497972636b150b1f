"""A debug session over a small graph that knows nothing of imc."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from graphs.debugging import DebugRefused, DebugSession, NodeRun, NodeStarted, tree_lines
from graphs.debugging.session import in_memory
from tests.graphs.debugging.small_graph import Count, asking, builder

NODES = ["first", "left, right", "inner, inner/one, inner/two", "last"]


@pytest.fixture
def session() -> DebugSession[Any]:
    return DebugSession(builder().compile())


def test_a_step_runs_the_nodes_that_wait_and_stops(session: DebugSession[Any]) -> None:
    opened = session.start({"number": 1})
    assert (opened.reason, opened.next) == ("opened", ("first",))
    for nodes in NODES:
        stop = session.step()
        assert ", ".join(sorted(run.node for run in stop.ran)) == nodes
    assert (stop.reason, stop.next) == ("end", ())
    assert stop.after["number"] == 23


def test_a_stop_says_which_keys_changed_and_how(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    stop = session.step()
    assert [(one.key, one.before, one.after) for one in stop.changed] == [
        ("number", 1, 2),
        ("seen", [], ["first"]),
    ]


@pytest.mark.parametrize(
    ("node", "when", "waits"),
    [
        ("right", "before", ("left", "right")),
        ("right", "after", ("inner",)),
        ("inner/two", "before", ("inner/two",)),
        ("last", "after", ()),
    ],
)
def test_a_run_stops_at_a_breakpoint(
    session: DebugSession[Any], node: str, when: Any, waits: tuple[str, ...]
) -> None:
    session.add_breakpoint(node, when)
    session.start({"number": 1})
    stop = session.run()
    assert sorted(stop.next) == sorted(waits)
    assert stop.reason == ("breakpoint" if waits else "end")


def test_a_run_to_a_node_sets_no_breakpoint(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    assert session.run(to="last").next == ("last",)
    assert session.breakpoints == set()
    assert session.run().reason == "end"


def test_a_removed_breakpoint_stops_nothing(session: DebugSession[Any]) -> None:
    session.add_breakpoint("left")
    session.add_breakpoint("left", "after")
    session.remove_breakpoint("left")
    session.start({"number": 1})
    assert session.run().reason == "end"


def test_a_subgraph_is_entered_and_stepped_through(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.run(to="inner")
    entered = session.step(into=True)
    assert entered.next == ("inner/one",)
    assert session.step().next == ("inner/two",)
    left = session.step()
    assert left.next == ("last",)
    assert session.run().after["number"] == 23


def test_the_graphs_own_subgraph_is_left_as_it_was() -> None:
    graph = builder().compile()
    session = DebugSession(graph)
    session.add_breakpoint("inner/two")
    session.start({"number": 1})
    session.run()
    inner: Any = dict(graph.get_subgraphs())["inner"]
    assert inner.interrupt_before_nodes == []
    assert graph.checkpointer is None


# edits


def test_an_edit_replaces_a_value_whatever_its_reducer(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.step()
    edited = session.edit({"number": 5, "seen": ["by hand"]})
    assert edited.next == ("left", "right")
    assert session.run().after == {
        "number": 53,
        "seen": ["by hand", "left", "right", "by hand", "left", "right", "one", "two", "last"],
    }


def test_an_edit_after_two_branches_keeps_both(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.run(to="inner")
    assert session.edit({"number": 0}).next == ("inner",)
    assert session.run().after["number"] == 3


def test_an_edit_inside_a_subgraph_counts_from_there(session: DebugSession[Any]) -> None:
    session.add_breakpoint("inner/two")
    session.start({"number": 1})
    session.run()
    assert session.edit_json("number", "100").next == ("inner/two",)
    assert session.run().after["number"] == 102


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("number", '"many"', "state key 'number' is left as it was: Input should be a valid int"),
        ("seen", "[1]", "state key 'seen' is left as it was: 0: Input should be a valid string"),
        ("number", "{", "the value is no JSON"),
        ("other", "1", "state has no key 'other'; its keys are number, seen"),
    ],
)
def test_an_edit_that_does_not_validate_is_refused_and_nothing_is_lost(
    session: DebugSession[Any], key: str, text: str, sentence: str
) -> None:
    session.start({"number": 1})
    before = session.step().after
    with pytest.raises(DebugRefused, match=sentence):
        session.edit_json(key, text)
    assert session.state == before
    assert session.run().reason == "end"


def test_before_the_first_node_the_input_can_be_edited(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.edit({"number": 3})
    assert session.run().after["number"] == 43


# forks


def test_a_fork_runs_anew_from_any_checkpoint(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.run()
    (after_first,) = [one for one in session.history() if one.next == ("left", "right")]
    assert session.fork(after_first.number).next == ("left", "right")
    session.edit({"number": 4})
    assert session.run().after["number"] == 43
    compared = session.compare(len(session.history()) - 1, 5)
    assert compared.common is not None and compared.common.id == after_first.id
    (difference,) = compared.differing
    assert difference == ("number", 43, 23)


def test_a_checkpoint_is_named_by_number_id_or_an_ids_beginning(
    session: DebugSession[Any],
) -> None:
    session.start({"number": 1})
    session.run()
    chosen = session.history()[2]
    for name in (2, "2", "#2", chosen.id):
        assert session.fork(name).checkpoint_id == chosen.id
    for name in ("99", "nothing", "1f", ""):
        with pytest.raises(DebugRefused, match="checkpoint"):
            session.fork(name)


def test_history_is_a_tree(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.run()
    session.run_again(2)
    lines = [f"{lead}{one.label}" for lead, one in tree_lines(session.history())]
    assert lines == [
        "input",
        "start",
        "after first",
        "├─run again",
        "│ after left, right",
        "│ after inner",
        "│ after last",
        "after left, right",
        "after inner",
        "after last",
    ]


def test_the_last_step_is_run_again(session: DebugSession[Any]) -> None:
    session.start({"number": 1})
    session.run(to="last")
    again = session.repeat_step()
    assert "inner" in {run.node for run in again.ran}
    assert (again.next, again.after["number"]) == (("last",), 22)


def test_a_thread_that_was_kept_is_opened_where_it_stopped() -> None:
    saver: InMemorySaver = in_memory()
    first = DebugSession(builder().compile(), checkpointer=saver, thread_id="study")
    first.start({"number": 1})
    first.step()
    again = DebugSession(builder().compile(), checkpointer=saver, thread_id="study")
    assert again.open().next == ("left", "right")
    assert again.run().after["number"] == 23
    with pytest.raises(DebugRefused, match="thread 'other' is unknown"):
        DebugSession(builder().compile(), checkpointer=saver, thread_id="other").open()


# interrupts and failures


def test_an_interrupt_waits_for_a_reply() -> None:
    session: DebugSession[Any] = DebugSession(asking().compile())
    session.start({"number": 0})
    asked = session.run()
    assert (asked.reason, asked.interrupts) == ("interrupt", ("which number?",))
    with pytest.raises(DebugRefused, match="reply"):
        session.run()
    assert session.run(reply="7").after["number"] == 7


def test_a_node_that_fails_is_a_stop_and_can_be_run_again() -> None:
    failing = {"yes": True}

    def fails(state: Count) -> Count:
        if failing["yes"]:
            raise RuntimeError("about patient Doe")
        return {"number": 8}

    outer = builder()
    outer.nodes.pop("last")
    outer.add_node("last", fails)
    session: DebugSession[Any] = DebugSession(outer.compile())
    session.start({"number": 1})
    stop = session.run()
    assert stop.reason == "failed" and stop.next == ("last",)
    assert stop.error is not None and "RuntimeError at test_session.py" in stop.error
    assert "Doe" not in stop.error
    assert "Doe" not in str(stop.ran[-1].error)
    failing["yes"] = False
    assert session.run().after["number"] == 8


def test_a_run_that_has_ended_or_not_begun_is_not_stepped(session: DebugSession[Any]) -> None:
    with pytest.raises(DebugRefused, match="has not begun"):
        session.step()
    session.start({"number": 1})
    session.run()
    with pytest.raises(DebugRefused, match="has ended"):
        session.run()


@pytest.mark.parametrize("name", ["add_breakpoint", "run"])
def test_an_unknown_node_is_refused_with_the_nodes_there_are(
    session: DebugSession[Any], name: str
) -> None:
    session.start({"number": 1})
    with pytest.raises(DebugRefused, match="no node 'middle'; its nodes are first, left"):
        getattr(session, name)("middle")


def test_a_listener_sees_nodes_begin_and_end_and_may_stop_the_run() -> None:
    seen: list[str] = []

    def listen(event: Any) -> None:
        if isinstance(event, NodeStarted):
            seen.append(f"{event.node} began")
        if isinstance(event, NodeRun):
            seen.append(f"{event.node} ended")
            session.stop()

    session: DebugSession[Any] = DebugSession(builder().compile(), listener=listen)
    session.start({"number": 1})
    assert session.run().reason == "stopped"
    assert seen == ["first began", "first ended"]


def asynchronous() -> DebugSession[Any]:
    async def first(state: Count) -> Count:
        await asyncio.sleep(0)
        return {"number": state["number"] + 1}

    async def fails(state: Count) -> Count:
        raise ValueError("about patient Doe")

    async def goes(state: Count) -> str:
        return "fails" if state["number"] > 5 else END

    outer = StateGraph(Count)
    outer.add_node("first", first)
    outer.add_node("fails", fails)
    outer.add_edge(START, "first")
    outer.add_conditional_edges("first", goes, ["fails", END])
    session: DebugSession[Any] = DebugSession(outer.compile())
    session.start({"number": 1})
    return session


def test_asynchronous_nodes_and_edges_are_stepped_and_edited() -> None:
    session = asynchronous()
    assert session.step().after["number"] == 2
    assert session.edit({"number": 9}).next == ("fails",)
    failed = session.step()
    assert failed.reason == "failed" and failed.error is not None
    assert "ValueError at test_session.py" in failed.error
    assert session.fork(1).next == ("first",)
    assert session.run().reason == "end"


async def test_a_session_may_be_used_where_an_event_loop_runs() -> None:
    assert asynchronous().run().after["number"] == 2


# the page


def test_the_export_escapes_everything_and_loads_nothing(tmp_path: Path) -> None:
    session: DebugSession[Any] = DebugSession(builder().compile(), thread_id="<b>thread</b>")
    session.start({"number": 1, "seen": ["<script>alert(1)</script>", "\x1b[31m"]})
    session.run()
    page = session.export(tmp_path / "session.html")
    assert (tmp_path / "session.html").read_text("utf-8") == page
    assert "<script" not in page and "<b>thread" not in page and "\x1b" not in page
    assert "&lt;script&gt;alert(1)" in page
    loads = page.replace("default-src", "").replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "src=" not in loads and "http://" not in loads
    assert page.count("<svg") == 1 and 'class="node visited"' in page
    for nodes in ("first", "inner", "last"):
        assert f"after {nodes}" in page
    with pytest.raises(DebugRefused, match="cannot be written"):
        session.export(tmp_path / "none" / "session.html")
