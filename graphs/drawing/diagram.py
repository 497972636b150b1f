"""What is drawn of a graph: nodes, the subgraphs they lie in, and edges, as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

NodeKind = Literal["start", "end", "node"]

SEPARATOR = ":"
"""Between the name of a subgraph and that of a node in it, as LangGraph writes them."""

TERMINALS: dict[str, NodeKind] = {"__start__": "start", "__end__": "end"}


class Drawable(Protocol):
    """A compiled graph of LangGraph, or any runnable."""

    def get_graph(self, *, xray: bool | int = False) -> Any:
        """Its nodes and edges, as `langchain_core.runnables.graph.Graph`."""
        ...


@dataclass(frozen=True)
class DiagramNode:
    """One node."""

    id: str
    """Unique; of a node in a subgraph `subgraph:node`."""
    label: str
    """Its name without the subgraph's."""
    kind: NodeKind = "node"
    group: str = ""
    """Id of the subgraph that it lies in; empty for the graph itself."""


@dataclass(frozen=True)
class DiagramEdge:
    """One edge, or the two edges between a pair of nodes."""

    source: str
    target: str
    label: str = ""
    conditional: bool = False
    """Taken under a condition."""
    both_ways: bool = False
    """There is an edge from `target` to `source` too."""


@dataclass(frozen=True)
class Diagram:
    """Nodes in the graph's order, and edges."""

    nodes: tuple[DiagramNode, ...]
    edges: tuple[DiagramEdge, ...]
    title: str = field(default="graph")


def diagram_of(graph: Drawable, *, xray: bool = False) -> Diagram:
    """The diagram of a compiled graph.

    Args:
        graph: a compiled graph.
        xray: draw the nodes of subgraphs too.
    """
    drawn = graph.get_graph(xray=xray)
    nodes = []
    for name in drawn.nodes:
        group, _, label = name.rpartition(SEPARATOR)
        kind = TERMINALS.get(label, "node")
        nodes.append(DiagramNode(name, label if kind == "node" else kind, kind, group))
    pairs: dict[tuple[str, str], DiagramEdge] = {}
    for edge in drawn.edges:
        label = "" if edge.data is None else str(edge.data)
        back = pairs.get((edge.target, edge.source))
        there = pairs.get((edge.source, edge.target))
        if back is not None and edge.source != edge.target:
            pairs[edge.target, edge.source] = _joined(back, label, edge.conditional, both_ways=True)
        elif there is not None:
            pairs[edge.source, edge.target] = _joined(there, label, edge.conditional)
        else:
            pairs[edge.source, edge.target] = DiagramEdge(
                edge.source, edge.target, label, edge.conditional
            )
    title = getattr(graph, "name", None) or "graph"
    return Diagram(tuple(nodes), tuple(pairs.values()), str(title))


def _joined(
    edge: DiagramEdge, label: str, conditional: bool, *, both_ways: bool = False
) -> DiagramEdge:
    labels = dict.fromkeys(one for one in (edge.label, label) if one)
    return DiagramEdge(
        edge.source,
        edge.target,
        " / ".join(labels),
        edge.conditional or conditional,
        edge.both_ways or both_ways,
    )
