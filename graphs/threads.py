"""What lies in a checkpoint database: threads, how far each came, and its steps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.types import StateSnapshot

from graphs.checkpoints.kept import CheckpointsRefused, KeptThreads
from graphs.exchange_store import ExchangeStore, exchanges_path
from graphs.imc import build_imc_graph
from graphs.stores import NAME_PREFIX


class ThreadUnknown(CheckpointsRefused):
    """No thread of that name is kept."""


@dataclass(frozen=True)
class ThreadSummary:
    """One thread, as far as it came."""

    thread: str
    time: str
    """Of its last step, ISO 8601."""
    question: str
    """As it came in; empty where the thread is of another graph."""
    answer: str | None
    """None: it has none yet."""
    waits_for: tuple[str, ...]
    """The nodes that come next; empty: it is finished."""
    reviewed: bool
    """It waits for a person."""
    checkpoints: int
    bytes: int


@dataclass(frozen=True)
class ThreadStep:
    """One checkpoint of a thread."""

    checkpoint: str
    step: int
    time: str
    next: tuple[str, ...]
    """The nodes that ran, or run, after it."""
    keys: tuple[str, ...]
    """The keys of state that have a value."""


def config_of(thread: str) -> RunnableConfig:
    """The configuration under which a graph finds a thread."""
    return {"configurable": {"thread_id": thread}}


def summaries(kept: KeptThreads) -> Iterator[ThreadSummary]:
    """Every thread, the latest first."""
    graph = build_imc_graph(checkpointer=kept)
    for thread, checkpoints, size in kept.thread_sizes():
        yield _summary(graph.get_state(config_of(thread)), thread, checkpoints, size)


def summary(kept: KeptThreads, thread: str) -> ThreadSummary:
    """One thread.

    Raises:
        ThreadUnknown: there is none of that name.
    """
    sizes = {name: (checkpoints, size) for name, checkpoints, size in kept.thread_sizes()}
    if thread not in sizes:
        raise _unknown(kept, thread)
    snapshot = build_imc_graph(checkpointer=kept).get_state(config_of(thread))
    return _summary(snapshot, thread, *sizes[thread])


def steps(kept: KeptThreads, thread: str) -> list[ThreadStep]:
    """The checkpoints of one thread, the first one first.

    Raises:
        ThreadUnknown: there is none of that name.
    """
    history = [*build_imc_graph(checkpointer=kept).get_state_history(config_of(thread))]
    if not history:
        raise _unknown(kept, thread)
    return [
        ThreadStep(
            checkpoint=str(snapshot.config["configurable"]["checkpoint_id"]),
            step=int((snapshot.metadata or {}).get("step", 0)),
            time=snapshot.created_at or "",
            next=snapshot.next,
            keys=tuple(sorted(key for key, value in snapshot.values.items() if value is not None)),
        )
        for snapshot in reversed(history)
    ]


def delete(kept: KeptThreads, thread: str) -> None:
    """Delete a thread, its exchanges, and the pictures that no other thread names.

    Raises:
        ThreadUnknown: there is none of that name.
    """
    if thread not in {name for name, _, _ in kept.thread_sizes()}:
        raise _unknown(kept, thread)
    kept.delete_thread(thread)
    exchanges = exchanges_path(kept.images.path)
    if exchanges.is_file():
        ExchangeStore(exchanges).delete(thread)
    still_named = {name.removeprefix(NAME_PREFIX) for name in kept.image_names()}
    for sha256 in kept.images.names():
        if sha256 not in still_named:
            kept.images.remove(sha256)


def metadata_of(kept: KeptThreads, thread: str) -> dict[str, Any]:
    """What was recorded with the latest checkpoint of a thread.

    Raises:
        ThreadUnknown: there is none of that name.
    """
    found = kept.get_tuple(config_of(thread))
    if found is None:
        raise _unknown(kept, thread)
    return dict(found.metadata)


def _summary(
    snapshot: StateSnapshot, thread: str, checkpoints: int, size: int
) -> ThreadSummary:
    values = snapshot.values if isinstance(snapshot.values, dict) else {}
    answer = values.get("answer")
    return ThreadSummary(
        thread=thread,
        time=snapshot.created_at or "",
        question=str(values.get("question", "")),
        answer=getattr(answer, "text", None) if not snapshot.next else None,
        waits_for=snapshot.next,
        reviewed=bool(snapshot.interrupts),
        checkpoints=checkpoints,
        bytes=size,
    )


def _unknown(kept: KeptThreads, thread: str) -> ThreadUnknown:
    shown = thread if len(thread) <= 80 else f"{thread[:80]}…"
    return ThreadUnknown(
        f"thread {shown!r} is not kept in {kept.place}; imc threads list names those that are"
    )
