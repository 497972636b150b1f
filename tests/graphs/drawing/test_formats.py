"""The formats: text and SVG against snapshots, PNG and HTML by what must be in them."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from graphs.drawing import (
    Diagram,
    NodeTotals,
    diagram_of,
    draw_ascii,
    draw_html,
    draw_mermaid,
    draw_png,
    draw_svg,
    totals_of_trace,
)
from tests.graphs.drawing.examples import TRACE, asking_graph, embedding_graph, waiting_graph

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture(scope="module")
def diagram() -> Diagram:
    return diagram_of(asking_graph())


@pytest.fixture(scope="module")
def runs() -> dict[str, NodeTotals]:
    return totals_of_trace(TRACE)


def snapshots() -> dict[str, str]:
    """What each snapshot file must hold; run this file as a program to write them."""
    asking, runs = diagram_of(asking_graph()), totals_of_trace(TRACE)
    return {
        "asking.txt": draw_ascii(asking),
        "asking-run.txt": draw_ascii(asking, runs),
        "workflow.txt": draw_ascii(diagram_of(embedding_graph(), xray=True)),
        "waiting.txt": draw_ascii(diagram_of(waiting_graph())),
        "asking-run.svg": draw_svg(asking, runs),
        "workflow.svg": draw_svg(diagram_of(embedding_graph(), xray=True)),
        "asking-run.mmd": draw_mermaid(asking_graph(), runs),
    }


@pytest.mark.parametrize("name", list(snapshots()))
def test_a_drawing_is_what_it_was(name: str) -> None:
    assert snapshots()[name] == (SNAPSHOTS / name).read_text("utf-8")


def test_a_run_is_summed_over_the_steps_of_each_node(runs: dict[str, NodeTotals]) -> None:
    assert list(runs) == ["coordinator", "vision", "answer"]
    assert runs["coordinator"].detail == "×2 · 12 ms · 1 call"
    assert (runs["vision"].state, runs["answer"].state) == ("visited", "failed")


def test_the_svg_says_what_happened_to_those_who_do_not_see_it(
    diagram: Diagram, runs: dict[str, NodeTotals]
) -> None:
    svg = ElementTree.fromstring(draw_svg(diagram, runs))
    assert svg.get("role") == "img"
    assert "answer failed, 80 ms · 1 call, no answer: <RuntimeError>" in (
        svg.get("aria-label") or ""
    )


def test_the_svg_needs_nothing_beside_it(diagram: Diagram, runs: dict[str, NodeTotals]) -> None:
    for drawn in (draw_svg(diagram, runs), draw_html(diagram, runs)):
        outside = drawn.replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not re.findall(r"https?://|<script|@import|url\(|href=", outside)
        assert "prefers-color-scheme: dark" in drawn


def test_nodes_with_breakpoints_are_buttons(diagram: Diagram) -> None:
    svg = draw_svg(diagram, breakpoints={"detector": frozenset({"before"})}, chosen="vision")
    buttons = re.findall(r'<g[^>]* role="button"[^>]*data-node="(\w+)"', svg)
    assert sorted(buttons) == ["answer", "coordinator", "detector", "verifier", "vision"]
    (pressed,) = re.findall(r'data-node="\w+"', "".join(re.findall(
        r'<g[^>]*aria-pressed="true"[^>]*>', svg)))  # fmt: skip
    assert pressed == 'data-node="vision"'
    (dot,) = re.findall(r'<circle class="dot set"[^>]*>', svg)
    assert 'data-break="detector" data-when="before"' in dot


def test_a_name_is_no_markup() -> None:
    from graphs.drawing import DiagramNode

    bad = Diagram((DiagramNode("<b>&\"'", "<b>&\"'"),), (), title="<i>")
    for drawn in (draw_svg(bad), draw_html(bad), draw_svg(bad, breakpoints={})):
        assert "<b>" not in drawn and "<i>" not in drawn
    ElementTree.fromstring(draw_svg(bad, breakpoints={}))


@pytest.mark.parametrize("dark", [False, True])
def test_the_png_has_the_paper_and_the_colours_of_its_theme(
    diagram: Diagram, runs: dict[str, NodeTotals], dark: bool
) -> None:
    picture = Image.open(io.BytesIO(draw_png(diagram, runs, dark=dark)))
    pixels = {colour for _, colour in picture.getcolors(1 << 20) or ()}
    failed = (255, 138, 128) if dark else (178, 24, 43)
    assert picture.getpixel((0, 0)) == ((13, 17, 23) if dark else (255, 255, 255))
    assert failed in pixels


def test_the_page_lists_the_steps(diagram: Diagram, runs: dict[str, NodeTotals]) -> None:
    page = draw_html(diagram, runs)
    assert '<th scope="row">coordinator</th><td>visited</td><td class="number">2</td>' in page
    assert "no answer: &lt;RuntimeError&gt;" in page


if __name__ == "__main__":
    SNAPSHOTS.mkdir(exist_ok=True)
    for file, drawn in snapshots().items():
        (SNAPSHOTS / file).write_text(drawn, "utf-8")
