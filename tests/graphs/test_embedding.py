"""The graph within others: as a subgraph, as nodes of a builder, as a tool, and by its schemas."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from typing_extensions import TypedDict

from graphs import IMCContext, IMCState, add_imc, add_sms, build_imc_graph, build_sms_graph
from graphs import serializer as state_serializer
from imc_agents.state import Answer
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, image, thread  # noqa: F401


class Study(TypedDict, total=False):
    image: str
    question: str
    answer: Answer | None
    report: str


def report(state: Study) -> Study:
    answer = state.get("answer")
    return {"report": f"{state['question']} {answer.text if answer else ''}"}


def parent() -> Any:
    builder = StateGraph(Study, context_schema=IMCContext)
    builder.add_node("imc", build_imc_graph())
    builder.add_node("report", report)
    builder.add_edge(START, "imc")
    builder.add_edge("imc", "report")
    builder.add_edge("report", END)
    return builder.compile(checkpointer=InMemorySaver(serde=state_serializer()))


def inner(graph: Any) -> Any:
    """The state of the subgraph that waits."""
    return graph.get_state(thread(), subgraphs=True).tasks[0].state


def test_a_parents_breakpoint_stops_in_the_subgraph(image: str) -> None:  # noqa: F811
    graph, context = parent(), context_of()
    study = {"image": image, "question": TYPO}
    graph.invoke(study, thread(), context=context, interrupt_before=["verifier"])
    assert inner(graph).next == ("verifier",)
    graph.invoke(None, thread(), context=context, interrupt_after=["verifier"])
    assert inner(graph).next == ("coordinator",)
    final = graph.invoke(None, thread(), context=context)
    assert final["report"] == f"{TYPO} yes"


async def test_it_does_so_asynchronously(image: str) -> None:  # noqa: F811
    graph, context = parent(), context_of()
    study = {"image": image, "question": TYPO}
    await graph.ainvoke(study, thread(), context=context, interrupt_before=["verifier"])
    assert inner(graph).next == ("verifier",)
    final = await graph.ainvoke(None, thread(), context=context)
    assert final["report"] == f"{TYPO} yes"


def test_a_subgraph_is_edited_through_its_parent(image: str) -> None:  # noqa: F811
    graph, context = parent(), context_of()
    study = {"image": image, "question": TYPO}
    graph.invoke(study, thread(), context=context, interrupt_before=["verifier"])
    graph.update_state(inner(graph).config, {"question": "Is there a lesoin in the lung?"})
    graph.invoke(None, thread(), context=context)
    assert context.chat.heard[-1] == "Is there a lesion in the lung?"  # type: ignore[attr-defined]


def test_a_breakpoint_of_a_node_of_the_parent_is_the_parents(image: str) -> None:  # noqa: F811
    graph, context = parent(), context_of()
    study = {"image": image, "question": TYPO}
    graph.invoke(study, thread(), context=context, interrupt_before=["report"])
    assert graph.get_state(thread()).next == ("report",)


def test_breakpoints_may_be_compiled_in(image: str) -> None:  # noqa: F811
    graph = build_imc_graph(checkpointer=InMemorySaver(), interrupt_before=["verifier"])
    graph.invoke({"image": image, "question": TYPO}, thread(), context=context_of())
    assert graph.get_state(thread()).next == ("verifier",)


class Compared(IMCState, total=False):
    first: str


def compared() -> Any:
    """Two questions, one after the other, in one flat graph."""
    builder = StateGraph(Compared, context_schema=IMCContext)

    def second_question(state: Compared) -> dict[str, Any]:
        return {"first": state["answer"].text, "question": "Is there a lesoin in the lung?"}  # type: ignore[union-attr]

    builder.add_node("second_question", second_question)
    add_imc(builder, prefix="first_", then="second_question")
    add_imc(builder, prefix="second_", start="second_question")
    return builder.compile(checkpointer=InMemorySaver(serde=state_serializer()))


def test_all_nodes_can_be_added_twice(image: str) -> None:  # noqa: F811
    context = context_of()
    final = compared().invoke({"image": image, "question": TYPO}, thread(), context=context)
    assert final["first"] == "yes"
    assert final["decision"].used == "Is there a lesion in the lung?"
    assert [one for one in context.chat.heard if one.startswith("Is there a lesion")] == [  # type: ignore[attr-defined]
        CLEAN,
        "Is there a lesion in the lung?",
    ]
    assert {step.node for step in final["trace"]} >= {"second_vision", "second_verifier"}
    assert not any(step.node.startswith("first_") for step in final["trace"])


def test_each_copy_has_its_breakpoints(image: str) -> None:  # noqa: F811
    graph, context = compared(), context_of()
    asked = {"image": image, "question": TYPO}
    graph.invoke(asked, thread(), context=context, interrupt_before=["second_verifier"])
    assert graph.get_state(thread()).next == ("second_verifier",)
    graph.update_state(thread(), {"question": "Is there a lesoin in the heart?"})
    final = graph.invoke(None, thread(), context=context)
    assert final["decision"].used == "Is there a lesion in the heart?"


def test_the_agents_can_be_added_twice() -> None:
    builder = StateGraph(IMCState, context_schema=IMCContext)

    def between(state: IMCState) -> dict[str, Any]:
        return {"question": "Is there a lesoin in the lung?"}

    builder.add_node("between", between)
    add_sms(builder, prefix="a_", then="between")
    add_sms(builder, prefix="b_")
    builder.add_edge(START, "a_coordinator")
    builder.add_edge("between", "b_coordinator")
    final = builder.compile().invoke({"question": TYPO}, context=context_of())
    assert final["decision"].used == "Is there a lesion in the lung?"


@pytest.mark.parametrize("build", [build_imc_graph, build_sms_graph])
def test_input_output_and_context_have_json_schemas(build: Any) -> None:
    graph = build()
    asked = graph.get_input_jsonschema()
    assert asked["properties"]["question"]["type"] == "string"
    assert "question" in asked["required"]
    given = graph.get_output_jsonschema()
    assert given["$defs"]["Decision"]["properties"]["used"]["type"] == "string"
    context = graph.get_context_jsonschema()
    policy = context["$defs"]["Policy"]["properties"]
    assert policy["review"]["enum"] == ["never", "on_change", "always"]


def test_the_graph_is_a_tool(image: str) -> None:  # noqa: F811
    context = context_of()
    graph = build_imc_graph(resolve=lambda _: context)
    tool = graph.as_tool(name="imc", description="Answers a question about an image.")
    assert set(tool.args) == {"image", "question"}
    said = tool.invoke({"image": image, "question": TYPO})
    assert said["answer"].text == "yes"
