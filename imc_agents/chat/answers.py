"""Generated answers as LangChain messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk

from imc_agents.chat.decoding import Generated
from imc_agents.chat.tool_calls import read_tool_calls

__all__ = ["answer_message", "as_chunk", "usage_of"]


def usage_of(answer: Generated) -> UsageMetadata:
    """Token counts of the prompt and of the answer."""
    written = len(answer.token_ids)
    return UsageMetadata(
        input_tokens=answer.prompt_tokens,
        output_tokens=written,
        total_tokens=answer.prompt_tokens + written,
    )


def answer_message(
    answer: Generated, model_name: str, tools: Sequence[dict[str, Any]]
) -> AIMessage:
    """One answer as a message.

    Args:
        answer: the generated answer.
        model_name: the model's name.
        tools: the tools in the prompt; calls of them are parsed from the text.
    """
    text, calls, wrong = read_tool_calls(answer.text, tools) if tools else (answer.text, [], [])
    return AIMessage(
        content=text,
        tool_calls=calls,
        invalid_tool_calls=wrong,
        usage_metadata=usage_of(answer),
        response_metadata={
            "model_name": model_name,
            "model_provider": "local",
            "finish_reason": answer.finish_reason,
            "confidence": answer.confidence,
            "token_logprobs": list(answer.token_logprobs),
        },
    )


def as_chunk(message: AIMessage) -> AIMessageChunk:
    """A complete message as the only chunk of a stream."""
    return AIMessageChunk(
        content=message.content,
        tool_call_chunks=[
            tool_call_chunk(
                name=call["name"],
                args=json.dumps(call["args"], ensure_ascii=False),
                id=call["id"],
                index=index,
            )
            for index, call in enumerate(message.tool_calls)
        ],
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
