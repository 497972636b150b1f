"""The graphs as they are drawn: a changed edge is a changed design."""

from __future__ import annotations

from graphs.imc import build_imc_graph
from graphs.sms import build_sms_graph


def edges(drawing: str) -> set[str]:
    return {
        line.strip().rstrip(";") for line in drawing.splitlines() if "->" in line or "-.-" in line
    }


def test_sms_is_drawn_with_every_edge() -> None:
    assert edges(build_sms_graph().get_graph().draw_mermaid()) == {
        "__start__ --> coordinator",
        "coordinator -.-> corrector",
        "coordinator -.-> detector",
        "coordinator -.-> verifier",
        "coordinator -.-> coordinator",
        "coordinator -. &nbsp;settled&nbsp; .-> __end__",
        "corrector --> coordinator",
        "detector --> coordinator",
        "verifier --> coordinator",
    }


def test_imc_is_drawn_with_every_edge() -> None:
    assert edges(build_imc_graph().get_graph().draw_mermaid()) == {
        "__start__ --> coordinator",
        "__start__ --> vision",
        "vision --> review",
        "coordinator -.-> corrector",
        "coordinator -.-> detector",
        "coordinator -.-> verifier",
        "coordinator -.-> coordinator",
        "coordinator -. &nbsp;settled&nbsp; .-> review",
        "corrector --> coordinator",
        "detector --> coordinator",
        "verifier --> coordinator",
        "review -.-> answer",
        "review -.-> coordinator",
        "review -.-> vision",
        "answer -.-> review",
        "answer -. &nbsp;done&nbsp; .-> __end__",
    }
