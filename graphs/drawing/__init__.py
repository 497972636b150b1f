"""Pictures of a compiled graph and of a finished run, computed on this machine: SVG, PNG, text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from graphs.drawing.ascii import draw_ascii
    from graphs.drawing.diagram import Diagram, DiagramEdge, DiagramNode, diagram_of
    from graphs.drawing.html import draw_html
    from graphs.drawing.mermaid import draw_mermaid
    from graphs.drawing.node_totals import NodeTotals, totals_of_trace
    from graphs.drawing.notebook import GraphPicture, LocalDisplay, show
    from graphs.drawing.png import draw_png
    from graphs.drawing.svg import draw_svg

__all__ = [
    "Diagram",
    "DiagramEdge",
    "DiagramNode",
    "GraphPicture",
    "LocalDisplay",
    "NodeTotals",
    "diagram_of",
    "draw_ascii",
    "draw_html",
    "draw_mermaid",
    "draw_png",
    "draw_svg",
    "totals_of_trace",
    "show",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "graphs.drawing.ascii": ("draw_ascii",),
        "graphs.drawing.diagram": ("Diagram", "DiagramEdge", "DiagramNode", "diagram_of"),
        "graphs.drawing.html": ("draw_html",),
        "graphs.drawing.mermaid": ("draw_mermaid",),
        "graphs.drawing.node_totals": ("NodeTotals", "totals_of_trace"),
        "graphs.drawing.notebook": ("GraphPicture", "LocalDisplay", "show"),
        "graphs.drawing.png": ("draw_png",),
        "graphs.drawing.svg": ("draw_svg",),
    },
)
