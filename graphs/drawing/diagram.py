"""What is drawn of a graph: nodes, the subgraphs they lie in, and edges, as plain values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
    circle: bool = False
    """That edge is always taken: the two are one circle, and what follows is drawn under both."""


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
    edges: dict[tuple[str, str], DiagramEdge] = {}
    for edge in drawn.edges:
        label = "" if edge.data is None else str(edge.data)
        one = DiagramEdge(edge.source, edge.target, label, edge.conditional)
        known = edges.get((edge.source, edge.target))
        edges[edge.source, edge.target] = one if known is None else _joined(known, one)
    steps = steps_from_start([node.id for node in nodes], list(edges))
    pairs: list[DiagramEdge] = []
    for (source, target), edge in edges.items():
        back = edges.get((target, source))
        if back is None or source == target:
            pairs.append(edge)
        elif steps[source] < steps[target] or (steps[source] == steps[target] and source < target):
            both = replace(_joined(edge, back), conditional=edge.conditional)
            pairs.append(replace(both, both_ways=True, circle=not back.conditional))
    title = getattr(graph, "name", None) or "graph"
    return Diagram(tuple(nodes), tuple(pairs), str(title))


def steps_from_start(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The least number of edges to each node from those that none leads to, else the first."""
    reached = {target for source, target in edges if source != target}
    waiting = [node for node in nodes if node not in reached] or list(nodes[:1])
    steps = dict.fromkeys(waiting, 0)
    for node in waiting:
        for source, target in edges:
            if source == node and target not in steps:
                steps[target] = steps[node] + 1
                waiting.append(target)
    return {node: steps.get(node, len(nodes)) for node in nodes}


def _joined(edge: DiagramEdge, other: DiagramEdge) -> DiagramEdge:
    labels = dict.fromkeys(one for one in (edge.label, other.label) if one)
    conditional = edge.conditional or other.conditional
    return replace(edge, label=" / ".join(labels), conditional=conditional)
