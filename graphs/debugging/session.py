"""A debug session over a compiled graph: step, run, edit, fork, compare, export.

Each step is one superstep of the graph: all nodes that wait run, side by side, and the session
stops before the next. It takes LangGraph's own checkpoints, so that a fork begins at any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.pregel import Pregel

from graphs.debugging.comparing import Comparison, compare
from graphs.debugging.edits import from_json, update_state, validated
from graphs.debugging.history import Checkpoint, checkpoint_id, find, read_history
from graphs.debugging.page import session_page
from graphs.debugging.replaying import ask_again
from graphs.debugging.stepping import Context, SteppedThread, in_memory, innermost
from graphs.debugging.supersteps import SEPARATOR, Superstep
from graphs.debugging.values import DebugRefused, NodeRun, Stop
from graphs.drawing.diagram import SEPARATOR as DRAWN_SEPARATOR
from graphs.drawing.diagram import diagram_of
from graphs.drawing.node_totals import totals_of_trace
from graphs.drawing.svg import draw_svg
from graphs.exchange_store import ExchangeStore
from imc_agents.exchanges import Exchange
from imc_agents.state import TraceStep
from imc_core.files import replace_file

__all__ = ["DebugSession", "in_memory"]


class DebugSession(SteppedThread[Context]):
    """Steps through one thread of a graph, edits its state, and begins branches.

    While a step runs, the session sets where the graph's subgraphs stop: give it a graph that
    nothing else runs at the same time.
    """

    def run_again(self, name: str | int) -> Stop:
        """Fork at a checkpoint and run from there to a breakpoint or the end."""
        self.fork(name)
        return self.run()

    def repeat_step(self) -> Stop:
        """Run the last step again, on a branch of its own.

        Raises:
            DebugRefused: nothing has run yet.
        """
        current = next((one for one in self.history() if one.current), None)
        if current is None or current.parent is None:
            raise DebugRefused("nothing has run yet that could be run again")
        self.fork(current.parent)
        return self.step()

    # --- state --------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[str, Any]:
        """State where the session stands: of the subgraph, inside of one."""
        values = innermost(self._snapshot())[1].values
        return values if isinstance(values, dict) else {"": values}

    def edit(self, values: Mapping[str, Any]) -> Stop:
        """Write values into the state; what runs next is decided anew from it.

        Raises:
            DebugRefused: an unknown key, a value that is not of its type, or nothing has run yet.
        """
        path, leaf = innermost(self._snapshot())
        before = dict(leaf.values)
        valid = validated(self._graph_at(path), values)
        config: RunnableConfig = {**leaf.config, "metadata": self.metadata}
        update_state(self.graph, config, valid, self.context)
        self._at = None
        return self._stop("edited", Superstep(), before, self._snapshot(), path)

    def edit_json(self, key: str, text: str) -> Stop:
        """`edit` of one key with a value typed as JSON."""
        return self.edit({key: from_json(text)})

    def history(self) -> list[Checkpoint]:
        """The thread's checkpoints, oldest first; `parent` makes them a tree."""
        return read_history(self.graph, self._thread, checkpoint_id(self._snapshot().config))

    def fork(self, name: str | int) -> Stop:
        """Stand at a checkpoint (its number, or its id): the next run begins a branch there.

        Raises:
            DebugRefused: no such checkpoint.
        """
        history = self.history()
        chosen = find(history, name)
        before = dict(self.state)
        newest = chosen.number == len(history) - 1
        self._at = None if newest else self._config_of(chosen.id)
        return self._stop("forked", Superstep(), before, self._snapshot())

    def compare(self, first: str | int, second: str | int) -> Comparison:
        """Compare two checkpoints of the thread. Raises DebugRefused: no such checkpoint."""
        history = self.history()
        return compare(history, find(history, first), find(history, second))

    # --- exchanges ----------------------------------------------------------------------------

    @property
    def runs(self) -> list[NodeRun]:
        """Every run of a node in this session, in order."""
        return [run for stop in self.stops for run in stop.ran]

    def exchanges(self, node: str | None = None) -> list[Exchange]:
        """The requests to the model, of one node or of all, in order: those that were kept of the
        thread, where the context has a store, else those of this session."""
        store = getattr(self.context, "exchanges", None)
        if isinstance(store, ExchangeStore):
            kept = [stored.exchange for stored in store.of(self.thread_id)]
            return [one for one in kept if node is None or one.node == node.split(SEPARATOR)[-1]]
        return [one for run in self.runs if node in (None, run.node) for one in run.exchanges]

    def ask_again(self, exchange: Exchange, *, prompt: str | None = None) -> Exchange:
        """One exchange again, with another last message; state is not written.

        Raises:
            DebugRefused: the context holds no model, or no features of the exchange's image.
        """
        return ask_again(exchange, self.context, self.state, prompt=prompt)

    # --- all of it ----------------------------------------------------------------------------

    def export(self, path: str | Path | None = None) -> str:
        """The session as one HTML page that loads nothing: history, steps, states, exchanges.

        It holds what state holds, the question among it.

        Args:
            path: a file to write; None: the page is returned alone.

        Raises:
            DebugRefused: the file cannot be written.
        """
        page = session_page(
            self.graph.get_name(),
            self.thread_id,
            self.history(),
            self.stops,
            picture=draw_svg(
                diagram_of(self.graph, xray=True), totals_of_trace(self._trace), within_page=True
            ),
        )
        if path is not None:
            try:
                replace_file(Path(path), page)
            except OSError as error:
                raise DebugRefused(
                    f"{str(path)!r} cannot be written ({error.strerror}): name another file"
                ) from error
        return page

    @property
    def _trace(self) -> list[TraceStep]:
        """The session's runs of nodes, named as a drawing names them."""
        return [
            TraceStep(
                node=run.node.replace(SEPARATOR, DRAWN_SEPARATOR),
                ms=run.ms,
                calls=sum(one.passes or 1 for one in run.exchanges),
                failed=run.error is not None,
            )
            for run in self.runs
        ]

    def _graph_at(self, path: tuple[str, ...]) -> Pregel[Any, Any, Any, Any]:
        found = dict(self.graph.get_subgraphs(recurse=True)).get("|".join(path))
        return found if isinstance(found, Pregel) else self.graph
