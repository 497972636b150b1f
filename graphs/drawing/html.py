"""A diagram as one HTML page, complete in itself: the SVG, and what a run did as a table."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from graphs.drawing.diagram import Diagram
from graphs.drawing.node_totals import NodeTotals
from graphs.drawing.svg import draw_svg

PAGE_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: .5rem; }
h1 { font-size: 1.3rem; } .wide { overflow-x: auto; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid #8884; } .number { text-align: right; }
"""


def draw_html(
    diagram: Diagram, runs: Mapping[str, NodeTotals] | None = None, *, title: str | None = None
) -> str:
    """The page of a diagram.

    Args:
        diagram: what is drawn.
        runs: what a run did at each node, by id; None: the graph alone.
        title: heading; None: the graph's name.
    """
    heading = escape(title if title is not None else f"{diagram.title} graph")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{heading}</title><style>{PAGE_STYLE}</style></head>\n<body><h1>{heading}</h1>\n"
        f"{draw_svg(diagram, runs, within_page=True)}{'' if runs is None else _table(runs)}"
        "</body></html>\n"
    )


def _table(runs: Mapping[str, NodeTotals]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{run.state}</td>'
        f'<td class="number">{run.runs}</td>'
        f'<td class="number">{"" if run.ms is None else f"{run.ms:.1f}"}</td>'
        f'<td class="number">{run.calls}</td><td>{escape(run.note)}</td></tr>'
        for name, run in runs.items()
    )
    heads = "".join(
        f'<th scope="col"{" class=number" if number else ""}>{head}</th>'
        for head, number in (
            ("node", False),
            ("state", False),
            ("runs", True),
            ("ms", True),
            ("model passes", True),
            ("note", False),
        )
    )
    return f'<div class="wide"><table><tr>{heads}</tr>{rows}</table></div>\n'
