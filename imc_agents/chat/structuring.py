"""Methods of the chat model that bind tools and return structured answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from imc_agents.chat.prompt_tokens import ImageFeatures
from imc_agents.chat.structured import StructuredAnswer, ask_structured, structured_runnable
from imc_agents.chat.tool_calls import forced_tools

__all__ = ["StructuredOutputMixin"]


class StructuredOutputMixin:
    """`bind_tools`, `ask_structured` and `with_structured_output` of `ChatLocalMLLM`."""

    def bind_tools(
        self: Any,  # the other base brings LangChain's `bind`
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Offer tools; the calls come back as `tool_calls` of the answer.

        Args:
            tools: anything LangChain takes for a tool.
            tool_choice: "any", "required" or True to force one of them, a name to force that one.
            **kwargs: bound as well.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
        forced_tools(described, tool_choice)  # an unknown name is refused now, not at the call
        bound: Runnable[LanguageModelInput, AIMessage] = self.bind(
            tools=described, tool_choice=tool_choice, **kwargs
        )
        return bound

    def ask_structured(
        self,
        messages: Sequence[BaseMessage],
        schema: Any,
        *,
        features: ImageFeatures | None = None,
        config: RunnableConfig | None = None,
        **settings: Any,
    ) -> StructuredAnswer:
        """Ask for an answer in a schema; raises no error for an unusable answer.

        Args:
            messages: the conversation.
            schema: a pydantic class, TypedDict, or JSON schema.
            features: precomputed features of the one image.
            config: LangChain run configuration.
            **settings: as for `generate_batch`.

        Returns:
            The value, or the reason why there is none after one repair.
        """
        return ask_structured(
            self, list(messages), schema, features=features, config=config, **settings
        )

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """A runnable that answers in a schema.

        Args:
            schema: a pydantic class (instances come back), TypedDict, or JSON schema.
            include_raw: answer with `{"raw", "parsed", "parsing_error"}`, failures included,
                instead of raising.
            **kwargs: `method` and `strict` are accepted and change nothing: there is one method.

        Raises:
            OutputParserException: (when run) two answers did not fit, and `include_raw` is False.
        """
        return structured_runnable(self, schema, include_raw=include_raw, **kwargs)
