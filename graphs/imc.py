"""IMC: the image side and the agents side by side, and the answer when both are done."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph

from graphs.checkpoints.opening import open_checkpointer
from graphs.context import IMCContext, Resolve, given
from graphs.imc_graph import IMCGraph
from graphs.nodes.answer import AnswerNode
from graphs.nodes.review import ReviewNode
from graphs.nodes.vision import VisionNode
from graphs.routing import after_answer, after_review
from graphs.sms import add_sms
from graphs.state import IMCInput, IMCOutput, IMCState
from graphs.steppable import Stops


def add_imc(
    builder: StateGraph[Any, Any, Any, Any],
    *,
    start: str = START,
    then: str = END,
    prefix: str = "",
    resolve: Resolve = given,
) -> None:
    """Add all nodes to a builder whose state has the keys of IMCState.

    Args:
        builder: receives `vision`, the four agents, `review` and `answer`.
        start: the node that leads to `vision` and `coordinator`.
        then: the node after `answer`.
        prefix: of the nodes' names, where one builder holds them twice. Both work on the same keys
            of state, so that the second starts when the first has answered.
        resolve: from the run's context to an IMCContext.
    """
    vision, coordinator = f"{prefix}vision", f"{prefix}coordinator"
    review, answer = f"{prefix}review", f"{prefix}answer"
    builder.add_node(vision, VisionNode(resolve, prefix))
    add_sms(builder, then=review, prefix=prefix, resolve=resolve)
    builder.add_node(review, ReviewNode(resolve, prefix), defer=True)  # waits for both sides
    builder.add_node(answer, AnswerNode(resolve, prefix))
    builder.add_edge(start, vision)
    builder.add_edge(start, coordinator)
    builder.add_edge(vision, review)
    leads_to: dict[Hashable, str] = {"vision": vision, "coordinator": coordinator, "answer": answer}
    builder.add_conditional_edges(review, after_review, leads_to)
    builder.add_conditional_edges(answer, after_answer, {"review": review, "done": then})


def build_imc_graph(
    *,
    checkpointer: str | Path | BaseCheckpointSaver[Any] | None = None,
    interrupt_before: Stops = None,
    interrupt_after: Stops = None,
    context_schema: type[Any] = IMCContext,
    resolve: Resolve = given,
) -> IMCGraph:
    """The whole graph: an image and a question in, an answer out.

    One flat graph for every method and review policy: the context's policy decides, so that a
    drawing, a checkpoint and a breakpoint mean the same under all of them.

    Args:
        checkpointer: where to keep state, as `graphs.checkpoints.open_checkpointer` takes it;
            None where the graph is embedded or served. A LangGraph checkpointer with the default
            serializer is used with `graphs.serializer`.
        interrupt_before: nodes at which every run stops, also as part of another graph; "*": all.
        interrupt_after: nodes after which it does.
        context_schema: what a run is given as context.
        resolve: from that to an IMCContext, where it is another type.
    """
    builder = StateGraph(
        IMCState, context_schema=context_schema, input_schema=IMCInput, output_schema=IMCOutput
    )
    add_imc(builder, resolve=resolve)
    compiled = builder.compile(
        open_checkpointer(checkpointer),
        interrupt_before=interrupt_before,
        interrupt_after=interrupt_after,
        name="imc",
    )
    return IMCGraph.of(compiled, resolve=resolve)
