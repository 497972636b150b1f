"""A diagram in plain characters, for terminals and logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphs.drawing.diagram import Diagram, DiagramNode
from graphs.drawing.geometry import Box, Metrics, Route
from graphs.drawing.layout import lay_out
from graphs.drawing.node_totals import NodeTotals

CHARACTERS = Metrics(
    character=1.0, small=1.0, padding=2.0, height=3.0, detail=1.0, terminal=3.0, column_gap=2.0,
    row_gap=3.0, frame=1.0, passing=1.0, spread=3.0,
)  # fmt: skip
"""Sizes in characters and lines."""

Cell = tuple[int, int]

STATES = {"visited": "", "failed": "FAILED ", "running": "RUNNING ", "next": "NEXT "}


def draw_ascii(diagram: Diagram, runs: Mapping[str, NodeTotals] | None = None) -> str:
    """The drawing: `:` is an edge under a condition, `v` and `^` say where it leads.

    Nodes of subgraphs are called `subgraph:node`, without a frame. Nodes that a run did not visit
    are in brackets.
    """
    flat = replace(
        diagram,
        nodes=tuple(_flat(node, runs) for node in diagram.nodes),
    )
    details = None
    if runs is not None:
        details = {name: f"{STATES[run.state]}{_plain(run.detail)}" for name, run in runs.items()}
    layout = lay_out(flat, details, CHARACTERS)
    tracks = _tracks(layout.routes)
    room = max(tracks.values(), default=0) + 3
    layout = lay_out(flat, details, replace(CHARACTERS, row_gap=float(room)))
    canvas = _Canvas(round(layout.width) + 2, round(layout.height) + 1)
    for number, route in enumerate(layout.routes):
        canvas.route(route, number, tracks)
    for box in layout.boxes:
        canvas.box(box)
    for route in layout.routes:
        canvas.heads(route)
    return canvas.text


def _ways(route: Route) -> list[Cell]:
    """The corners of a route in whole characters; two columns beside each other become one."""
    points = [(round(x), round(y)) for x, y in route.points]
    for place in range(1, len(points)):
        x, y = points[place]
        if abs(x - points[place - 1][0]) <= 1:
            points[place] = (points[place - 1][0], y)
    return points


def _tracks(routes: Sequence[Route]) -> dict[tuple[int, int], int]:
    """The line, counted from the upper box, in which each part of a route runs sideways.

    By (number of the route, number of the part): parts that would lie over one another in a gap
    between two rows have different lines, and one that comes down in a column where another goes
    on down lies above it.
    """
    gaps: dict[int, list[tuple[tuple[int, int], int, int]]] = {}
    for number, route in enumerate(routes):
        if route.edge.source == route.edge.target:
            continue
        corners = _ways(route)
        for part, ((x0, y0), (x1, _)) in enumerate(zip(corners, corners[1:], strict=False)):
            if x0 != x1:
                gaps.setdefault(y0, []).append(((number, part), x0, x1))
    tracks: dict[tuple[int, int], int] = {}
    for waiting in gaps.values():
        used: list[tuple[int, int, int]] = []
        lowest = dict.fromkeys((key for key, _, _ in waiting), 0)
        while waiting:
            leaving = [(x0, key) for key, x0, _ in waiting]
            free = [w for w in waiting if not any(x == w[2] and k != w[0] for x, k in leaving)]
            key, x0, x1 = (free or waiting)[0]
            waiting.remove((key, x0, x1))
            left, right = min(x0, x1), max(x0, x1)
            over = {line for a, b, line in used if a <= right and left <= b}
            lines = range(lowest[key], lowest[key] + len(used) + 1)
            tracks[key] = next(line for line in lines if line not in over)
            used.append((left, right, tracks[key]))
            for other, _, end in waiting:
                if end == x0:
                    lowest[other] = max(lowest[other], tracks[key] + 1)
    return tracks


def _flat(node: DiagramNode, runs: Mapping[str, NodeTotals] | None) -> DiagramNode:
    label = node.id if node.kind == "node" or node.group else node.label
    unvisited = runs is not None and node.kind == "node" and node.id not in runs
    return replace(node, label=f"[{label}]" if unvisited else label, group="")


def _plain(detail: str) -> str:
    return detail.replace("×", "x").replace(" · ", ", ")


class _Canvas:
    def __init__(self, width: int, height: int) -> None:
        self.lines = [[" "] * width for _ in range(height)]

    @property
    def text(self) -> str:
        return "".join("".join(line).rstrip() + "\n" for line in self.lines)

    def put(self, x: int, y: int, character: str) -> None:
        if 0 <= y < len(self.lines) and 0 <= x < len(self.lines[y]):
            self.lines[y][x] = character

    def route(self, route: Route, number: int, tracks: Mapping[tuple[int, int], int]) -> None:
        if route.edge.source == route.edge.target:
            return
        down = ":" if route.edge.conditional else "|"
        corners = _ways(route)
        for part, ((x0, y0), (x1, y1)) in enumerate(zip(corners, corners[1:], strict=False)):
            turn = y0 + 1 + tracks.get((number, part), 0)
            for y in range(y0, y1 + 1):
                self.put(x0 if y <= turn else x1, y, down)
            if x0 != x1:
                for x in range(min(x0, x1), max(x0, x1) + 1):
                    self.put(x, turn, "+" if x in (x0, x1) else "-")
        if route.edge.label:
            x, y = round(route.label_at[0]), round(route.label_at[1])
            for place, character in enumerate(route.edge.label):
                self.put(x + place - len(route.edge.label) // 2, y, character)

    def box(self, box: Box) -> None:
        left, top = round(box.left), round(box.top)
        right, bottom = left + round(box.width) - 1, top + round(box.height) - 1
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                edge = y in (top, bottom)
                side = x in (left, right)
                self.put(x, y, "+" if edge and side else "-" if edge else "|" if side else " ")
        for line, text in enumerate([box.node.label, *([box.detail] if box.detail else [])]):
            begin = left + (right - left + 1 - len(text)) // 2
            for place, character in enumerate(text):
                self.put(begin + place, top + 1 + line, character)

    def heads(self, route: Route) -> None:
        if route.edge.source == route.edge.target:
            (x, y), label = route.points[1], f"<- itself {route.edge.label}".rstrip()
            for place, character in enumerate(label):
                self.put(round(x) - 16 + place, round(y), character)
            return
        corners = _ways(route)
        if route.points_down:
            self.put(corners[-1][0], corners[-1][1] - 1, "v")
        if route.points_up:
            self.put(*corners[0], "^")
