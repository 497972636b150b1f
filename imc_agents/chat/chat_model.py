"""A LangChain chat model over a local multimodal model, with the methods that IMC needs besides.

`features=` in place of pixels, `score` (log-probabilities of a given text), `choose` (probabilities
of given options), and batches. Greedy by default: the same request gives the same answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import AliasChoices, Field, PrivateAttr

from imc_agents.chat.answers import answer_message, as_chunk, usage_of
from imc_agents.chat.batching import BatchingMixin
from imc_agents.chat.engine import Engine
from imc_agents.chat.inspection import InspectionMixin
from imc_agents.chat.loading import LocalMLLM, load_local_mllm
from imc_agents.chat.placement import Dtype, Placement
from imc_agents.chat.prefix_store import PREFIX_BYTES
from imc_agents.chat.prompt_tokens import ImageFeatures, refuse_without_features
from imc_agents.chat.scores import Choice, TextScore, TokenScore
from imc_agents.chat.scoring_mixin import ScoringMixin
from imc_agents.chat.structured import StructuredAnswer
from imc_agents.chat.structuring import StructuredOutputMixin

__all__ = [
    "ChatLocalMLLM",
    "Choice",
    "ImageFeatures",
    "StructuredAnswer",
    "TextScore",
    "TokenScore",
]


class ChatLocalMLLM(
    BatchingMixin, InspectionMixin, ScoringMixin, StructuredOutputMixin, BaseChatModel
):
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
        batch_size: most prompts in one `generate`; see `Engine`.
        prefix_bytes: memory for what prompts begin with, images above all, held for the next
            question on it; 0 for none. See `imc_agents.chat.prefix_store`.
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
    prefix_bytes: int = Field(default=PREFIX_BYTES, ge=0)

    _engine: Engine = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Prepare the engine; refuses a model without precomputed image features."""
        super().model_post_init(context)
        self._engine = Engine(
            self.mllm.model,
            self.mllm.processor,
            allow_remote_images=self.allow_remote_images,
            batch_size=self.batch_size,
            prefix_bytes=self.prefix_bytes,
        )

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        placement: Placement | None = None,
        device: str = "auto",
        dtype: Dtype = "auto",
        trust_remote_code: bool = False,
        local_files_only: bool = True,
        **settings: Any,
    ) -> Self:
        """Load a model folder; see `load_local_mllm` for the arguments and what is refused.

        Args:
            path: model folder or cached hub id.
            placement: see `load_local_mllm`.
            device: see `load_local_mllm`.
            dtype: see `load_local_mllm`.
            trust_remote_code: see `load_local_mllm`.
            local_files_only: see `load_local_mllm`.
            **settings: this class's attributes (`max_tokens`, `temperature`, ...).
        """
        mllm = load_local_mllm(
            path,
            placement=placement,
            device=device,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            local_files_only=local_files_only,
        )
        return cls._from_mllm(mllm, settings)

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
        return cls._from_mllm(LocalMLLM(model, processor, name, ""), settings)

    @classmethod
    def _from_mllm(cls, mllm: LocalMLLM, settings: dict[str, Any]) -> Self:
        refuse_without_features(mllm.model)  # here: pydantic would wrap it into its own error
        return cls(mllm=mllm, **settings)

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
        return self._engine.calls

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
            ls_model_name=kwargs.get("model", self.model_name),
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
        kwargs.pop("written", None)
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
        written: AIMessage | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = written
        if answer is None:
            answer = self.generate_batch([messages], features=[features], stop=stop, **kwargs)[0]
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        features: ImageFeatures | None = None,
        tools: Sequence[dict[str, Any]] = (),
        response_schema: dict[str, Any] | None = None,
        written: AIMessage | None = None,
        **settings: Any,
    ) -> Iterator[ChatGenerationChunk]:
        def sent(message: AIMessageChunk) -> ChatGenerationChunk:
            chunk = ChatGenerationChunk(message=message)
            if run_manager is not None:
                run_manager.on_llm_new_token(message.text, chunk=chunk)
            return chunk

        if tools and written is None:
            # A call is known only when it is complete: it comes as one piece.
            written = self.generate_batch(
                [messages], features=[features], stop=stop, tools=tools, **settings
            )[0]
        if written is not None:
            yield sent(as_chunk(written))
            return
        decoding = self._decoding(stop, settings)
        for piece in self._engine.stream(messages, features, decoding, response_schema):
            if isinstance(piece, str):
                yield sent(AIMessageChunk(content=piece))
            else:
                last = answer_message(piece, self.model_name, ())
                yield sent(
                    AIMessageChunk(
                        content="",
                        usage_metadata=usage_of(piece),
                        response_metadata=last.response_metadata,
                        chunk_position="last",
                    )
                )
