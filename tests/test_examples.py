"""The examples do what their first lines say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from examples import agent_with_imc_tool, compare_two_images, other_agents
from examples.embed_in_workflow import run_until_signature, sign
from examples.make_phantoms import SIDE, main
from examples.own_noise_and_method import measure
from graphs import IMCContext, build_imc_graph, imc_tool, load_context
from tests.conftest import REPOSITORY

IMAGE = REPOSITORY / "examples" / "phantom_ct.png"


@pytest.fixture(scope="module")
def context(tiny_llava: Path) -> IMCContext:
    return load_context(tiny_llava)


def test_a_workflow_waits_for_its_signature_and_resumes_from_the_file(
    context: IMCContext, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = tmp_path / "studies.sqlite"
    draft = run_until_signature(database, context, IMAGE, "Is there a bleed?", "study-1")
    assert draft.startswith("URGENT\nQuestion: Is there a bleed?\nAnswer: ")

    passes = context.chat.calls  # type: ignore[attr-defined]
    state = sign(database, context, "study-1", "A. Reader")
    assert state["signed_by"] == "A. Reader"
    assert state["draft"] == draft
    assert context.chat.calls == passes  # type: ignore[attr-defined]
    assert not caplog.records  # every type of the file is one that was asked for


def test_a_rejected_draft_is_asked_again(context: IMCContext, tmp_path: Path) -> None:
    database = tmp_path / "studies.sqlite"
    run_until_signature(database, context, IMAGE, "What organ is shown?", "study-2")
    again = sign(database, context, "study-2", "")
    assert again["draft"].startswith("Routine\n")
    assert sign(database, context, "study-2", "B. Reader")["signed_by"] == "B. Reader"


def test_no_pixels_reach_the_file(context: IMCContext, tmp_path: Path) -> None:
    database = tmp_path / "studies.sqlite"
    run_until_signature(database, context, IMAGE, "What organ is shown?", "study-3")
    image_row = np.asarray(Image.open(IMAGE))[SIDE // 2, 100:132].tobytes()
    assert image_row not in database.read_bytes()


def test_imc_runs_twice_in_one_workflow_and_stops_in_it_for_a_person(
    context: IMCContext, caplog: pytest.LogCaptureFixture
) -> None:
    reviewed = context.with_policy(review="always")
    workflow = compare_two_images.build_workflow()
    given = {
        "question": "What organ is shown?",
        "current": str(IMAGE),
        "prior": str(IMAGE.with_name("phantom_mri.png")),
    }
    before = [*compare_two_images.steps(workflow, given, reviewed)]
    for part in ("current", "prior"):
        assert {(part, "vision"), (part, "coordinator")} <= set(before)
        assert (part, "answer") not in before
    approved = compare_two_images.approvals(workflow)
    after = [*compare_two_images.steps(workflow, approved, reviewed)]
    assert {("current", "answer"), ("prior", "answer"), ("workflow", "compare")} <= set(after)
    assert workflow.get_state(compare_two_images.THREAD).values["report"]
    assert not caplog.records


def test_an_agent_is_answered_by_the_tool_and_told_of_refusals(context: IMCContext) -> None:
    agent = agent_with_imc_tool.build_agent(imc_tool(context, image_root=IMAGE.parent))
    said = agent_with_imc_tool.ask(agent, "phantom_ct.png: What organ is shown?")
    assert said.startswith("The tool says:\nAnswer: ")
    refused = agent_with_imc_tool.ask(agent, "/etc/passwd: What organ is shown?")
    assert refused.startswith("The tool says:\nRefused: the image cannot be read")


def test_the_agents_run_on_another_chat_model_with_its_own_prompts(context: IMCContext) -> None:
    mixed = other_agents.with_word_list(context)
    passes = context.chat.calls  # type: ignore[attr-defined]
    state = build_imc_graph().invoke(
        {"image": str(IMAGE), "question": "What modaliy is this?"}, context=mixed
    )
    assert state["decision"].used == "What modality is this?"
    assert context.chat.calls == passes + 1  # type: ignore[attr-defined]  # the answer alone
    notes = [step.note for step in state["trace"] if step.node == "coordinator"]
    assert "gives no log-likelihoods" in notes[0]


def test_the_example_images_are_the_ones_that_are_drawn(tmp_path: Path) -> None:
    for path, _ in main(tmp_path):
        drawn = np.asarray(Image.open(path)).astype(int)
        kept = np.asarray(Image.open(REPOSITORY / "examples" / path.name)).astype(int)
        assert drawn.shape[:2] == (SIDE, SIDE)
        # libraries of other versions may round otherwise, by a grey level
        assert np.abs(drawn - kept).max() <= 1


@pytest.mark.usefixtures("forget_plugins")
def test_a_noise_and_a_method_of_ones_own_are_measured(
    embedded_model: Path, tmp_path: Path
) -> None:
    table = measure(load_context(embedded_model), tmp_path / "dust.db", limit=6)
    assert "| image | swept |" in table
    assert "dust" in table
