"""A placed diagram: boxes, frames of subgraphs and routes of edges, in one set of units."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphs.drawing.diagram import DiagramEdge, DiagramNode

Point = tuple[float, float]

LABEL_ROOM = 9.0
"""Half the length of the gap that a line has for its label, pixels."""


@dataclass(frozen=True)
class Metrics:
    """How large texts and gaps are; the defaults are pixels of an SVG."""

    character: float = 7.4
    """Width of a character of a node's name."""
    small: float = 6.1
    """Width of a character of its figures, and of an edge's label."""
    padding: float = 9.0
    """Between text and border, left and right."""
    height: float = 30.0
    """Of a box with one line."""
    detail: float = 15.0
    """What a second line adds to it."""
    terminal: float = 22.0
    """Height of start and end."""
    column_gap: float = 12.0
    row_gap: float = 34.0
    frame: float = 12.0
    """Between a subgraph's frame and what is in it, left and right."""
    passing: float = 4.0
    """Width kept free for an edge that passes a row."""
    spread: float = 13.0
    """Between the ends of edges at one side of a box, at most."""


@dataclass(frozen=True)
class Box:
    """A node, or the frame of a subgraph."""

    node: DiagramNode
    left: float
    top: float
    width: float
    height: float
    detail: str = ""

    @property
    def centre(self) -> Point:
        """x, y."""
        return self.left + self.width / 2, self.top + self.height / 2


@dataclass(frozen=True)
class Route:
    """The way of an edge, from the lower side of one box to the upper side of another."""

    edge: DiagramEdge
    points: tuple[Point, ...]
    """From the upper to the lower end."""
    upward: bool = False
    """It leads from the last point to the first."""
    label_at: Point = (0.0, 0.0)
    to_frame: bool = False
    """It ends at the lower side of its subgraph's frame; an edge of the parent goes on there."""

    @property
    def curves(self) -> list[tuple[Point, Point, Point, Point]]:
        """Cubic Bézier curves through the points, vertical at each: start, two controls, end."""
        if self.edge.source == self.edge.target:  # beside the right side of its box
            (x0, y0), (x1, _), (x2, y2) = self.points
            return [((x0, y0), (x1 + 6, y0 - 8), (x1 + 6, y2 + 8), (x2, y2))]
        points = self.points
        if self.label_at in self._passed:  # the line is left out behind its label
            x, y = self.label_at
            above, below = (x, y - LABEL_ROOM), (x, y + LABEL_ROOM)
            return [
                *_through((points[0], points[1], above)),
                *_through((below, *points[2:])),
            ]
        return _through(points)

    @property
    def points_down(self) -> bool:
        """There is an arrow's head at the last point; none where a line leaves a subgraph."""
        return not self.to_frame and (not self.upward or self.edge.both_ways)

    @property
    def points_up(self) -> bool:
        """There is an arrow's head at the first point."""
        circle = self.edge.source == self.edge.target
        return not circle and (self.upward or self.edge.both_ways)

    @property
    def label_beside(self) -> bool:
        """The label lies beside the line, not in a gap of it."""
        return self.label_at not in self._passed

    @property
    def _passed(self) -> set[Point]:
        """Where a label is in the line: the middle of the first row that a labelled edge passes."""
        if len(self.points) < 4 or not self.edge.label:
            return set()
        (x, above), (_, below) = self.points[1:3]
        return {(x, (above + below) / 2)}


def _through(points: tuple[Point, ...]) -> list[tuple[Point, Point, Point, Point]]:
    found = []
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        middle = (y0 + y1) / 2
        found.append(((x0, y0), (x0, middle), (x1, middle), (x1, y1)))
    return found


@dataclass(frozen=True)
class Layout:
    """Everything placed; the upper left corner is (0, 0)."""

    width: float
    height: float
    boxes: tuple[Box, ...] = ()
    frames: tuple[Box, ...] = ()
    """Of subgraphs, outer ones first."""
    routes: tuple[Route, ...] = ()
    entry: float = 0.0
    """Of a subgraph: x at which edges from outside cross its upper side."""
    exit: float = 0.0
    """Of a subgraph: x at which edges to the outside cross its lower side."""

    def moved(self, dx: float, dy: float) -> Layout:
        """The same, moved to the right and down."""

        def box(one: Box) -> Box:
            return replace(one, left=one.left + dx, top=one.top + dy)

        def route(one: Route) -> Route:
            points = tuple((x + dx, y + dy) for x, y in one.points)
            at = one.label_at[0] + dx, one.label_at[1] + dy
            return replace(one, points=points, label_at=at)

        return replace(
            self,
            boxes=tuple(map(box, self.boxes)),
            frames=tuple(map(box, self.frames)),
            routes=tuple(map(route, self.routes)),
        )
