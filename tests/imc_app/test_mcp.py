"""`imc mcp`: ask, perceive and refine for a client of the Model Context Protocol."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from graphs import load_context
from imc_app.mcp_server import Tools, build_server
from tests.conftest import REPOSITORY
from tests.fakes import FakeCalibrator
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of
from tests.imc_app.bad_files import grey_png

pytest.importorskip("mcp", reason="needs the extra `mcp`")
from mcp import Client, StdioServerParameters  # noqa: E402


async def call(tools: Tools, name: str, **arguments: Any) -> Any:
    """What a client of the server of these tools gets."""
    async with Client(build_server(tools)) as client:
        return await client.call_tool(name, arguments)


def document(result: Any) -> Any:
    assert not result.is_error, result.content[0].text
    return json.loads(result.content[0].text)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    grey_png(tmp_path).rename(tmp_path / "scan.png")
    context = context_of(calibrator=FakeCalibrator("gaussian"))
    return Tools(lambda: context, tmp_path)


async def test_three_tools_are_offered_with_their_arguments(tools: Tools) -> None:
    async with Client(build_server(tools)) as client:
        offered = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(offered) == {"ask", "perceive", "refine"}
    assert set(offered["ask"].input_schema["required"]) == {"image", "question"}
    assert "medical image" in (offered["ask"].description or "")


async def test_a_question_is_answered(tools: Tools, tmp_path: Path) -> None:
    encoded = base64.b64encode((tmp_path / "scan.png").read_bytes()).decode()
    for image in ("scan.png", f"data:image/png;base64,{encoded}"):
        found = document(await call(tools, "ask", image=image, question=TYPO))
        assert (found["answer"], found["question"]["used"]) == ("yes", CLEAN)
    plain = document(await call(tools, "ask", image="scan.png", question=TYPO, method="none"))
    assert plain["question"]["used"] == TYPO


async def test_a_question_is_refined(tools: Tools) -> None:
    assert document(await call(tools, "refine", question=TYPO))["used"] == CLEAN


async def test_the_noise_of_an_image_is_found(embedded_model: Path) -> None:
    tools = Tools(lambda: load_context(embedded_model), REPOSITORY / "examples")
    found = document(await call(tools, "perceive", image="phantom_ct.png"))
    assert found["width"] == 256
    assert found["noise"]["kind"] == "clean"


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("ask", {"image": "/etc/passwd", "question": CLEAN}, "the image cannot be read"),
        ("ask", {"image": "scan.png", "question": ""}, "question"),
        ("ask", {"image": "scan.png", "question": CLEAN, "method": "all"}, "method"),
        ("perceive", {"image": "none.png"}, "the image cannot be read"),
        ("refine", {"question": "\x00"}, "question"),
    ],
)
async def test_a_refusal_is_the_text_of_a_failed_call(
    tools: Tools, name: str, arguments: dict[str, Any], says: str
) -> None:
    result = await call(tools, name, **arguments)
    assert result.is_error
    assert says in result.content[0].text


async def test_a_fault_of_ours_tells_nothing_of_the_question(tmp_path: Path) -> None:
    def fail() -> Any:
        raise RuntimeError("patient Doe")

    result = await call(Tools(fail, tmp_path), "refine", question=CLEAN)
    assert result.is_error
    assert "Doe" not in result.content[0].text


@pytest.mark.slow
async def test_a_client_starts_the_command_and_asks(embedded_model: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "imc_app.cli", "mcp", "--image-root", str(REPOSITORY / "examples")],
        cwd=REPOSITORY,
    )
    async with Client(command) as client:
        asked = {"image": "phantom_ct.png", "question": "What modaliy is this?"}
        found = document(await client.call_tool("ask", asked))
    assert (found["answer"], found["question"]["used"]) == ("ct", "What modality is this?")
