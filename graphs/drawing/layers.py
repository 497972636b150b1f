"""Layers of a layered drawing (Sugiyama, Tagawa and Toda 1981): rows, and the order within a row.

A circle of nodes occupies rows of its own: what follows it is drawn under all of its nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Edge = tuple[str, str]

SWEEPS = 8
"""Passes down and up that reorder the rows; further ones changed no graph that was tried."""


@dataclass
class Rows:
    """Nodes in rows, with placeholders where an edge passes a row."""

    rows: list[list[str]]
    """Ids, left to right, top row first."""
    chains: dict[Edge, list[str]]
    """Per edge the ids from its upper to its lower end, placeholders between them."""
    upward: set[Edge]
    """Edges that lead from a lower row to a higher one."""


def arrange(nodes: Sequence[str], edges: Sequence[Edge], undrawn: Sequence[Edge] = ()) -> Rows:
    """Rows of a graph.

    Args:
        nodes: ids.
        edges: pairs of ids; edges from a node to itself are not in the result.
        undrawn: further edges, which count for the rows alone.
    """
    layer = layer_of(nodes, [*edges, *undrawn])
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for node in nodes:
        rows[layer[node]].append(node)
    chains: dict[Edge, list[str]] = {}
    upward = set()
    for source, target in edges:
        if source == target:
            continue
        above, below = source, target
        if layer[source] > layer[target]:
            above, below = target, source
            upward.add((source, target))
        chain = [above]
        for row in range(layer[above] + 1, layer[below]):
            chain.append(f"\0{source}\0{target}\0{row}")
            rows[row].append(chain[-1])
        chains[source, target] = [*chain, below]
    return Rows(_ordered(rows, list(chains.values())), chains, upward)


def layer_of(nodes: Sequence[str], edges: Iterable[Edge]) -> dict[str, int]:
    """The row of each node, 0 at the top: the longest way to it, circles taken as one step each."""
    edges = [(source, target) for source, target in edges if source != target]
    components = _components(nodes, edges)
    member = {node: place for place, component in enumerate(components) for node in component}
    inner: list[dict[str, int]] = []
    for component in components:
        if len(component) == 1:
            inner.append({component[0]: 0})
            continue
        inside = set(component)
        # the circle is entered where most edges from outside lead, and begins there
        entries = [target for source, target in edges if target in inside and source not in inside]
        entry = max(component, key=entries.count)
        kept = [e for e in edges if e[0] in inside and e[1] in inside and e[1] != entry]
        inner.append(layer_of([entry, *(node for node in component if node != entry)], kept))
    top = [0] * len(components)
    for place in reversed(range(len(components))):  # Tarjan: what is reached comes first
        end = top[place] + max(inner[place].values()) + 1
        for source, target in edges:
            if member[source] == place and member[target] != place:
                top[member[target]] = max(top[member[target]], end)
    return {node: top[member[node]] + inner[member[node]][node] for node in nodes}


def _components(nodes: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Strongly connected components (Tarjan 1972), each after all that it leads to."""
    following: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        following[source].append(target)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        path.append(node)
        for other in following[node]:
            if other not in index:
                visit(other)
            if other in path:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            place = path.index(node)
            members = set(path[place:])
            found.append([one for one in nodes if one in members])
            del path[place:]

    for node in nodes:
        if node not in index:
            visit(node)
    return found


def _ordered(rows: list[list[str]], chains: list[list[str]]) -> list[list[str]]:
    """Rows in the order with the fewest crossings that the barycentre heuristic finds."""
    links = [pair for chain in chains for pair in zip(chain, chain[1:], strict=False)]
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for upper, lower in links:
        below.setdefault(upper, []).append(lower)
        above.setdefault(lower, []).append(upper)
    best, fewest = rows, _crossings(rows, links)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        rows = [list(row) for row in rows]
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for number in order:
            beside = rows[number - 1] if down else rows[number + 1]
            place = {node: i / max(1, len(beside) - 1) for i, node in enumerate(beside)}
            linked = above if down else below

            def barycentre(
                node: str, place: dict[str, float] = place, linked: dict[str, list[str]] = linked
            ) -> float:
                near = [place[other] for other in linked.get(node, ()) if other in place]
                return sum(near) / len(near) if near else 0.5

            rows[number].sort(key=barycentre)
        crossings = _crossings(rows, links)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: list[list[str]], links: list[Edge]) -> int:
    place = {node: i for row in rows for i, node in enumerate(row)}
    number = {node: i for i, row in enumerate(rows) for node in row}
    count = 0
    for i, (a, b) in enumerate(links):
        for c, d in links[i + 1 :]:
            if number[a] == number[c] and (place[a] - place[c]) * (place[b] - place[d]) < 0:
                count += 1
    return count
