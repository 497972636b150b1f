"""Makes an `Exchange` of each request to the model, for whoever listens.

A generation runs through LangChain's callbacks by itself. A scoring pass does not, so that it gets
a run of its own here: a chat model run with one generation for each text or option. It is tagged
`nostream`, since LangGraph's `messages` mode would otherwise show scored texts as answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from langchain_core.callbacks import CallbackManager, CallbackManagerForLLMRun
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from imc_agents.chat.run_requests import Failed, reply_limit
from imc_agents.exchanges import (
    Exchange,
    ExchangeMessage,
    OptionProbability,
    RequestKind,
    ScoredText,
)
from imc_agents.requests import (
    UNTEMPLATED,
    ChoiceLike,
    Generate,
    Loglikelihood,
    MultipleChoice,
    PassCounts,
    Request,
    ScoreLike,
    SupportsInspection,
)
from imc_agents.state import TokenScores

__all__ = ["Receiver", "RequestRecorder"]

Receiver = Callable[[Exchange], None]

NO_STREAM = "nostream"
"""LangGraph's tag of runs that its `messages` mode leaves out."""

KINDS: dict[type[Request], RequestKind] = {
    Loglikelihood: "loglikelihood",
    MultipleChoice: "multiple_choice",
    Generate: "generate",
}


class RequestRecorder:
    """Gives the exchange of each request to its receivers; the reply itself is not changed.

    Args:
        node: the graph's node that makes the requests.
        receivers: called with each exchange, in order.
        callbacks: LangChain's callbacks, for scoring passes; None: nobody traces.
    """

    def __init__(
        self, node: str, receivers: Sequence[Receiver], callbacks: CallbackManager | None = None
    ) -> None:
        self.node = node
        self.receivers = receivers
        self.callbacks = callbacks

    def record(
        self, chat: Any, request: Request, answer: Callable[[], Any], *, features: Any = None
    ) -> Any:
        """The reply that `answer` computes; its exchange goes to the receivers.

        Args:
            chat: the model.
            request: what it is asked.
            answer: computes the reply, or raises.
            features: precomputed features of the image in the prompt.
        """
        scores = not isinstance(request, Generate)
        run = self._run(chat, request) if scores else None
        counts = PassCounts(passes=1)
        start = time.perf_counter()
        fault: BaseException | None = None
        reply: Any = None
        try:
            with _counting(chat, counts) if scores else nullcontext():
                reply = answer()
            fault = reply.fault if isinstance(reply, Failed) else None
        except BaseException as error:
            fault = error
            raise
        finally:
            exchange = _exchange(
                self.node,
                chat,
                request,
                reply if fault is None else None,
                fault,
                counts,
                ms=(time.perf_counter() - start) * 1000,
                features=features,
            )
            _end(run, exchange, fault)
            for receive in self.receivers:
                receive(exchange)
        return reply

    def _run(self, chat: Any, request: Request) -> CallbackManagerForLLMRun | None:
        """A run of the callbacks for a scoring pass; None where nobody traces."""
        if self.callbacks is None:
            return None
        kind = KINDS[type(request)]
        given = request.texts if isinstance(request, Loglikelihood) else ()
        options = request.options if isinstance(request, MultipleChoice) else ()
        runs = self.callbacks.on_chat_model_start(
            {"name": type(chat).__name__},
            [list(request.messages)],
            name=kind,
            invocation_params={"request": kind, "texts": list(given), "options": list(options)},
        )
        return runs[0]


@contextmanager
def _counting(chat: Any, counts: PassCounts) -> Iterator[None]:
    """Fill in what a scoring pass cost; without a model that counts, it is one pass."""
    if not isinstance(chat, SupportsInspection):
        yield
        return
    with chat.counting() as counted:
        yield
    counts.passes, counts.reused_tokens = counted.passes, counted.reused_tokens


def _exchange(
    node: str,
    chat: Any,
    request: Request,
    reply: Any,
    fault: BaseException | None,
    counts: PassCounts,
    *,
    ms: float,
    features: Any,
) -> Exchange:
    inspected = isinstance(chat, SupportsInspection)
    prompt = None
    if inspected and fault is None:  # a prompt that was refused cannot be shown as it was read
        prompt = chat.rendered_prompt(request.messages, features=features)
    return Exchange(
        node=node,
        request=KINDS[type(request)],
        model=str(getattr(chat, "model_name", None) or type(chat).__name__),
        messages=tuple(
            ExchangeMessage(role=_role_of(message), text=str(message.text))
            for message in request.messages
        ),
        prompt=None if prompt is None else prompt.text,
        prompt_tokens=None if prompt is None else prompt.tokens,
        image=None if features is None else str(features.name),
        reply_limit=reply_limit(chat, request) if isinstance(request, Generate) else None,
        passes=counts.passes,
        reused_tokens=counts.reused_tokens if inspected else None,
        failure=None if fault is None else type(fault).__name__,
        ms=round(ms, 2),
        **_replied(request, reply),
    )


def _role_of(message: BaseMessage) -> str:
    return UNTEMPLATED if getattr(message, "role", None) == UNTEMPLATED else message.type


def _replied(request: Request, reply: Any) -> dict[str, Any]:
    """The fields of an exchange that depend on the kind of request."""
    if reply is None:
        return {}
    if isinstance(request, Loglikelihood):
        texts = tuple(map(_scored, request.texts, reply))
        known = [one.tokens for one in texts if one.tokens is not None]
        counted = sum(len(tokens.logprobs) for tokens in known)
        return {"texts": texts, "reply_tokens": counted if known else None}
    if isinstance(request, MultipleChoice):
        choice: ChoiceLike = reply
        return {
            "options": tuple(
                OptionProbability(option=option, probability=float(probability))
                for option, probability in zip(request.options, choice.probabilities, strict=False)
            )
        }
    usage = getattr(reply, "usage_metadata", None) or {}
    about = getattr(reply, "response_metadata", None) or {}
    return {
        "reply": str(reply.text),
        "reply_logprobs": tuple(about.get("token_logprobs") or ()),
        "finish_reason": about.get("finish_reason"),
        "reply_tokens": usage.get("output_tokens"),
    }


def _scored(text: str, score: ScoreLike) -> ScoredText:
    spans, logprobs = getattr(score, "spans", None), getattr(score, "logprobs", None)
    tokens = None
    if spans is not None and logprobs is not None:
        tokens = TokenScores(spans=tuple(spans), logprobs=tuple(logprobs))
    return ScoredText(text=text, logprob=float(score.logprob), tokens=tokens)


def _end(
    run: CallbackManagerForLLMRun | None, exchange: Exchange, fault: BaseException | None
) -> None:
    """End the callbacks' run with one generation for each text or option."""
    if run is None:
        return
    if fault is not None:
        run.on_llm_error(fault)
        return
    scored = [(one.text, {"logprob": one.logprob}) for one in exchange.texts]
    chosen = [(one.option, {"probability": one.probability}) for one in exchange.options]
    generations = [
        ChatGeneration(message=AIMessage(text), generation_info=dict(info))
        for text, info in [*scored, *chosen]
    ]
    run.on_llm_end(
        LLMResult(
            generations=[generations], llm_output={"exchange": exchange.model_dump(mode="json")}
        )
    )
