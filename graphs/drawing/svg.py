"""A diagram as SVG: light and dark, readable at 400 pixels, without script, font or address."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from graphs.drawing.diagram import Diagram
from graphs.drawing.geometry import Box, Point, Route
from graphs.drawing.layout import lay_out
from graphs.drawing.node_totals import MARKS, NodeTotals

MARGIN = 8.0
ARROW = 4.0
"""Half the width of an arrow's head, pixels."""

STYLE = """
.imc-graph { max-width: 100%; height: auto; font: 13px system-ui, sans-serif;
  --visited: #00704a; --failed: #b2182b; --running: #0072b2; --next: #9a5b00; }
@media (prefers-color-scheme: dark) { .imc-graph { --visited: #5fd3a2; --failed: #ff8a80;
  --running: #56b4e9; --next: #ffb74d; } }
.imc-graph text { fill: currentColor; text-anchor: middle; dominant-baseline: central; }
.imc-graph .box, .imc-graph .frame { fill: currentColor; fill-opacity: .05; stroke: currentColor;
  stroke-width: 1.2; }
.imc-graph .frame { fill-opacity: .03; stroke-opacity: .45; }
.imc-graph .detail, .imc-graph .label { font-size: 11px; opacity: .8; }
.imc-graph .beside { text-anchor: start; }
.imc-graph .edge { fill: none; stroke: currentColor; stroke-opacity: .6; stroke-width: 1.3; }
.imc-graph .conditional { stroke-dasharray: 4 3; }
.imc-graph .head { fill: currentColor; fill-opacity: .75; }
.imc-graph .visited .box { stroke: var(--visited); fill: var(--visited); fill-opacity: .14; }
.imc-graph .failed .box { stroke: var(--failed); fill: var(--failed); fill-opacity: .16; }
.imc-graph .running .box { stroke: var(--running); fill: var(--running); fill-opacity: .16;
  stroke-width: 2; }
.imc-graph .next .box { stroke: var(--next); fill: var(--next); fill-opacity: .16;
  stroke-width: 2; }
.imc-graph .unvisited { opacity: .55; }
.imc-graph [role=button] { cursor: pointer; }
.imc-graph [role=button]:focus-visible { outline: 2px solid var(--running); outline-offset: 2px; }
.imc-graph .chosen .box { stroke-width: 3; }
.imc-graph .dot { fill: transparent; stroke: currentColor; stroke-opacity: .45; }
.imc-graph .dot.set { fill: var(--failed); stroke: var(--failed); }
"""

PAGE_COLOURS = """
.imc-graph { color: #1b1f24; background: #fff; }
@media (prefers-color-scheme: dark) { .imc-graph { color: #e6edf3; background: #0d1117; } }
"""
"""Of an SVG that is a file of its own; within a page it has the colour of the text around it."""

Breakpoints = Mapping[str, frozenset[str]]
"""By node: `before`, `after`, or both."""


def draw_svg(
    diagram: Diagram,
    runs: Mapping[str, NodeTotals] | None = None,
    *,
    within_page: bool = False,
    breakpoints: Breakpoints | None = None,
    chosen: str = "",
) -> str:
    """The SVG of a diagram.

    Args:
        diagram: what is drawn.
        runs: what a run did at each node, by id; None: the graph alone.
        within_page: part of an HTML page, whose text colour it takes; else a file of its own.
        breakpoints: those that are set, by node id; nodes are then buttons (`data-node`), and have
            one dot for a breakpoint before and one after it (`data-break`, `data-when`). None: a
            picture.
        chosen: the node whose button is pressed.
    """
    layout = lay_out(diagram, None if runs is None else _details(runs))
    width, height = layout.width + 2 * MARGIN, layout.height + 2 * MARGIN
    described = describe(diagram, runs)
    pieces = [
        *(_frame(one) for one in layout.frames),
        *(_route(one) for one in layout.routes),
        *(_box(one, runs, breakpoints, chosen) for one in layout.boxes),
    ]
    style = STYLE if within_page else STYLE + PAGE_COLOURS
    role = "img" if breakpoints is None else "group"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="imc-graph" role="{role}" '
        f'viewBox="{-MARGIN:g} {-MARGIN:g} {width:.1f} {height:.1f}" width="{width:.0f}" '
        f'height="{height:.0f}" aria-label="{escape(described)}"><title>{escape(described)}'
        f"</title><style>{style}</style>\n" + "\n".join(pieces) + "\n</svg>\n"
    )


def describe(diagram: Diagram, runs: Mapping[str, NodeTotals] | None) -> str:
    """The picture in one sentence, for those who do not see it."""
    names = [node.id for node in diagram.nodes if node.kind == "node"]
    if runs is None:
        return f"graph {diagram.title}: {', '.join(names)}"
    said = [f"{name} {runs[name].sentence}" for name in names if name in runs]
    return f"run of {diagram.title}: {'; '.join(said) or 'no node has run'}"


