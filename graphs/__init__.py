"""The LangGraph graphs `sms` and `imc`: state, nodes, checkpoints, stepping, drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_core import lazy_names

if TYPE_CHECKING:
    from graphs.checkpoints.opening import open_checkpointer
    from graphs.checkpoints.serializing import serializer
    from graphs.context import IMCContext, load_context
    from graphs.debugging.session import DebugSession
    from graphs.document import to_document
    from graphs.drawing.notebook import show
    from graphs.errors import StateRefused
    from graphs.exchange_store import ExchangeStore
    from graphs.imc import add_imc, build_imc_graph
    from graphs.refining import refine_batch
    from graphs.rooted_images import RootedImages
    from graphs.sms import add_sms, build_sms_graph
    from graphs.state import IMCInput, IMCOutput, IMCState, SMSInput, SMSOutput, SMSState
    from graphs.stores import FeatureStore, ImageStore
    from graphs.tool import imc_tool

__all__ = [
    "DebugSession",
    "ExchangeStore",
    "FeatureStore",
    "IMCContext",
    "IMCInput",
    "IMCOutput",
    "IMCState",
    "ImageStore",
    "RootedImages",
    "SMSInput",
    "SMSOutput",
    "SMSState",
    "StateRefused",
    "add_imc",
    "add_sms",
    "build_imc_graph",
    "build_sms_graph",
    "imc_tool",
    "load_context",
    "open_checkpointer",
    "refine_batch",
    "serializer",
    "show",
    "to_document",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "graphs.checkpoints.opening": ("open_checkpointer",),
        "graphs.checkpoints.serializing": ("serializer",),
        "graphs.context": ("IMCContext", "load_context"),
        "graphs.debugging.session": ("DebugSession",),
        "graphs.document": ("to_document",),
        "graphs.drawing.notebook": ("show",),
        "graphs.errors": ("StateRefused",),
        "graphs.exchange_store": ("ExchangeStore",),
        "graphs.imc": ("add_imc", "build_imc_graph"),
        "graphs.refining": ("refine_batch",),
        "graphs.sms": ("add_sms", "build_sms_graph"),
        "graphs.rooted_images": ("RootedImages",),
        "graphs.state": (
            "IMCInput",
            "IMCOutput",
            "IMCState",
            "SMSInput",
            "SMSOutput",
            "SMSState",
        ),
        "graphs.stores": ("FeatureStore", "ImageStore"),
        "graphs.tool": ("imc_tool",),
    },
)
