"""LangChain's own conformance suites, over a tiny llava.

What does not apply, and why (the suites skip these by themselves from the properties below):

- `test_serdes`: weights in memory cannot be serialised; the class declares itself so.
- `*_model_override`: one instance holds one loaded model; another is another instance.
- `test_init_from_env`: nothing is read from the environment below the command line.
- PDF, audio: the models read text and images.
- `test_stream_time`: needs recorded network traffic; nothing goes over the network.
- `test_image_inputs`, `test_image_tool_message`, `test_anthropic_inputs` download their picture:
  `httpx.get` answers with a local one. Image URLs are refused by default, so
  `supports_image_urls` is False.

Random weights cannot decide to call a tool or tell a joke. In the integration suite a script says
the words where content is asserted; template, decoding, streaming and parsing are the real ones.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import httpx
import pytest
from langchain_core.language_models import BaseChatModel
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests

from imc_agents.chat.chat_model import ChatLocalMLLM
from imc_agents.chat.loading import LocalMLLM
from imc_agents.chat.structured import find_json
from tests.imc_agents.chat_helpers import picture, png
from tests.scripted_model import ScriptedChat
from tests.tiny_models import build_tiny


def _mllm() -> LocalMLLM:
    tiny = build_tiny("llava")
    return LocalMLLM(tiny.model, tiny.processor, "tiny-llava", "")


def _example(schema: dict[str, Any], asked: str) -> Any:
    """A value of a JSON schema, taking names and numbers from the question."""
    if "properties" in schema or schema.get("type") == "object":
        return {name: _example(part, asked) for name, part in schema.get("properties", {}).items()}
    if schema.get("type") == "integer":
        return 3
    quoted = re.search(r"named '([^']+)'", asked)
    return quoted.group(1) if quoted else "a cat"


def _reply(prompt: str) -> str | None:
    """Call the first tool on offer, fill the schema asked for, else leave it to the weights."""
    asked = prompt.rpartition("<|user|>")[2].removesuffix("<|assistant|>")
    system = prompt.partition("<|user|>")[0]
    if "JSON schema:" in system:
        schema = find_json(system.partition("JSON schema:")[2])[0]
        return json.dumps(_example(schema, asked), ensure_ascii=False)
    if "You have these tools" in system and "Tool result" not in asked:
        tool = find_json(system)[0]
        arguments = _example(tool.get("parameters", {"type": "object"}), asked)
        return json.dumps({"name": tool["name"], "arguments": arguments}, ensure_ascii=False)
    return None


class TestUnit(ChatModelUnitTests):
    """Construction, binding and standard parameters."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatLocalMLLM

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"mllm": _mllm()}

    @property
    def supports_model_override(self) -> bool:
        return False


class TestIntegration(ChatModelIntegrationTests):
    """Answers, streams, batches, tools, structured output and images."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ScriptedChat

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"mllm": _mllm(), "script": _reply, "max_tokens": 120}

    @property
    def supports_model_override(self) -> bool:
        return False

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @pytest.fixture(autouse=True)
    def local_picture(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The suite downloads its pictures: give it one of ours."""
        reply = httpx.Response(200, content=base64.b64decode(png(picture())))
        monkeypatch.setattr(httpx, "get", lambda *args, **kwargs: reply)
