"""Structured answers: a value that fits the schema, or an explicit failure.

With xgrammar installed the answer is decoded under the schema's grammar. Without it the prompt
describes the schema, JSON is searched for in the answer, and an unusable answer is corrected once
by the model. If that is unusable too, the result is a failure with its reason.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

__all__ = [
    "Grammar",
    "StructuredAnswer",
    "ask_structured",
    "find_json",
    "parse_structured",
    "structured_runnable",
]

_MIN_TOKENS = 256  # enough for a small object, whatever the chat model's own limit

# Without these bounds a grammar admits answers of any length.
_MAX_STRING = 200
_MAX_ITEMS = 16


@dataclass(frozen=True)
class StructuredAnswer:
    """A structured answer, or why there is none.

    Attributes:
        value: the parsed object (an instance of the schema's class, else a dictionary); None on
            failure.
        failure: one line that says what was wrong; None on success.
        raw: the model's last message.
        repaired: whether the value came from the second attempt.
    """

    value: Any
    failure: str | None
    raw: AIMessage
    repaired: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is a value."""
        return self.failure is None


def json_schema_of(schema: Any) -> dict[str, Any]:
    """The JSON schema of a pydantic class, TypedDict or JSON-schema dictionary."""
    if isinstance(schema, Mapping):
        held = dict(schema)
        if "parameters" in held:  # an OpenAI function
            return dict(held["parameters"])
        return held
    return dict(convert_to_json_schema(schema))


def schema_messages(messages: list[BaseMessage], schema: dict[str, Any]) -> list[BaseMessage]:
    """Ask for an answer in a JSON schema, ahead of the messages."""
    asked = SystemMessage(
        "Answer with one JSON object and nothing else. It must follow this JSON schema:\n"
        + json.dumps(schema, ensure_ascii=False)
    )
    return [asked, *messages]


def repair_messages(
    messages: list[BaseMessage], wrong: AIMessage, failure: str
) -> list[BaseMessage]:
    """Show the model its unusable answer and ask once more."""
    return [
        *messages,
        AIMessage(wrong.text),
        HumanMessage(f"That is not usable: {failure}. Answer with the corrected JSON object only."),
    ]


def find_json(text: str) -> list[Any]:
    """Every outermost JSON object or array in a text, in order.

    Fences, tags and prose around them are skipped.
    """
    decoder = json.JSONDecoder()
    found: list[Any] = []
    place = 0
    while place < len(text):
        if text[place] not in "{[":
            place += 1
            continue
        try:
            held, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError:
            place += 1
            continue
        found.append(held)
    return found


def parse_structured(text: str, schema: Any) -> tuple[Any, str | None]:
    """Read a structured answer.

    Args:
        text: what the model wrote.
        schema: a pydantic class (validated), or another schema (required keys checked).

    Returns:
        (value, None), or (None, one line that says what is wrong, without the text itself).
    """
    objects = [held for held in find_json(text) if isinstance(held, dict)]
    if not objects:
        return None, f"no JSON object in the {len(text)} characters of the answer"
    held = objects[0]
    if is_basemodel_subclass(schema):
        read = getattr(schema, "model_validate", None) or schema.parse_obj  # pydantic 1 models
        try:
            return read(held), None
        except (ValidationError, ValidationErrorV1) as error:
            # Locations and kinds only: the values may be a patient's.
            wrong = [
                f"{'.'.join(map(str, one['loc'])) or 'object'}: {one['type']}"
                for one in error.errors()
            ]
            return None, "fields do not fit the schema: " + "; ".join(wrong[:5])
    required = json_schema_of(schema).get("required", [])
    absent = [name for name in required if name not in held]
    if absent:
        return None, "fields missing: " + ", ".join(absent)
    return held, None


def bounded(schema: dict[str, Any]) -> dict[str, Any]:
    """A copy of a schema in which every string and array has a longest length."""

    def close(node: Any) -> Any:
        if isinstance(node, list):
            return [close(part) for part in node]
        if not isinstance(node, dict):
            return node
        node = {name: close(part) for name, part in node.items()}
        kind = node.get("type")
        if kind == "string" and not {"enum", "const", "pattern", "format"} & node.keys():
            node.setdefault("maxLength", _MAX_STRING)
        if kind == "array":
            node.setdefault("maxItems", _MAX_ITEMS)
        if kind == "integer":
            node.setdefault("minimum", -(10**9))
            node.setdefault("maximum", 10**9)
        return node

    closed: dict[str, Any] = close(copy.deepcopy(schema))
    return closed


def ask_structured(
    chat: Any,
    messages: list[BaseMessage],
    schema: Any,
    *,
    features: Any = None,
    config: RunnableConfig | None = None,
    **settings: Any,
) -> StructuredAnswer:
    """Ask for an answer in a schema, with one repair; raises no error for an unusable answer.

    Args:
        chat: a `ChatLocalMLLM`.
        messages: the conversation.
        schema: a pydantic class, TypedDict, or JSON schema.
        features: precomputed features of the one image.
        config: LangChain run configuration.
        **settings: as for `ChatLocalMLLM.generate_batch`.

    Returns:
        The value, or the reason why there is none.
    """
    described = json_schema_of(schema)
    asked = schema_messages(messages, described)
    settings = {"max_tokens": max(chat.max_tokens, _MIN_TOKENS), **settings}
    settings |= {
        "features": features,
        "response_schema": described,
        "ls_structured_output_format": {"kwargs": {"method": "json_schema"}, "schema": schema},
    }
    raw = chat.invoke(asked, config, **settings)
    value, failure = parse_structured(raw.text, schema)
    if failure is None:
        return StructuredAnswer(value, None, raw)
    raw = chat.invoke(repair_messages(asked, raw, failure), config, **settings)
    value, failure = parse_structured(raw.text, schema)
    return StructuredAnswer(value, failure, raw, repaired=failure is None)


def structured_runnable(
    chat: Any, schema: Any, *, include_raw: bool, **settings: Any
) -> Runnable[LanguageModelInput, Any]:
    """The runnable that `with_structured_output` returns."""
    json_schema_of(schema)  # an impossible schema is refused now, not at the call
    settings = {k: v for k, v in settings.items() if k not in ("method", "strict")}

    def ask(given: LanguageModelInput, config: RunnableConfig) -> Any:
        if isinstance(given, PromptValue):
            messages = given.to_messages()
        else:
            messages = convert_to_messages([given] if isinstance(given, str) else given)
        answer = ask_structured(chat, messages, schema, config=config, **settings)
        error = None
        if answer.failure is not None:
            error = OutputParserException(f"no structured answer: {answer.failure}")
        if include_raw:
            return {"raw": answer.raw, "parsed": answer.value, "parsing_error": error}
        if error is not None:
            raise error
        return answer.value

    return RunnableLambda(ask, name="structured_answer")


class Grammar:
    """Compiles JSON schemas to token masks with xgrammar.

    Args:
        tokenizer: the model's tokenizer.
        vocab_size: columns of the model's logits (may exceed the tokenizer's own size).
    """

    def __init__(self, tokenizer: Any, vocab_size: int) -> None:
        import xgrammar

        self._xgrammar = xgrammar
        info = xgrammar.TokenizerInfo.from_huggingface(tokenizer, vocab_size=vocab_size)
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1)

    @staticmethod
    def available() -> bool:
        """Whether xgrammar is installed (the extra `constrained`)."""
        return find_spec("xgrammar") is not None

    def processor(self, schema: dict[str, Any]) -> Any:
        """A logits processor that admits only answers of the schema; a fresh one for each call."""
        from xgrammar.contrib.hf import LogitsProcessor

        compiled = self._compiler.compile_json_schema(
            json.dumps(bounded(schema)), any_whitespace=False
        )
        return LogitsProcessor(compiled)
