"""The imc graph of a server as one node of another graph, which needs no model of its own.

    START ─► imc (on the server) ─► draft ─► END

Start the server with `imc serve` (or `make serve`), then run from the repository:
`.venv/bin/python examples/remote_node.py http://127.0.0.1:2024`. Where the server was given a
token, set IMC_TOKEN here too.
"""

from __future__ import annotations

import base64
import os
import sys
from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel.remote import RemoteGraph

IMAGE = Path(__file__).parent / "phantom_ct.png"


class Study(TypedDict, total=False):
    """One study; what the server returns is plain JSON."""

    image: dict[str, str]
    """An image block: the server reads no files of this machine."""
    question: str
    answer: dict[str, Any]
    """Written by imc: text, confidence, evidence."""
    draft: str


def draft(state: Study) -> Study:
    """Reads the answer; writes one line."""
    answer = state["answer"]
    return {"draft": f"{answer['text']} (confidence {answer['confidence']:.2f})"}


def build_workflow(url: str, token: str | None = None) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A workflow around the served graph."""
    builder = StateGraph(Study)
    builder.add_node("imc", RemoteGraph("imc", url=url, api_key=token))
    builder.add_node("draft", draft)
    builder.add_edge(START, "imc")
    builder.add_edge("imc", "draft")
    builder.add_edge("draft", END)
    return builder.compile()


def image_block(path: Path) -> dict[str, str]:
    """A PNG file as a LangChain image block."""
    encoded = base64.b64encode(path.read_bytes()).decode()
    return {"type": "image", "base64": encoded, "mime_type": "image/png"}


def main(url: str) -> None:
    """Ask the server about an example image."""
    workflow = build_workflow(url, os.environ.get("IMC_TOKEN"))
    study = {"image": image_block(IMAGE), "question": "What modaliy is this?"}
    print(workflow.invoke(study)["draft"])


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:2024")
