"""Methods of the chat model that answer many conversations in batched passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import get_config_list, run_in_executor

from imc_agents.chat.answers import answer_message
from imc_agents.chat.decoding import DecodingSettings
from imc_agents.chat.prompt_tokens import ImageFeatures
from imc_agents.chat.tool_calls import call_schema, forced_tools, tool_messages
from imc_agents.errors import ModelRefused, QuestionRefused

__all__ = ["BatchingMixin"]

_SETTINGS = {"max_tokens", "max_new_tokens", "temperature", "seed", "timeout"}
_REPLY_TOKENS = 8
"""Tokens of a reply beside the text that it repeats: quotation marks, a word before it, its end."""
# Settings that LangChain's agents and runnables bind to any chat model; they have no effect here.
_IGNORED = {
    "ls_structured_output_format",
    "output_version",
    "parallel_tool_calls",
    "stream",
    "stream_usage",
    "strict",
}


class BatchingMixin:
    """`generate_batch`, `batch` and `abatch` of `ChatLocalMLLM`."""

    def generate_batch(
        self: Any,  # engine and settings are the chat model's own
        messages: Sequence[Sequence[BaseMessage]],
        *,
        features: Sequence[ImageFeatures | None] | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] = (),
        tool_choice: Any = None,
        response_schema: dict[str, Any] | None = None,
        **settings: Any,
    ) -> list[AIMessage]:
        """Answer many conversations in left-padded batches.

        Args:
            messages: the conversations.
            features: precomputed image features of each; None for those without.
            stop: texts that end an answer.
            tools: OpenAI-style tools on offer.
            tool_choice: which must be called; see `bind_tools`.
            response_schema: JSON schema that the answers must follow where xgrammar is installed.
            **settings: `max_tokens` (or `max_new_tokens`; a number, or one for each conversation),
                `temperature`, `seed`, `timeout` for this call alone.

        Returns:
            One message each, with `usage_metadata` and `response_metadata`: `model_name`,
            `finish_reason` ("stop" or "length"), `confidence` (geometric mean token probability)
            and `token_logprobs`.

        Raises:
            QuestionRefused: the model cannot take a conversation.
            ModelRefused: features of another model.
            TypeError: a setting this model does not have.
        """
        forced = forced_tools(tools, tool_choice) if tools else []
        asked = [tool_messages(list(m), tools, forced) for m in messages] if tools else messages
        limits = settings.get("max_tokens")
        if isinstance(limits, list | tuple):
            if len(limits) != len(messages):
                raise QuestionRefused(
                    f"{len(messages)} conversations and {len(limits)} max_tokens: give one for each"
                )
            settings = {**settings, "max_tokens": max(limits, default=1)}
        else:
            limits = None
        answers = self._engine.generate(
            self._engine.encode(asked, features),
            self._decoding(stop, settings),
            call_schema(forced) if forced else response_schema,
            limits,
        )
        return [answer_message(answer, self.model_name, tools) for answer in answers]

    def batch(
        self: Any,  # the other base brings LangChain's `invoke`
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """Answer many inputs in batched passes of the model; callbacks run for each.

        Args:
            inputs: what `invoke` takes.
            config: one configuration, or one each.
            return_exceptions: return refusals in place of answers instead of raising them.
            **kwargs: as for `generate_batch`; `features` may be a list with one for each input.
        """
        features = kwargs.pop("features", None)
        each = list(features) if isinstance(features, list | tuple) else [features] * len(inputs)
        configs = get_config_list(config, len(inputs))
        try:
            whole = self.generate_batch(
                [self._convert_input(one).to_messages() for one in inputs], features=each, **kwargs
            )
        except (QuestionRefused, ModelRefused):
            if not return_exceptions:
                raise
            return [
                self._invoked(one, how, image, kwargs)
                for one, how, image in zip(inputs, configs, each, strict=True)
            ]
        return [
            self.invoke(one, how, features=image, written=answer, **kwargs)
            for one, how, image, answer in zip(inputs, configs, each, whole, strict=True)
        ]

    def _invoked(
        self: Any, one: LanguageModelInput, how: RunnableConfig, image: Any, kwargs: dict[str, Any]
    ) -> Any:
        try:
            return self.invoke(one, how, features=image, **kwargs)
        except (QuestionRefused, ModelRefused) as error:
            return error

    async def abatch(
        self: Any,
        inputs: list[LanguageModelInput],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AIMessage]:
        """`batch`, in a thread."""
        return await run_in_executor(
            None, self.batch, inputs, config, return_exceptions=return_exceptions, **kwargs
        )

    def reply_limit(self: Any, text: str) -> int:
        """Tokens after which a reply that repeats a text, corrected, is cut off.

        Half as many again as the text has, and some for what may stand before it; `max_tokens` at
        most.
        """
        tokens = len(self.processor.tokenizer(text, add_special_tokens=False)["input_ids"])
        return min(int(self.max_tokens), tokens + tokens // 2 + _REPLY_TOKENS)

    def _decoding(
        self: Any, stop: Sequence[str] | None, settings: dict[str, Any]
    ) -> DecodingSettings:
        unknown = settings.keys() - _SETTINGS - _IGNORED
        if unknown:
            raise TypeError(f"unknown setting {min(unknown)!r}: use {', '.join(sorted(_SETTINGS))}")
        limit = settings.get("max_tokens") or settings.get("max_new_tokens") or self.max_tokens
        temperature = settings.get("temperature")
        return DecodingSettings(
            max_new_tokens=int(limit),
            temperature=self.temperature if temperature is None else float(temperature),
            seed=settings.get("seed", self.seed),
            stop=tuple(stop if stop is not None else self.stop or ()),
            max_seconds=settings.get("timeout", self.timeout),
        )
