"""Tool calling by text: tools are described in the prompt, calls are parsed from the answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import BaseMessage, InvalidToolCall, SystemMessage, ToolCall
from langchain_core.messages.tool import invalid_tool_call, tool_call

from imc_agents.chat.structured import find_json
from imc_agents.errors import QuestionRefused

__all__ = ["call_schema", "forced_tools", "read_tool_calls", "tool_messages"]

Tool = dict[str, Any]  # an OpenAI-style tool: {"type": "function", "function": {...}}


def forced_tools(tools: Sequence[Tool], tool_choice: Any) -> list[Tool]:
    """The tools one of which must be called; none when the model is free to answer in words.

    Args:
        tools: all the tools on offer.
        tool_choice: "auto", "none", None or False for free; "any", "required" or True for any
            tool; a tool's name, or the OpenAI dictionary that names one.

    Raises:
        QuestionRefused: the named tool is not on offer.
    """
    if tool_choice in (None, False, "auto", "none"):
        return []
    if tool_choice in (True, "any", "required"):
        return list(tools)
    name = tool_choice
    if isinstance(tool_choice, dict):
        name = tool_choice.get("function", tool_choice).get("name")
    named = [tool for tool in tools if tool["function"]["name"] == name]
    if not named:
        known = ", ".join(tool["function"]["name"] for tool in tools)
        raise QuestionRefused(f"tool_choice {name!r} is none of the tools: use one of {known}")
    return named


def tool_messages(
    messages: list[BaseMessage], tools: Sequence[Tool], forced: Sequence[Tool]
) -> list[BaseMessage]:
    """Describe the tools ahead of the messages."""
    described = "\n".join(json.dumps(t["function"], ensure_ascii=False) for t in (forced or tools))
    rule = "Call one of them" if forced else "When one of them helps, call it"
    asked = SystemMessage(
        f"You have these tools:\n{described}\n{rule} by answering with only "
        '{"name": <tool name>, "arguments": <object with its arguments>}.'
    )
    return [asked, *messages]


def call_schema(tools: Sequence[Tool]) -> dict[str, Any]:
    """The JSON schema of a call of one of the tools."""
    calls: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for tool in tools:
        parameters = dict(tool["function"].get("parameters") or {"type": "object"})
        definitions.update(parameters.pop("$defs", {}))
        calls.append(
            {
                "type": "object",
                "properties": {
                    "name": {"const": tool["function"]["name"]},
                    "arguments": parameters,
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
        )
    schema = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {**schema, "$defs": definitions} if definitions else schema


def read_tool_calls(
    text: str, tools: Sequence[Tool]
) -> tuple[str, list[ToolCall], list[InvalidToolCall]]:
    """Find tool calls in an answer.

    Args:
        text: what the model wrote; calls may stand in fences, tags, lists or prose.
        tools: the tools on offer.

    Returns:
        The words beside the calls ("" when any call was found), the calls, and those whose
        arguments cannot be read or that name no known tool.
    """
    known = {tool["function"]["name"] for tool in tools}
    calls: list[ToolCall] = []
    wrong: list[InvalidToolCall] = []
    found = find_json(text)
    for held in (one for group in found for one in (group if isinstance(group, list) else [group])):
        if not isinstance(held, dict):
            continue
        function = held.get("function")
        inner: dict[str, Any] = function if isinstance(function, dict) else held
        name = inner.get("name")
        if not isinstance(name, str) or not {"arguments", "parameters", "args"} & inner.keys():
            continue
        arguments = next(inner[k] for k in ("arguments", "parameters", "args") if k in inner)
        if isinstance(arguments, str):
            parsed = [one for one in find_json(arguments) if isinstance(one, dict)]
            arguments = parsed[0] if parsed else arguments
        identity = f"call_{uuid4().hex[:12]}"
        if name in known and isinstance(arguments, dict):
            calls.append(tool_call(name=name, args=arguments, id=identity))
        else:
            fault = "arguments are no object" if name in known else "no such tool"
            wrong.append(
                invalid_tool_call(name=name, args=json.dumps(arguments), id=identity, error=fault)
            )
    return ("" if calls else text), calls, wrong
