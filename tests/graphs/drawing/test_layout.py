"""Rows and places: what follows a circle is under it, and no box lies over another."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.drawing.diagram import Diagram, DiagramEdge, DiagramNode, diagram_of
from graphs.drawing.geometry import Box, Layout
from graphs.drawing.layers import layer_of
from graphs.drawing.layout import lay_out
from tests.graphs.drawing.examples import asking_graph, embedding_graph, waiting_graph


def apart(one: Box, other: Box) -> bool:
    return (
        one.left + one.width <= other.left + 1e-6
        or other.left + other.width <= one.left + 1e-6
        or one.top + one.height <= other.top + 1e-6
        or other.top + other.height <= one.top + 1e-6
    )


def inside(layout: Layout, box: Box) -> bool:
    return (
        box.left >= -1e-6
        and box.top >= -1e-6
        and box.left + box.width <= layout.width + 1e-6
        and box.top + box.height <= layout.height + 1e-6
    )


def test_what_follows_a_circle_is_under_all_of_its_nodes() -> None:
    edges = [("start", "coordinator"), ("coordinator", "detector"), ("detector", "coordinator"),
             ("coordinator", "answer")]  # fmt: skip
    rows = layer_of(["start", "coordinator", "detector", "answer"], edges)
    assert rows == {"start": 0, "coordinator": 1, "detector": 2, "answer": 3}


def test_the_two_edges_of_an_agent_are_drawn_as_one_line() -> None:
    diagram = diagram_of(asking_graph())
    both = {(edge.source, edge.target) for edge in diagram.edges if edge.both_ways}
    assert both == {("coordinator", "detector"), ("coordinator", "verifier")}


def test_a_subgraph_is_one_box_of_its_parent_and_holds_its_nodes() -> None:
    layout = lay_out(diagram_of(embedding_graph(), xray=True))
    (frame,) = layout.frames
    for box in layout.boxes:
        within = (
            frame.left <= box.left
            and box.left + box.width <= frame.left + frame.width
            and frame.top <= box.top
            and box.top + box.height <= frame.top + frame.height
        )
        assert within == box.node.id.startswith("imc:")
        assert within or apart(frame, box)


def test_an_edge_from_a_node_to_itself_is_beside_it() -> None:
    layout = lay_out(diagram_of(waiting_graph()))
    (route,) = [one for one in layout.routes if one.edge.source == one.edge.target]
    (box,) = [one for one in layout.boxes if one.node.id == "poll"]
    assert all(x >= box.left + box.width for x, _ in route.points)
    assert route.label_at[0] + len("again") < layout.width


def test_the_whole_graph_is_readable_on_a_narrow_page() -> None:
    from graphs.imc import build_imc_graph

    assert lay_out(diagram_of(build_imc_graph())).width <= 384


names = st.integers(0, 7)


@given(edges=st.lists(st.tuples(names, names), max_size=16), grouped=st.sets(names))
@settings(max_examples=40, deadline=None)
def test_no_box_lies_over_another(edges: list[tuple[int, int]], grouped: set[int]) -> None:
    def name(number: int) -> str:
        return f"sub:n{number}" if number in grouped else f"n{number}"

    nodes = tuple(
        DiagramNode(name(number), f"n{number}", "node", "sub" if number in grouped else "")
        for number in range(8)
    )
    drawn = tuple(DiagramEdge(name(one), name(other)) for one, other in dict.fromkeys(edges))
    layout = lay_out(Diagram(nodes, drawn))
    assert len(layout.boxes) == 8
    assert all(apart(one, other) for one, other in combinations(layout.boxes, 2))
    assert all(inside(layout, box) for box in layout.boxes + layout.frames)


@pytest.mark.parametrize("count", [1, 40])
def test_a_chain_is_one_column(count: int) -> None:
    nodes = tuple(DiagramNode(f"{i}", f"{i}") for i in range(count))
    edges = tuple(DiagramEdge(f"{i}", f"{i + 1}") for i in range(count - 1))
    centres = {round(box.centre[0], 3) for box in lay_out(Diagram(nodes, edges)).boxes}
    assert len(centres) == 1
