"""The LangGraph graphs: `sms` and `imc`; checkpoints, stepping, drawing."""

from graphs.context import IMCContext, load_context
from graphs.document import to_document
from graphs.imc import add_imc, build_imc_graph
from graphs.refining import refine_batch
from graphs.sms import add_sms, build_sms_graph
from graphs.state import IMCInput, IMCOutput, IMCState
from graphs.stores import FeatureStore, ImageStore

__all__ = [
    "FeatureStore",
    "IMCContext",
    "IMCInput",
    "IMCOutput",
    "IMCState",
    "ImageStore",
    "add_imc",
    "add_sms",
    "build_imc_graph",
    "build_sms_graph",
    "load_context",
    "refine_batch",
    "to_document",
]
