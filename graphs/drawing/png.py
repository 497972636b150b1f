"""A diagram as PNG, drawn by Pillow from the same layout as the SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from graphs.drawing.diagram import Diagram
from graphs.drawing.geometry import Box, Point, Route
from graphs.drawing.layout import lay_out
from graphs.drawing.node_totals import NodeTotals

MARGIN = 8.0
STEPS = 96
"""Straight pieces of a curve."""
DASH = 4.0
"""Length of a dash and of the gap after it, pixels of the layout."""
ARROW = 4.0
SMOOTHING = 2
"""Drawn this many times larger and then averaged: Pillow's lines have hard edges."""

Colour = tuple[int, int, int]

STATE_COLOURS: dict[str, tuple[Colour, Colour]] = {
    "visited": ((0, 112, 74), (95, 211, 162)),
    "failed": ((178, 24, 43), (255, 138, 128)),
    "running": ((0, 114, 178), (86, 180, 233)),
    "next": ((154, 91, 0), (255, 183, 77)),
}
"""Of nodes by state of their run, on light and on dark paper."""
PAPER: tuple[Colour, Colour] = ((255, 255, 255), (13, 17, 23))
INK: tuple[Colour, Colour] = ((27, 31, 36), (230, 237, 243))
MARKS = {"visited": "", "failed": "x ", "running": "... ", "next": "> "}
"""The marks of the SVG in characters that Pillow's own font has."""


def draw_png(
    diagram: Diagram,
    runs: Mapping[str, NodeTotals] | None = None,
    *,
    scale: float = 2.0,
    dark: bool = False,
) -> bytes:
    """The PNG of a diagram.

    Args:
        diagram: what is drawn.
        runs: what a run did at each node, by id; None: the graph alone.
        scale: pixels per unit of the layout.
        dark: light lines on dark paper.
    """
    details = None if runs is None else {name: run.detail for name, run in runs.items()}
    layout = lay_out(diagram, details)
    size = (
        round((layout.width + 2 * MARGIN) * scale),
        round((layout.height + 2 * MARGIN) * scale),
    )
    large = (size[0] * SMOOTHING, size[1] * SMOOTHING)
    pen = _Pen(Image.new("RGB", large, PAPER[dark]), scale * SMOOTHING, dark)
    for frame in layout.frames:
        pen.rectangle(frame, 8.0, pen.mixed(INK[dark], 0.03), pen.mixed(INK[dark], 0.45))
        pen.text((frame.left + 10, frame.top + 12), frame.node.label, 11, "lm")
    for route in layout.routes:
        pen.route(route)
    for box in layout.boxes:
        pen.box(box, runs)
    held = io.BytesIO()
    pen.picture.resize(size, Image.Resampling.BOX).save(held, "PNG", optimize=True)
    return held.getvalue()


class _Pen:
    """Draws in units of the layout."""

    def __init__(self, picture: Image.Image, scale: float, dark: bool) -> None:
        self.picture = picture
        self.draw = ImageDraw.Draw(picture)
        self.scale = scale
        self.dark = dark

    def mixed(self, colour: Colour, share: float) -> Colour:
        """A colour over the paper, `share` of it opaque."""
        paper = PAPER[self.dark]
        red, green, blue = (
            round(share * c + (1 - share) * p) for c, p in zip(colour, paper, strict=True)
        )
        return red, green, blue

    def at(self, point: Point) -> Point:
        return (point[0] + MARGIN) * self.scale, (point[1] + MARGIN) * self.scale

    def text(self, point: Point, text: str, size: int, anchor: str, share: float = 1.0) -> None:
        font = ImageFont.load_default(size * self.scale)
        colour = self.mixed(INK[self.dark], share)
        self.draw.text(self.at(point), text, colour, font, anchor=anchor)

    def rectangle(self, box: Box, radius: float, fill: Colour, line: Colour) -> None:
        corners = [
            self.at((box.left, box.top)),
            self.at((box.left + box.width, box.top + box.height)),
        ]
        width = max(1, round(1.2 * self.scale))
        self.draw.rounded_rectangle(corners, radius * self.scale, fill, line, width)

    def box(self, box: Box, runs: Mapping[str, NodeTotals] | None) -> None:
        node = box.node
        run = None if runs is None or node.kind != "node" else runs.get(node.id)
        unvisited = runs is not None and node.kind == "node" and run is None
        colour = INK[self.dark] if run is None else STATE_COLOURS[run.state][self.dark]
        share = 0.55 if unvisited else 1.0
        radius = box.height / 2 if node.kind != "node" else 7.0
        tint = self.mixed(colour, 0.05 if run is None else 0.15)
        self.rectangle(box, radius, tint, self.mixed(colour, share))
        name = node.label if run is None else MARKS[run.state] + node.label
        x, y = box.centre
        size = 13 if node.kind == "node" else 11
        self.text((x, y - (7.5 if box.detail else 0)), name, size, "mm", share)
        if box.detail:
            self.text((x, y + 8.5), box.detail.replace("×", "x"), 11, "mm", 0.8)

    def route(self, route: Route) -> None:
        colour, reached = self.mixed(INK[self.dark], 0.65), 0.0
        width = max(1, round(1.3 * self.scale))
        for curve in route.curves:
            points = [_bezier(curve, i / STEPS) for i in range(STEPS + 1)]
            for one, other in zip(points, points[1:], strict=False):
                if not route.edge.conditional or int(reached / DASH) % 2 == 0:
                    self.draw.line([self.at(one), self.at(other)], colour, width)
                reached += ((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) ** 0.5
        last, first = route.points[-1], route.points[0]
        if route.points_down:
            circle = route.edge.source == route.edge.target
            self.head(last, (1, 0) if circle else (0, -1), colour)
        if route.points_up:
            self.head(first, (0, 1), colour)
        if route.edge.label:
            x, y = route.label_at
            beside = route.label_beside
            place = (x + 6, y) if beside else (x, y)
            self.text(place, route.edge.label, 11, "lm" if beside else "mm", 0.8)

    def head(self, tip: Point, back: tuple[int, int], colour: Colour) -> None:
        """An arrow's head; `back`: the direction from its tip to its base."""
        (x, y), (dx, dy) = tip, back
        base = x + 2 * ARROW * dx, y + 2 * ARROW * dy
        corners = [
            tip,
            (base[0] + ARROW * dy, base[1] + ARROW * dx),
            (base[0] - ARROW * dy, base[1] - ARROW * dx),
        ]
        self.draw.polygon([self.at(corner) for corner in corners], colour)


def _bezier(curve: tuple[Point, Point, Point, Point], t: float) -> Point:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x = sum(weight * point[0] for weight, point in zip(weights, curve, strict=True))
    y = sum(weight * point[1] for weight, point in zip(weights, curve, strict=True))
    return x, y
