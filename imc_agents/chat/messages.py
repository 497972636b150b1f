"""LangChain messages as the plain conversation a chat template renders.

A conversation is a list of turns `{"role": "system" | "user" | "assistant", "content": [part]}`
with parts `{"type": "text", "text": ...}` and `{"type": "image"}`; neighbouring turns of one role
are merged, because many templates insist that roles alternate. A single turn `untemplated` is a
prompt as it stands. Tool calls and tool results become text, because chat templates render them
differently or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from PIL import Image

from imc_agents.chat.image_blocks import is_image_block, read_image_block
from imc_agents.errors import QuestionRefused
from imc_agents.requests import UNTEMPLATED

__all__ = ["Conversation", "Turn", "read_conversation"]

Role = Literal["system", "user", "assistant", "untemplated"]


@dataclass(frozen=True)
class Turn:
    """One turn: its role and its parts in reading order; a part is a text or None for an image."""

    role: Role
    parts: tuple[str | None, ...]


@dataclass(frozen=True)
class Conversation:
    """Turns and the images of their image parts, in order; no images when features stand for one.

    Attributes:
        turns: the turns, neighbours of one role merged.
        images: RGB images, one per image part; empty with `placeholder`.
        placeholder: whether the only image part stands for precomputed features.
    """

    turns: tuple[Turn, ...]
    images: tuple[Image.Image, ...] = ()
    placeholder: bool = False


def _role_of(message: BaseMessage) -> Role:
    if isinstance(message, SystemMessage):
        return "system"
    if isinstance(message, AIMessage):
        return "assistant"
    if isinstance(message, (HumanMessage, ToolMessage)):
        return "user"
    if isinstance(message, ChatMessage):
        roles: dict[str, Role] = {
            "system": "system",
            "developer": "system",
            "assistant": "assistant",
            "ai": "assistant",
            UNTEMPLATED: "untemplated",
        }
        return roles.get(message.role.lower(), "user")
    raise QuestionRefused(
        f"message of type {type(message).__name__} cannot be shown to the model: "
        "use system, human, AI or tool messages"
    )


def _blocks(message: BaseMessage) -> list[Any]:
    """The message's content blocks; tool calls and tool results spelled out as text blocks."""
    content = message.content
    blocks: list[Any] = [content] if isinstance(content, str) else list(content)
    if isinstance(message, AIMessage):
        # Blocks that repeat the tool calls are dropped: the calls themselves follow as text.
        blocks = [b for b in blocks if not (isinstance(b, dict) and b.get("type") in _CALL_BLOCKS)]
        blocks += [
            json.dumps({"name": call["name"], "arguments": call["args"]}, ensure_ascii=False)
            for call in message.tool_calls
        ]
    if isinstance(message, ToolMessage):
        outcome = "failed" if message.status == "error" else "result"
        blocks.insert(0, f"Tool {outcome} ({message.name or message.tool_call_id}): ")
    return blocks


_CALL_BLOCKS = frozenset({"tool_use", "tool_call", "function_call", "input_json_delta"})
_SILENT_BLOCKS = frozenset({"thinking", "reasoning", "redacted_thinking", "non_standard"})


def read_conversation(
    messages: Sequence[BaseMessage], *, placeholder: bool, allow_remote_images: bool = False
) -> Conversation:
    """Turn LangChain messages into a conversation with decoded images.

    Args:
        messages: system, human, AI and tool messages.
        placeholder: precomputed features stand for the one image. An image block, if there is one,
            marks their place and its pixels are not read; with none, the place is before the text
            of the last human message.
        allow_remote_images: whether http(s) image URLs may be fetched.

    Returns:
        The conversation.

    Raises:
        QuestionRefused: no messages, an unreadable or remote image, an unknown block, or more than
            one image beside precomputed features.
    """
    if not messages:
        raise QuestionRefused("no messages: give at least one human message")
    images: list[Image.Image] = []
    turns: list[tuple[Role, list[str | None]]] = []
    last_human: tuple[int, int] | None = None
    for message in messages:
        role = _role_of(message)
        if not turns or turns[-1][0] != role:
            turns.append((role, []))
        elif turns[-1][1] and turns[-1][1][-1] is not None:
            turns[-1][1].append("\n")
        parts = turns[-1][1]
        if isinstance(message, HumanMessage):
            last_human = (len(turns) - 1, len(parts))
        for block in _blocks(message):
            if is_image_block(block):
                if not placeholder:
                    images.append(read_image_block(block, allow_remote=allow_remote_images))
                parts.append(None)
            else:
                text = _text_of(block)
                if text:
                    parts.append(text)
    if len(turns) > 1 and any(role == UNTEMPLATED for role, _ in turns):
        raise QuestionRefused("a prompt without a chat template is one message: give no others")
    slots = sum(part is None for _, parts in turns for part in parts)
    if placeholder and slots > 1:
        raise QuestionRefused(
            f"features stand for one image, the messages hold {slots}: leave one image block"
        )
    if placeholder and not slots:
        if last_human is None:
            raise QuestionRefused("features without a human message: add the question")
        turns[last_human[0]][1].insert(last_human[1], None)
    return Conversation(
        tuple(Turn(role, tuple(parts)) for role, parts in turns), tuple(images), placeholder
    )


def _text_of(block: Any) -> str:
    """The text of one content block; "" for blocks that are not shown to the model."""
    if isinstance(block, str):
        return block
    if isinstance(block, dict):
        kind = block.get("type")
        if kind in (None, "text", "input_text", "output_text") and isinstance(
            block.get("text"), str
        ):
            return str(block["text"])
        if kind == "tool_result":
            inner = block.get("content", "")
            inner_blocks = [inner] if isinstance(inner, str) else list(inner)
            return "Tool result: " + "".join(_text_of(part) for part in inner_blocks)
        if kind in _SILENT_BLOCKS:
            return ""
        raise QuestionRefused(
            f"content block of type {kind!r} cannot be shown to this model: give text and images"
        )
    raise QuestionRefused(
        f"content block of type {type(block).__name__}: give a text or a dictionary with a type"
    )
