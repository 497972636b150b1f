"""The imc graph as one step of a larger clinical workflow, kept in the parent's SQLite file.

    triage ─► imc ─► draft ─► sign_off (a person) ─► END

Run from the repository: `.venv/bin/python examples/embed_in_workflow.py`. The run stops at the
signature; a second run over the same file, which could be another process on another day, resumes
there without answering again.
"""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, interrupt

from graphs import IMCContext, build_imc_graph, load_context, serializer
from imc_agents import Answer, Decision
from imc_reference import MODEL_DIR
from vision import NoisePerception

URGENT_WORDS = ("bleed", "hemorrhage", "pneumothorax", "rupture", "stroke")


class StudyState(TypedDict, total=False):
    """One study on its way; the keys that imc also has are handed to it and taken back."""

    image: str
    """Path of the image; read by imc."""
    question: str
    """The referrer's question; read by imc."""
    decision: Decision | None
    """How the question was read; written by imc."""
    perception: NoisePerception | None
    """The noise in the image; written by imc."""
    answer: Answer | None
    """Written by imc."""
    urgent: bool
    """Written by triage."""
    draft: str
    """Written by draft."""
    signed_by: str
    """Who signed; empty where the draft was rejected. Written by sign_off."""


def triage(state: StudyState) -> StudyState:
    """Reads the question; says whether the study goes first."""
    asked = state["question"].lower()
    return {"urgent": any(word in asked for word in URGENT_WORDS)}


def draft(state: StudyState) -> StudyState:
    """Reads what imc found; writes a draft that says how sure it is and what was noisy."""
    answer, decision, perception = state["answer"], state["decision"], state.get("perception")
    if answer is None or decision is None:
        return {"draft": "No answer: please read the study yourself."}
    lines = [
        "URGENT" if state["urgent"] else "Routine",
        f"Question: {decision.used}",
        f"Answer: {answer.text} (confidence {answer.confidence:.2f})",
    ]
    if perception is not None and perception.kind != "clean":
        lines.append(f"Image quality: {perception.kind}, severity {perception.severity}")
    return {"draft": "\n".join(lines)}


def sign_off(state: StudyState) -> StudyState:
    """Shows the draft to a person and waits; nothing else, since it runs again when resumed."""
    name = interrupt({"draft": state["draft"], "ask": "Your name signs it; an empty one rejects."})
    return {"signed_by": str(name)}


def after_sign_off(state: StudyState) -> Literal["imc", "__end__"]:
    """A rejected draft is asked again."""
    return "__end__" if state["signed_by"] else "imc"


def build_workflow(checkpointer: SqliteSaver) -> CompiledStateGraph[Any, IMCContext, Any, Any]:
    """The workflow; imc has no checkpointer of its own and is kept in the parent's."""
    builder = StateGraph(StudyState, context_schema=IMCContext)
    builder.add_node("triage", triage)
    builder.add_node("imc", build_imc_graph())
    builder.add_node("draft", draft)
    builder.add_node("sign_off", sign_off)
    builder.add_edge(START, "triage")
    builder.add_edge("triage", "imc")
    builder.add_edge("imc", "draft")
    builder.add_edge("draft", "sign_off")
    builder.add_conditional_edges("sign_off", after_sign_off, {"imc": "imc", "__end__": END})
    return builder.compile(checkpointer=checkpointer)


def open_saver(connection: sqlite3.Connection) -> SqliteSaver:
    """Keep checkpoints in `connection`; no types but those of imc's state are read back."""
    return SqliteSaver(connection, serde=serializer())


def run_until_signature(
    database: Path, context: IMCContext, image: Path, question: str, thread: str
) -> str:
    """Take one study up to the signature; return the draft that is to be signed."""
    study: StudyState = {"image": str(image), "question": question}
    with closing(sqlite3.connect(database, check_same_thread=False)) as connection:
        workflow = build_workflow(open_saver(connection))
        state = workflow.invoke(
            study, {"configurable": {"thread_id": thread}}, context=context, durability="sync"
        )
    return str(state["__interrupt__"][0].value["draft"])


def sign(database: Path, context: IMCContext, thread: str, name: str) -> StudyState:
    """Resume a study that waits for its signature; return its state at the end."""
    with closing(sqlite3.connect(database, check_same_thread=False)) as connection:
        workflow = build_workflow(open_saver(connection))
        state = workflow.invoke(
            Command(resume=name), {"configurable": {"thread_id": thread}}, context=context
        )
    return cast("StudyState", state)


def main() -> None:
    """Ask about an example image, stop at the signature, and resume from the file."""
    image = Path(__file__).parent / "phantom_ct.png"
    context = load_context(MODEL_DIR)
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "studies.sqlite"
        waiting = run_until_signature(
            database, context, image, "What modaliy is this?", thread="study-1"
        )
        print(f"waiting for a signature:\n\n{waiting}\n")
        print("signed by", sign(database, context, "study-1", "A. Reader")["signed_by"])


if __name__ == "__main__":
    main()