def _details(runs: Mapping[str, NodeTotals]) -> dict[str, str]:
    return {name: run.detail for name, run in runs.items()}


def _frame(box: Box) -> str:
    at = f'x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    return (
        f'<rect class="frame" {at} rx="8"/><text class="label beside" x="{box.left + 10:.1f}" '
        f'y="{box.top + 12:.1f}">{escape(box.node.label)}</text>'
    )


def _route(route: Route) -> str:
    curves = route.curves
    path, reached = "", None
    for start, one, two, end in curves:
        path += "" if start == reached else f"M{_at(start)}"
        path += f"C{_at(one)} {_at(two)} {_at(end)}"
        reached = end
    circle = route.edge.source == route.edge.target
    ends = []
    if route.points_down:
        ends.append(_left_head(route.points[-1]) if circle else _head(route.points[-1], -1))
    if route.points_up:
        ends.append(_head(route.points[0], 1))
    kind = "edge conditional" if route.edge.conditional else "edge"
    (x, y), label = route.label_at, ""
    if route.edge.label:
        x, beside = (x + 6, " beside") if route.label_beside else (x, "")
        label = (
            f'<text class="label{beside}" x="{x:.1f}" y="{y:.1f}">{escape(route.edge.label)}</text>'
        )
    between = f"{route.edge.source} → {route.edge.target}"
    return (
        f'<g><title>{escape(between)}</title><path class="{kind}" d="{path}"/>{"".join(ends)}'
        f"{label}</g>"
    )


def _at(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _head(tip: Point, away: int) -> str:
    """An arrow's head; `away`: 1 if the edge comes from below its tip, -1 if from above."""
    x, y = tip
    return (
        f'<path class="head" d="M{_at((x, y))}L{_at((x - ARROW, y + away * 2 * ARROW))} '
        f'{_at((x + ARROW, y + away * 2 * ARROW))}Z"/>'
    )


def _left_head(tip: Point) -> str:
    x, y = tip
    ends = f"{_at((x + 2 * ARROW, y - ARROW))} {_at((x + 2 * ARROW, y + ARROW))}"
    return f'<path class="head" d="M{_at(tip)}L{ends}Z"/>'


def _box(
    box: Box, runs: Mapping[str, NodeTotals] | None, breakpoints: Breakpoints | None, chosen: str
) -> str:
    node, run = box.node, None if runs is None else runs.get(box.node.id)
    x, y = box.centre
    rounded = box.height / 2 if node.kind != "node" else 7.0
    state = run.state if run is not None else "unvisited" if runs is not None else "plain"
    said = node.id if run is None else f"{node.id}: {run.sentence}"
    name = node.label if run is None else f"{MARKS[run.state]} {node.label}"
    names: list[str] = [node.kind, state if node.kind == "node" else "terminal"]
    button = ""
    if node.kind == "node" and breakpoints is not None:
        pressed = str(node.id == chosen).lower()
        button = (
            f' role="button" tabindex="0" aria-pressed="{pressed}" aria-label="{escape(said)}" '
            f'data-node="{escape(node.id)}"'
        )
        names += ["chosen"] if node.id == chosen else []
    lift = 7.5 if box.detail else 0.0
    kind = ' class="detail"' if node.kind != "node" else ""
    shown = (
        f'<rect class="box" x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="{rounded:g}"/>'
        f'<text{kind} x="{x:.1f}" y="{y - lift:.1f}">{escape(name)}</text>'
    )
    if box.detail:
        shown += f'<text class="detail" x="{x:.1f}" y="{y + 8.5:.1f}">{escape(box.detail)}</text>'
    group = (
        f'<g class="{" ".join(names)}"{button}><title>{escape(said)}</title>{shown}</g>'
    )
    return group + (_dots(box, breakpoints) if button and breakpoints is not None else "")


def _dots(box: Box, breakpoints: Breakpoints) -> str:
    """Buttons for the breakpoint before the node (above) and after it (below)."""
    found = []
    for when, y in (("before", box.top), ("after", box.top + box.height)):
        is_set = when in breakpoints.get(box.node.id, ())
        said = f"breakpoint {when} {box.node.id}"
        found.append(
            f'<circle class="dot{" set" if is_set else ""}" role="button" tabindex="0" '
            f'aria-pressed="{str(is_set).lower()}" aria-label="{escape(said)}" '
            f'data-break="{escape(box.node.id)}" data-when="{when}" '
            f'cx="{box.left + 4:.1f}" cy="{y:.1f}" r="5"><title>{escape(said)}</title></circle>'
        )
    return "".join(found)
