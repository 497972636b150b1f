"""A graph as mermaid text: LangGraph's own, and what a run did at each node added to it."""

from __future__ import annotations

from collections.abc import Mapping

from graphs.drawing.diagram import Drawable
from graphs.drawing.node_totals import MARKS, NodeTotals

CLASSES = """
	classDef visited stroke:#00704a,stroke-width:2px
	classDef failed stroke:#b2182b,stroke-width:2px
	classDef running stroke:#0072b2,stroke-width:3px
	classDef next stroke:#9a5b00,stroke-width:3px
"""


def draw_mermaid(
    graph: Drawable, runs: Mapping[str, NodeTotals] | None = None, *, xray: bool = False
) -> str:
    """Mermaid text of a compiled graph.

    Args:
        graph: a compiled graph.
        runs: what a run did at each node, by id; None: the graph alone.
        xray: the nodes of subgraphs too.
    """
    drawn = graph.get_graph(xray=xray)
    text: str = drawn.draw_mermaid()
    if runs is None:
        return text
    lines = []
    for name, run in runs.items():
        if name in drawn.nodes:
            detail = f"<br/>{run.detail}" if run.detail else ""
            label = f"{MARKS[run.state]} {name}{detail}"
            place = name.replace(":", "\\3a")  # as LangGraph writes it
            lines.append(f'\t{place}("{label}"):::{run.state}')
    return text.rstrip("\n") + "\n" + "\n".join(lines) + CLASSES
