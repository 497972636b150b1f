"""Graphs in a notebook: our own SVG. LangGraph's display would post the drawing to a service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from graphs.drawing.diagram import Diagram, Drawable, diagram_of
from graphs.drawing.node_totals import NodeTotals, totals_of_trace
from graphs.drawing.svg import draw_svg


@dataclass(frozen=True)
class GraphPicture:
    """A graph, or a finished run of it, that shows itself in a notebook."""

    diagram: Diagram
    runs: Mapping[str, NodeTotals] | None = None

    def _repr_html_(self) -> str:
        return draw_svg(self.diagram, self.runs, within_page=True)


def show(
    graph: Drawable, state: Mapping[str, Any] | None = None, *, xray: bool = False
) -> GraphPicture:
    """The picture of a compiled graph, for the last line of a notebook's cell.

    Args:
        graph: any compiled graph, also one that is not ours.
        state: what a run of it returned: its `trace` is drawn too.
        xray: draw the nodes of subgraphs too.
    """
    runs = None if state is None else totals_of_trace(state.get("trace") or ())
    return GraphPicture(diagram_of(graph, xray=xray), runs)


class LocalDisplay:
    """For subclasses of compiled graphs: the notebook display is drawn on this machine."""

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        return show(cast("Drawable", self))._repr_html_()
