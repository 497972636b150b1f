"""Opens a session for `imc step`: its graph, its model, and where its thread is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imc_app.kept_questions import PATHS, RECORD, AskSettings, new_thread, with_exchanges
from imc_app.refusals import InputRefused

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from graphs.context import IMCContext
    from graphs.debugging.session import DebugSession

DEFAULT_PLACE = "sqlite"
"""Where a thread that is named is looked for."""


@dataclass(frozen=True)
class SessionState:
    """Where a session's state lies."""

    checkpointer: BaseCheckpointSaver[Any]
    thread: str
    kept: bool
    """Outside of this process's memory."""
    keep_exchanges: bool
    settings: AskSettings | None
    """What an existing thread was begun with; None: a new one, or of another graph."""


def open_state(place: str | None, thread: str | None, *, keep_exchanges: bool) -> SessionState:
    """Open the checkpoints, before a model is loaded.

    Raises:
        CheckpointsRefused, ThreadUnknown, InputRefused: in one line each.
    """
    from graphs.checkpoints.opening import open_checkpointer
    from graphs.debugging.session import in_memory
    from graphs.threads import metadata_of

    if place is None and thread is None:
        if keep_exchanges:
            raise InputRefused("--keep-exchanges keeps them beside a thread: add --checkpoints")
        return SessionState(in_memory(), new_thread(), False, False, None)
    kept = open_checkpointer(place or DEFAULT_PLACE)
    settings = None
    if thread is not None:
        record = metadata_of(kept, thread).get(RECORD)
        settings = None if record is None else AskSettings.read(record)
    return SessionState(kept, thread or new_thread(), True, keep_exchanges, settings)


def open_session(state: SessionState, graph: Any, settings: AskSettings) -> DebugSession[Any]:
    """Load the model where the graph needs one, and open the session; nothing runs yet.

    Args:
        state: where it is kept.
        graph: of one's own; None: the imc graph.
        settings: the command's options; a thread's own go before them, but for where its files
            are now.

    Raises:
        IMCError: whatever is refused, in one line.
    """
    from graphs.debugging.session import DebugSession
    from graphs.imc import build_imc_graph

    if state.settings is not None:
        settings = state.settings.changed(**{name: getattr(settings, name) for name in PATHS})
    context: IMCContext | None = None
    if graph is None or _takes_context(graph):
        context = settings.open()
        if state.keep_exchanges:
            context = with_exchanges(context, state.checkpointer)  # type: ignore[arg-type]
    record = {RECORD: settings.record()} if graph is None else {}
    return DebugSession(
        build_imc_graph() if graph is None else graph,
        context=context,
        checkpointer=state.checkpointer,
        thread_id=state.thread,
        metadata=record if state.kept else None,
    )


def _takes_context(graph: Any) -> bool:
    """Whether a graph of one's own is given the model: its context is an IMCContext."""
    from graphs.context import IMCContext

    schema = getattr(graph, "context_schema", None)
    if schema is None or schema is IMCContext:
        return schema is not None
    raise InputRefused(
        f"--graph: its context is a {schema.__name__}, which the command cannot make: use "
        "graphs.DebugSession with a context of your own"
    )
