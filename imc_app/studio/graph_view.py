"""The graph as an element of a page: our own SVG, whose nodes and breakpoints are buttons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nicegui import events, ui

from graphs.drawing import Diagram, NodeTotals, draw_svg

PRESSED = """
(event) => {
  const hit = event.target.closest('[data-break],[data-node]');
  if (!hit || (event.type === 'keydown' && event.key !== 'Enter' && event.key !== ' ')) return;
  event.preventDefault();
  const {node = '', when = ''} = hit.dataset;
  window.imcFocus = node ? `[data-node="${node}"]`
    : `[data-break="${hit.dataset.break}"][data-when="${when}"]`;
  emit(node, hit.dataset.break || '', when);
}
"""
REFOCUS = """
if (window.imcFocus && document.activeElement === document.body)
  document.querySelector(window.imcFocus)?.focus();
"""
"""A drawing that is replaced would lose the keyboard's place."""


class GraphView:
    """A graph that is drawn again when something has happened."""

    def __init__(
        self,
        diagram: Diagram,
        *,
        on_node: Callable[[str], Any] | None = None,
        on_breakpoint: Callable[[str, str], Any] | None = None,
    ) -> None:
        """Place an empty view.

        Args:
            diagram: of the graph.
            on_node: given the id of a node that was pressed.
            on_breakpoint: given a node's id and `before` or `after`.
        """
        self.diagram = diagram
        self.on_node = on_node
        self.on_breakpoint = on_breakpoint
        self._drawn = ""
        self._html = ui.html("", sanitize=False).classes("w-full overflow-x-auto")
        if on_node is not None:
            self._html.on("click", self._pressed, js_handler=PRESSED)
            self._html.on("keydown", self._pressed, js_handler=PRESSED)

    def draw(
        self,
        totals: Mapping[str, NodeTotals] | None,
        breakpoints: Mapping[str, frozenset[str]] | None = None,
        chosen: str = "",
    ) -> None:
        """Draw what is known now; the same drawing is not sent twice."""
        drawn = draw_svg(
            self.diagram, totals, within_page=True, breakpoints=breakpoints, chosen=chosen
        )
        if drawn == self._drawn:
            return
        self._drawn = drawn
        self._html.set_content(drawn)
        if self.on_node is not None and totals:
            self._html.client.run_javascript(REFOCUS)

    def _pressed(self, event: events.GenericEventArguments) -> None:
        node, at, when = (str(one) for one in event.args)
        if node and self.on_node is not None:
            self.on_node(node)
        elif at and when in ("before", "after") and self.on_breakpoint is not None:
            self.on_breakpoint(at, when)
