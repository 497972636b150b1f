"""The imc graph twice in one workflow: the same question about today's image and the prior one.

    START ─┬► current ─┬► compare ─► END
           └► prior ───┘

Run from the repository: `.venv/bin/python examples/compare_two_images.py`. Both runs of imc are
kept by the parent's checkpointer, stream their steps through it, and stop in it: here for a person
who sees what would change before each answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from graphs import IMCContext, IMCInput, build_imc_graph, load_context, serializer
from imc_agents import Answer
from imc_reference import MODEL_DIR

THREAD: Any = {"configurable": {"thread_id": "comparison-1"}}
PHANTOMS = Path(__file__).parent


class Comparison(TypedDict, total=False):
    """One question about two images; they are given by name, so that state holds no pixels."""

    question: str
    current: str
    """Name or path of today's image."""
    prior: str
    """Name or path of the earlier one."""
    current_answer: Answer | None
    prior_answer: Answer | None
    report: str


class AskAbout:
    """A node that puts the question to imc about one of the images."""

    def __init__(self, which: Literal["current", "prior"]) -> None:
        self.which = which
        self.imc = build_imc_graph()  # without a checkpointer: it is kept by the parent's

    def __call__(self, state: Comparison) -> Comparison:
        """Reads the image and the question; writes the image's answer."""
        asked: IMCInput = {"image": state[self.which], "question": state["question"]}
        answer = self.imc.invoke(asked).get("answer")
        return {"current_answer": answer} if self.which == "current" else {"prior_answer": answer}


def compare(state: Comparison) -> Comparison:
    """Reads both answers; writes one line."""
    current, prior = state["current_answer"], state["prior_answer"]
    if current is None or prior is None:
        return {"report": "not answered"}
    changed = "changed" if current.text != prior.text else "unchanged"
    return {"report": f"{changed}: {prior.text} before, {current.text} today"}


def build_workflow() -> CompiledStateGraph[Any, IMCContext, Any, Any]:
    """Both questions side by side, then the comparison."""
    builder = StateGraph(Comparison, context_schema=IMCContext)
    builder.add_node("current", AskAbout("current"))
    builder.add_node("prior", AskAbout("prior"))
    builder.add_node("compare", compare)
    builder.add_edge(START, "current")
    builder.add_edge(START, "prior")
    builder.add_edge(["current", "prior"], "compare")
    builder.add_edge("compare", END)
    return builder.compile(checkpointer=InMemorySaver(serde=serializer()))


def steps(
    workflow: CompiledStateGraph[Any, IMCContext, Any, Any], given: Any, context: IMCContext
) -> Iterator[tuple[str, str]]:
    """Run until the end or a stop; each step as the part of the workflow and the node."""
    for namespace, update in workflow.stream(
        given, THREAD, context=context, stream_mode="updates", subgraphs=True
    ):
        where = namespace[0].split(":")[0] if namespace else "workflow"
        for node in update:
            yield where, node


def approvals(workflow: CompiledStateGraph[Any, IMCContext, Any, Any]) -> Command[Any]:
    """A person approves what every waiting run of imc proposes."""
    waiting = workflow.get_state(THREAD).interrupts
    return Command(resume={one.id: True for one in waiting})


def main() -> None:
    """Compare two phantoms, with a stop before each answer."""
    context = load_context(MODEL_DIR).with_policy(review="always")
    workflow = build_workflow()
    given: Any = {
        "question": "What modaliy is this?",
        "current": str(PHANTOMS / "phantom_ct.png"),
        "prior": str(PHANTOMS / "phantom_mri.png"),
    }
    while True:
        for where, node in steps(workflow, given, context):
            print(f"{where:10}{node}")
        state = workflow.get_state(THREAD)
        if not state.next:
            break
        given = approvals(workflow)
        print("approved\n")
    print(state.values["report"])


if __name__ == "__main__":
    main()
