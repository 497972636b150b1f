"""What reads and writes the state in checkpoints: its own types and no others."""

from __future__ import annotations

import copy
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from graphs.checkpoints.compact import CompactSerializer
from graphs.routing import Routing
from imc_agents.state import (
    Answer,
    Assessment,
    Candidate,
    Decision,
    Edit,
    Finding,
    TokenScores,
    TraceStep,
    Verdict,
)
from vision.report import CalibrationReport, NoisePerception

STATE_TYPES: tuple[type, ...] = (
    Answer,
    Assessment,
    CalibrationReport,
    Candidate,
    Decision,
    Edit,
    Finding,
    NoisePerception,
    Routing,
    TokenScores,
    TraceStep,
    Verdict,
)
"""The types that a checkpoint of the graphs may bring back."""


def serializer(*more: type) -> CompactSerializer:
    """A serializer for checkpoints of the graphs, for any LangGraph checkpointer: quiet and strict.

    Args:
        more: types that a graph around them keeps in its own state.
    """
    return CompactSerializer(allowed_msgpack_modules=(*STATE_TYPES, *more))


def knowing_the_state(saver: BaseCheckpointSaver[Any]) -> BaseCheckpointSaver[Any]:
    """The same checkpointer, which brings back the state's types.

    LangGraph's default serializer brings back any type and warns of each: it is replaced. One with
    a list of types gets ours besides.
    """
    serde = saver.serde
    if getattr(serde, "_allowed_msgpack_modules", None) is True and isinstance(
        serde, JsonPlusSerializer
    ):
        saver = copy.copy(saver)  # with the same storage
        saver.serde = JsonPlusSerializer(allowed_msgpack_modules=STATE_TYPES)
        return saver
    return saver.with_allowlist([(one.__module__, one.__name__) for one in STATE_TYPES])
