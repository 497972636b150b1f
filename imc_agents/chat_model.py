"""A LangChain chat model over a local multimodal model, with what IMC lives on beyond the contract.

`features=` in place of pixels, `score` (the model's own surprisal), `choose` (probabilities over
fixed options), and answers in batches. Greedy by default: the same request gives the same answer.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import InvalidToolCall, ToolCall, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import AliasChoices, Field, PrivateAttr

from imc_agents.decoding import DecodingSettings, Generated, TextPump, generate_texts
from imc_agents.errors import QuestionRefused
from imc_agents.loading import LocalMLLM, load_local_mllm
from imc_agents.prompt_tokens import ImageFeatures, PromptEncoder
from imc_agents.scoring import Choice, TextScore, TextScorer, TokenScore, make_choice
from imc_agents.structured import (
    Grammar,
    StructuredAnswer,
    json_schema_of,
    parse_structured,
    repair_messages,
    schema_messages,
)
from imc_agents.tool_calls import call_schema, forced_tools, read_tool_calls, tool_messages

__all__ = [
    "ChatLocalMLLM",
    "Choice",
    "ImageFeatures",
    "StructuredAnswer",
    "TextScore",
    "TokenScore",
]


class ChatLocalMLLM(BaseChatModel):
    """Any HF image-text-to-text model as a LangChain chat model.

    Built with `from_pretrained` or `from_parts`. Every call holds one lock, so one instance may
    be shared by threads and event loops.

    Attributes:
        mllm: the model and its processor.
        max_tokens: longest answer in tokens (also accepted as `max_new_tokens`).
        temperature: 0 for greedy (the default); above, sampling.
        seed: makes sampling repeatable; None for a fresh draw.
        stop: texts that end every answer.
        timeout: seconds after which an answer is cut off; None for never.
        allow_remote_images: whether http(s) image URLs in messages are fetched.
        batch_size: most prompts in one `generate`.
    """

    mllm: LocalMLLM = Field(exclude=True, repr=False)
    max_tokens: int = Field(
        default=128, ge=1, validation_alias=AliasChoices("max_tokens", "max_new_tokens")
    )
    temperature: float = Field(default=0.0, ge=0.0)
    seed: int | None = 0
    stop: list[str] | None = None
    timeout: float | None = Field(default=None, gt=0.0)
    allow_remote_images: bool = False
    batch_size: int = Field(default=16, ge=1)

    _lock: threading.RLock = PrivateAttr(default_factory=threading.RLock)
    _encoder: PromptEncoder = PrivateAttr()
    _scorer: TextScorer = PrivateAttr()
    _generations: int = PrivateAttr(default=0)
    _grammar: Grammar | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Prepare the prompt encoder; refuses a model without precomputed image features."""
        super().model_post_init(context)
        self._encoder = PromptEncoder(
            self.mllm.model, self.mllm.processor, self.allow_remote_images
        )
        self._scorer = TextScorer(self._encoder)

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        trust_remote_code: bool = False,
        local_files_only: bool = True,
        **settings: Any,
    ) -> Self:
        """Load a model folder; see `load_local_mllm` for the arguments and what is refused.

        Args:
            path: model folder or cached hub id.
            device: see `load_local_mllm`.
            dtype: see `load_local_mllm`.
            trust_remote_code: see `load_local_mllm`.
            local_files_only: see `load_local_mllm`.
            **settings: this class's attributes (`max_tokens`, `temperature`, ...).
        """
        mllm = load_local_mllm(
            path,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            local_files_only=local_files_only,
        )
        return cls(mllm=mllm, **settings)

    @classmethod
    def from_parts(
        cls, model: Any, processor: Any, name: str = "local-mllm", **settings: Any
    ) -> Self:
        """Wrap a model and processor that are in memory already.

        Args:
            model: an image-text-to-text model in eval mode.
            processor: its processor.
            name: shown in answers and traces.
            **settings: this class's attributes.
        """
        return cls(mllm=LocalMLLM(model, processor, name, ""), **settings)

    @property
    def model(self) -> Any:
        """The model."""
        return self.mllm.model

    @property
    def processor(self) -> Any:
        """The model's processor."""
        return self.mllm.processor

    @property
    def model_name(self) -> str:
        """The model's short name."""
        return self.mllm.name

    @property
    def calls(self) -> int:
        """How often the model ran: each batched `generate` and each batched scoring pass is one."""
        return self._generations + self._scorer.passes

    # --- LangChain's contract -----------------------------------------------------------------

    @property
    def _llm_type(self) -> str:
        return "local-mllm"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "seed": self.seed,
            "stop": self.stop,
        }

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        params = LangSmithParams(
            ls_provider="local",
            ls_model_type="chat",
            ls_model_name=self.model_name,
            ls_temperature=kwargs.get("temperature", self.temperature),
            ls_max_tokens=kwargs.get("max_tokens", self.max_tokens),
        )
        if endings := stop or self.stop:
            params["ls_stop"] = endings
        return params

    def _get_invocation_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        features = kwargs.pop("features", None)
        params = super()._get_invocation_params(stop, **kwargs)
        if features is not None:
            params["features"] = features.name  # traces get the name, never tensors
        return params

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        features: ImageFeatures | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = self.generate_batch([messages], features=[features], stop=stop, **kwargs)[0]
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def generate_batch(
        self,
        messages: Sequence[Sequence[BaseMessage]],
        *,
        features: Sequence[ImageFeatures | None] | None = None,
        stop: Sequence[str] | None = None,
        tools: Sequence[dict[str, Any]] = (),
        tool_choice: Any = None,
        response_schema: dict[str, Any] | None = None,
        **settings: Any,
    ) -> list[AIMessage]:
        """Answer many conversations, left-padded and run together.

        Args:
            messages: the conversations.
            features: precomputed image features of each; None for those without.
            stop: texts that end an answer.
            tools: OpenAI-style tools on offer.
            tool_choice: which must be called; see `bind_tools`.
            response_schema: JSON schema that the answers must follow where xgrammar is installed.
            **settings: `max_tokens` (or `max_new_tokens`), `temperature`, `seed`, `timeout` for
                this call alone; others are ignored, as chat models do.

        Returns:
            One message each, with `usage_metadata` and `response_metadata`: `model_name`,
            `finish_reason` ("stop" or "length"), `confidence` (geometric mean token probability)
            and `token_logprobs`.

        Raises:
            QuestionRefused: a conversation that cannot be put to the model.
            ModelRefused: features of another model.
        """
        given: Sequence[ImageFeatures | None] = features or [None] * len(messages)
        if len(given) != len(messages):
            raise QuestionRefused(
                f"{len(messages)} conversations and {len(given)} features: give one for each"
            )
        forced = forced_tools(tools, tool_choice) if tools else []
        asked = [
            tool_messages(list(one), tools, forced) if tools else list(one) for one in messages
        ]
        schema = call_schema(forced) if forced else response_schema
        answers: list[AIMessage] = []
        with self._lock:
            for first in range(0, len(asked), self.batch_size):
                part = slice(first, first + self.batch_size)
                prompts = [
                    self._encoder.encode(one, image)
                    for one, image in zip(asked[part], given[part], strict=True)
                ]
                self._generations += 1
                answers += [
                    self._message(one, tools)
                    for one in generate_texts(
                        self.model,
                        self.processor.tokenizer,
                        prompts,
                        self._decoding(stop, schema, settings),
                        context_tokens=self._encoder.context_tokens,
                    )
                ]
        return answers

    def _decoding(
        self, stop: Sequence[str] | None, schema: dict[str, Any] | None, settings: dict[str, Any]
    ) -> DecodingSettings:
        limit = settings.get("max_tokens") or settings.get("max_new_tokens") or self.max_tokens
        temperature = settings.get("temperature")
        processors: tuple[Any, ...] = ()
        if schema is not None and Grammar.available():
            if self._grammar is None:
                vocabulary = self.model.config.get_text_config().vocab_size
                self._grammar = Grammar(self.processor.tokenizer, vocabulary)
            processors = (self._grammar.processor(schema),)
        return DecodingSettings(
            max_new_tokens=int(limit),
            temperature=self.temperature if temperature is None else float(temperature),
            seed=settings.get("seed", self.seed),
            stop=tuple(stop if stop is not None else self.stop or ()),
            max_seconds=settings.get("timeout", self.timeout),
            processors=processors,
        )

    def _usage(self, answer: Generated) -> UsageMetadata:
        written = len(answer.token_ids)
        return UsageMetadata(
            input_tokens=answer.prompt_tokens,
            output_tokens=written,
            total_tokens=answer.prompt_tokens + written,
        )

    def _metadata(self, answer: Generated) -> dict[str, Any]:
        return {
            "model_name": self.model_name,
            "model_provider": "local",
            "finish_reason": answer.finish_reason,
            "confidence": answer.confidence,
            "token_logprobs": list(answer.token_logprobs),
        }

    def _message(self, answer: Generated, tools: Sequence[dict[str, Any]]) -> AIMessage:
        text = answer.text
        calls: list[ToolCall] = []
        wrong: list[InvalidToolCall] = []
        if tools:
            text, calls, wrong = read_tool_calls(answer.text, tools)
        return AIMessage(
            content=text,
            tool_calls=calls,
            invalid_tool_calls=wrong,
            usage_metadata=self._usage(answer),
            response_metadata=self._metadata(answer),
        )

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        features: ImageFeatures | None = None,
        tools: Sequence[dict[str, Any]] = (),
        tool_choice: Any = None,
        response_schema: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if tools:
            # A call is known only when it is complete: it comes as one piece.
            whole = self.generate_batch(
                [messages],
                features=[features],
                stop=stop,
                tools=tools,
                tool_choice=tool_choice,
                **settings,
            )[0]
            yield self._sent(_as_chunk(whole), run_manager)
            return
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        cancelled = threading.Event()

        def write() -> Generated:
            try:
                with self._lock:
                    decoding = self._decoding(stop, response_schema, settings)
                    prompt = self._encoder.encode(messages, features)
                    self._generations += 1
                    pump = TextPump(self.processor.tokenizer, decoding.stop, pieces.put)
                    return generate_texts(
                        self.model,
                        self.processor.tokenizer,
                        [prompt],
                        decoding,
                        context_tokens=self._encoder.context_tokens,
                        pump=pump,
                        cancelled=cancelled,
                    )[0]
            finally:
                pieces.put(None)

        with ThreadPoolExecutor(max_workers=1) as worker:
            writing = worker.submit(write)
            try:
                while (piece := pieces.get()) is not None:
                    yield self._sent(AIMessageChunk(content=piece), run_manager)
                answer = writing.result()
            finally:
                cancelled.set()  # the reader may have left early
        yield self._sent(
            AIMessageChunk(
                content="",
                usage_metadata=self._usage(answer),
                response_metadata=self._metadata(answer),
                chunk_position="last",
            ),
            run_manager,
        )

    @staticmethod
    def _sent(
        message: AIMessageChunk, run_manager: CallbackManagerForLLMRun | None
    ) -> ChatGenerationChunk:
        chunk = ChatGenerationChunk(message=message)
        if run_manager is not None:
            run_manager.on_llm_new_token(message.text, chunk=chunk)
        return chunk

    # --- tools and structured answers ---------------------------------------------------------

    def bind_tools(
        self,
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
        return self.bind(tools=described, tool_choice=tool_choice, **kwargs)

    def ask_structured(
        self,
        messages: Sequence[BaseMessage],
        schema: Any,
        *,
        features: ImageFeatures | None = None,
        config: RunnableConfig | None = None,
        **settings: Any,
    ) -> StructuredAnswer:
        """Ask for an answer in a schema; never raises for what the model wrote.

        Args:
            messages: the conversation.
            schema: a pydantic class, TypedDict, or JSON schema.
            features: precomputed features of the one image.
            config: LangChain run configuration.
            **settings: as for `generate_batch`.

        Returns:
            The value, or the reason why there is none after one repair.
        """
        described = json_schema_of(schema)
        asked = schema_messages(list(messages), described)
        settings.setdefault("max_tokens", max(self.max_tokens, 256))
        settings |= {"features": features, "response_schema": described}
        raw = self.invoke(asked, config, **settings)
        value, failure = parse_structured(raw.text, schema)
        if failure is None:
            return StructuredAnswer(value, None, raw)
        raw = self.invoke(repair_messages(asked, raw, failure), config, **settings)
        value, failure = parse_structured(raw.text, schema)
        return StructuredAnswer(value, failure, raw, repaired=failure is None)

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
        kwargs = {k: v for k, v in kwargs.items() if k not in ("method", "strict")}

        def ask(given: LanguageModelInput, config: RunnableConfig) -> Any:
            messages = self._convert_input(given).to_messages()
            answer = self.ask_structured(messages, schema, config=config, **kwargs)
            error = None
            if answer.failure is not None:
                error = OutputParserException(f"no structured answer: {answer.failure}")
            if include_raw:
                return {"raw": answer.raw, "parsed": answer.value, "parsing_error": error}
            if error is not None:
                raise error
            return answer.value

        return RunnableLambda(ask, name="structured_answer")

    # --- the model's own judgement ------------------------------------------------------------

    def score(
        self,
        messages: Sequence[BaseMessage],
        text: str,
        *,
        features: ImageFeatures | None = None,
    ) -> TextScore:
        """Log-probability of each token of `text`, were it the assistant's turn.

        Args:
            messages: the conversation before that turn.
            text: what to score; at least one character.
            features: precomputed features of the one image.

        Raises:
            QuestionRefused: empty text, or more than the model can read.
        """
        return self.score_batch([(messages, text)], features=[features])[0]

    def score_batch(
        self,
        items: Sequence[tuple[Sequence[BaseMessage], str]],
        *,
        features: Sequence[ImageFeatures | None] | None = None,
    ) -> list[TextScore]:
        """Score many texts at once; texts under one conversation share its computation.

        Args:
            items: (conversation, text) pairs.
            features: precomputed features for each; None for those without an image.

        Returns:
            One `TextScore` each, in order. Padding and sharing change a log-probability by
            rounding only.

        Raises:
            QuestionRefused: as for `score`.
        """
        return self._scores(items, features, ending=False)

    def choose(
        self,
        messages: Sequence[BaseMessage],
        options: Sequence[str],
        *,
        features: ImageFeatures | None = None,
    ) -> Choice:
        """Probabilities over fixed answers; no generation.

        Args:
            messages: the conversation.
            options: at least two different texts.
            features: precomputed features of the one image.

        Raises:
            QuestionRefused: fewer than two options, an empty or a repeated one.
        """
        return self.choose_batch([(messages, options)], features=[features])[0]

    def choose_batch(
        self,
        items: Sequence[tuple[Sequence[BaseMessage], Sequence[str]]],
        *,
        features: Sequence[ImageFeatures | None] | None = None,
    ) -> list[Choice]:
        """Choose for many conversations at once.

        Args:
            items: (conversation, options) pairs.
            features: precomputed features for each; None for those without an image.

        Returns:
            One `Choice` each, in order; see `imc_agents.scoring.make_choice` for the normalisation.

        Raises:
            QuestionRefused: as for `choose`.
        """
        for _, options in items:
            if len(options) < 2 or len(set(options)) < len(options):
                raise QuestionRefused(
                    f"{len(options)} options, {len(set(options))} of them different: "
                    "give at least two different ones"
                )
        given = features or [None] * len(items)
        scores = iter(
            self._scores(
                [(messages, option) for messages, options in items for option in options],
                [image for image, (_, options) in zip(given, items, strict=True) for _ in options],
                ending=True,
            )
        )
        return [make_choice(options, [next(scores) for _ in options]) for _, options in items]

    def _scores(
        self,
        items: Sequence[tuple[Sequence[BaseMessage], str]],
        features: Sequence[ImageFeatures | None] | None,
        *,
        ending: bool,
    ) -> list[TextScore]:
        if not items:
            return []
        given: Sequence[ImageFeatures | None] = features or [None] * len(items)
        if len(given) != len(items):
            raise QuestionRefused(f"{len(items)} texts and {len(given)} features: give one each")
        with self._lock:
            # One conversation object repeated over many texts is encoded once.
            prompts: dict[tuple[int, int], Any] = {}
            pairs = []
            for (messages, text), image in zip(items, given, strict=True):
                key = (id(messages), id(image))
                if key not in prompts:
                    prompts[key] = self._encoder.encode(messages, image)
                pairs.append((prompts[key], text))
            return self._scorer.score(pairs, ending=ending)


def _as_chunk(message: AIMessage) -> AIMessageChunk:
    """A complete message as the only chunk of a stream."""
    import json

    calls = [
        tool_call_chunk(
            name=call["name"],
            args=json.dumps(call["args"], ensure_ascii=False),
            id=call["id"],
            index=index,
        )
        for index, call in enumerate(message.tool_calls)
    ]
    return AIMessageChunk(
        content=message.content,
        tool_call_chunks=calls,
        usage_metadata=message.usage_metadata,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
