"""The graph as a LangChain tool: an answer or a refusal, both as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphs.context import IMCContext
from graphs.rooted_images import NOT_READ
from graphs.tool import imc_tool
from tests.fakes import FakeCalibrator, always, grey_square, small_chat
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of
from tests.imc_app.bad_files import grey_png
from vision.errors import ImageRefused


def call(tool: Any, **arguments: Any) -> Any:
    """The message that an agent gets."""
    return tool.invoke({"name": tool.name, "args": arguments, "id": "1", "type": "tool_call"})


@pytest.fixture
def context() -> IMCContext:
    return context_of(calibrator=FakeCalibrator("gaussian"))


def test_the_answer_is_a_sentence_with_the_document_beside_it(
    context: IMCContext, tmp_path: Path
) -> None:
    grey_png(tmp_path).rename(tmp_path / "scan.png")
    message = call(imc_tool(context, image_root=tmp_path), image="scan.png", question=TYPO)
    assert message.content.startswith("Answer: yes (confidence 0.90).\n")
    assert f"read as: {CLEAN}" in message.content
    assert "image: " in message.content
    assert message.artifact["question"]["original"] == TYPO
    assert message.status == "success"


async def test_it_runs_asynchronously_about_an_image_of_the_programs_own(
    context: IMCContext,
) -> None:
    name = context.images.put(grey_square())
    tool = imc_tool(context)
    asked = {"image": name, "question": CLEAN}
    message = await tool.ainvoke({"name": tool.name, "args": asked, "id": "1", "type": "tool_call"})
    assert message.content.startswith("Answer: yes")


@pytest.mark.parametrize(
    ("image", "question", "says"),
    [
        ("/etc/passwd", CLEAN, NOT_READ),
        ("../scan.png", CLEAN, NOT_READ),
        ("sha256:" + "0" * 64, CLEAN, "not stored"),
        ("held", " ", "question"),
    ],
)
def test_a_refusal_is_text_and_no_error(
    context: IMCContext, tmp_path: Path, image: str, question: str, says: str
) -> None:
    if image == "held":
        image = context.images.put(grey_square())
    message = call(imc_tool(context, image_root=tmp_path), image=image, question=question)
    assert message.content.startswith("Refused: ") and says in message.content
    assert message.artifact == {"refused": message.content.removeprefix("Refused: ")}


def test_without_a_root_an_agent_reads_no_file(context: IMCContext, tmp_path: Path) -> None:
    message = call(imc_tool(context), image=str(grey_png(tmp_path)), question=CLEAN)
    assert message.content == f"Refused: {NOT_READ}"


def test_a_model_that_fails_is_said(tmp_path: Path) -> None:
    context = context_of(small_chat(script=always(RuntimeError("patient Doe"))))
    name = context.images.put(grey_square())
    message = call(imc_tool(context), image=name, question=CLEAN)
    assert message.content == "No answer: RuntimeError"


def test_a_root_that_is_no_folder_is_refused_when_the_tool_is_made(
    context: IMCContext, tmp_path: Path
) -> None:
    with pytest.raises(ImageRefused, match="not a folder"):
        imc_tool(context, image_root=tmp_path / "none")


def test_the_tool_can_be_bound_to_a_model(context: IMCContext) -> None:
    schema = imc_tool(context, name="look_at_scan").tool_call_schema.model_json_schema()
    assert set(schema["required"]) == {"image", "question"}
