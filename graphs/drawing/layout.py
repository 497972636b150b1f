"""The layout of a diagram: each subgraph is laid out by itself and is one box of its parent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from graphs.drawing.columns import place_columns
from graphs.drawing.diagram import SEPARATOR, Diagram, DiagramEdge, DiagramNode
from graphs.drawing.geometry import Box, Layout, Metrics, Point, Route
from graphs.drawing.layers import Edge, Rows, arrange

ENTRY, EXIT = "\0entry", "\0exit"
"""Where edges from and to the outside cross the frame of a subgraph."""


def lay_out(
    diagram: Diagram, details: Mapping[str, str] | None = None, metrics: Metrics | None = None
) -> Layout:
    """Place a diagram.

    Args:
        diagram: what is drawn.
        details: second lines by node id; a mapping, also an empty one, makes room for them.
        metrics: sizes; None: pixels of an SVG.
    """
    return _Level("", diagram, details, metrics or Metrics()).layout()


@dataclass
class _Level:
    """The graph itself, or one subgraph: its nodes, and its own subgraphs as one box each."""

    group: str
    diagram: Diagram
    details: Mapping[str, str] | None
    metrics: Metrics
    nodes: dict[str, DiagramNode] = field(init=False)
    inner: dict[str, Layout] = field(init=False)
    """The layouts of its subgraphs, by id."""
    edges: dict[Edge, DiagramEdge] = field(init=False)
    """Between its nodes and subgraphs, `ENTRY` and `EXIT`."""
    sizes: dict[str, tuple[float, float]] = field(init=False)
    """Width and height of everything in a row."""

    def __post_init__(self) -> None:
        self.nodes = {one.id: one for one in self.diagram.nodes if one.group == self.group}
        items = {one.id: self._item(one) for one in self.diagram.nodes}
        self.inner = {
            item: _Level(item, self.diagram, self.details, self.metrics).layout()
            for item in dict.fromkeys(items.values())
            if item is not None and item not in self.nodes
        }
        self.edges = self._edges(items)
        self.sizes = {name: self._size(node) for name, node in self.nodes.items()}
        self.sizes |= {name: (one.width, one.height) for name, one in self.inner.items()}
        self.sizes |= {ENTRY: (0.0, 0.0), EXIT: (0.0, 0.0)}

    def layout(self) -> Layout:
        """Everything placed."""
        rows = self._rows()
        widths = {name: width for name, (width, _) in self.sizes.items()}
        links = [
            link for chain in rows.chains.values() for link in zip(chain, chain[1:], strict=False)
        ]
        centres = place_columns(rows.rows, links, widths, self.metrics.column_gap)
        heights = [max(self.sizes[name][1] for name in row) for row in rows.rows]
        tops = [sum(heights[:i]) + i * self.metrics.row_gap for i in range(len(heights))]
        row_of = {name: i for i, row in enumerate(rows.rows) for name in row}

        def box(node: DiagramNode) -> Box:
            width, height = self.sizes[node.id]
            row = row_of[node.id]
            top = tops[row] + (heights[row] - height) / 2
            detail = (self.details or {}).get(node.id, "")
            return Box(node, centres[node.id] - width / 2, top, width, height, detail)

        boxes = {name: box(node) for name, node in self.nodes.items()}
        frames = {
            name: box(DiagramNode(name, name.rpartition(SEPARATOR)[2], "node", self.group))
            for name in self.inner
        }
        for port in {ENTRY, EXIT} & row_of.keys():
            boxes[port] = box(DiagramNode(port, ""))
        ends = self._ends(rows, centres, {**boxes, **frames})
        routes = []
        for pair, edge in self.edges.items():
            if pair[0] == pair[1]:
                routes.append(_circle(edge, boxes[pair[0]]))
                continue
            points = [ends[pair][0]]
            passing = rows.chains[pair][1:-1]
            for name in passing:
                top = tops[row_of[name]]
                points += [(centres[name], top), (centres[name], top + heights[row_of[name]])]
            points.append(ends[pair][1])
            first, second = (points[1], points[2]) if passing else (points[0], points[1])
            at = (first[0] + second[0]) / 2, (first[1] + second[1]) / 2
            routes.append(Route(edge, tuple(points), pair in rows.upward, at, pair[1] == EXIT))
        reach = [centres[name] + widths[name] / 2 for name in centres]
        reach += [  # labels beside a line begin at it
            route.label_at[0] + 6 + len(route.edge.label) * self.metrics.small
            for route in routes
            if route.edge.label and route.label_beside
        ]
        width = max(reach, default=0.0)
        placed = Layout(
            width,
            tops[-1] + heights[-1] if tops else 0.0,
            tuple(one for name, one in boxes.items() if name in self.nodes),
            tuple(frames.values()),
            tuple(routes),
            centres.get(ENTRY, 0.0),
            centres.get(EXIT, 0.0),
        )
        for name, frame in frames.items():
            inside = self.inner[name].moved(frame.left, frame.top)
            placed = replace(
                placed,
                boxes=placed.boxes + inside.boxes,
                frames=placed.frames + inside.frames,
                routes=placed.routes + inside.routes,
            )
        return self._framed(placed) if self.group else placed

    def _item(self, node: DiagramNode) -> str | None:
        """What stands for a node here: itself, the subgraph it is in, or None for one outside."""
        if node.group == self.group:
            return node.id
        prefix = f"{self.group}{SEPARATOR}" if self.group else ""
        if not node.group.startswith(prefix):
            return None
        return prefix + node.group[len(prefix) :].split(SEPARATOR)[0]

    def _edges(self, items: Mapping[str, str | None]) -> dict[Edge, DiagramEdge]:
        edges: dict[Edge, DiagramEdge] = {}
        for edge in self.diagram.edges:
            source, target = items[edge.source], items[edge.target]
            outside = source is None and target is None
            if outside or (source == target and source not in self.nodes):
                continue  # of another level
            pair = (source or ENTRY, target or EXIT)
            known = edges.get(pair, edge)
            labels = dict.fromkeys(label for label in (known.label, edge.label) if label)
            conditional = known.conditional and edge.conditional
            edges[pair] = replace(known, label=" / ".join(labels), conditional=conditional)
        return edges

    def _size(self, node: DiagramNode) -> tuple[float, float]:
        metrics = self.metrics
        if node.kind != "node":
            return metrics.padding * 2 + len(node.label) * metrics.small, metrics.terminal
        if self.details is None:
            width, height = len(node.label) * metrics.character, metrics.height
        else:  # two characters for the mark of its state
            detail = len(self.details.get(node.id, "")) * metrics.small
            width = max((len(node.label) + 2) * metrics.character, detail)
            height = metrics.height + metrics.detail
        return width + 2 * metrics.padding, height

    def _rows(self) -> Rows:
        """The rows; the first and the last of a subgraph are its frame's upper and lower side."""
        names = [*self.nodes, *self.inner]
        edges = list(self.edges)
        back = [(target, source) for (source, target), one in self.edges.items() if one.circle]
        if self.group:
            reached = {target for source, target in edges if source != target}
            left = {source for source, target in edges if source != target}
            edges += [(ENTRY, name) for name in names if name not in reached]
            edges += [(name, EXIT) for name in names if name not in left]
            names = [ENTRY, *names, EXIT]
        rows = arrange(names, edges, back)
        for pair, chain in rows.chains.items():
            label = self.edges[pair].label if pair in self.edges else ""
            for place, passing in enumerate(chain[1:-1]):
                wide = len(label) * self.metrics.small + 6 if label and place == 0 else 0.0
                self.sizes[passing] = (max(self.metrics.passing, wide), 0.0)
        return rows

    def _ends(
        self, rows: Rows, centres: Mapping[str, float], boxes: Mapping[str, Box]
    ) -> dict[Edge, tuple[Point, Point]]:
        """The upper and lower end of each edge; those at one side of a box are spread along it."""
        lower: dict[str, list[tuple[float, Edge]]] = {}
        upper: dict[str, list[tuple[float, Edge]]] = {}
        for pair in self.edges.keys() & rows.chains.keys():
            chain = rows.chains[pair]
            lower.setdefault(chain[0], []).append((centres[chain[1]], pair))
            upper.setdefault(chain[-1], []).append((centres[chain[-2]], pair))
        start: dict[Edge, Point] = {}
        end: dict[Edge, Point] = {}
        for side, found in ((lower, start), (upper, end)):
            for name, leaving in side.items():
                box = boxes[name]
                middle = box.centre[0]
                if name in self.inner:
                    inside = self.inner[name]
                    middle = box.left + (inside.exit if side is lower else inside.entry)
                step = min(self.metrics.spread, box.width / (len(leaving) + 1))
                for place, (_, pair) in enumerate(sorted(leaving)):
                    x = middle + (place - (len(leaving) - 1) / 2) * step
                    found[pair] = (x, box.top + box.height if side is lower else box.top)
        return {pair: (start[pair], end[pair]) for pair in start}

    def _framed(self, placed: Layout) -> Layout:
        """With room for the frame beside it; the title is in the gap under the first row."""
        pad = self.metrics.frame
        moved = placed.moved(pad, 0.0)
        title = len(self.group.rpartition(SEPARATOR)[2]) * self.metrics.small + 2 * pad
        return replace(
            moved,
            width=max(placed.width + 2 * pad, title),
            entry=placed.entry + pad,
            exit=placed.exit + pad,
        )


def _circle(edge: DiagramEdge, box: Box) -> Route:
    """An edge from a node to itself: beside its right side, drawn as one curve."""
    right, middle = box.left + box.width, box.centre[1]
    points = ((right, middle - 8), (right + 16, middle), (right, middle + 8))
    return Route(edge, points, label_at=(right + 18, middle))
