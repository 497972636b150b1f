"""Runs the request steps of agents on a chat model: those of one question, or many in lock step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput

from imc_agents.requests import (
    Generate,
    Loglikelihood,
    Messages,
    MultipleChoice,
    Request,
    RequestObserver,
    RequestSteps,
    Result,
    SupportsGenerateBatch,
    SupportsLoglikelihood,
    SupportsMultipleChoice,
    SupportsMultipleChoiceBatch,
    SupportsReplyLimit,
)

Faults = tuple[type[Exception], ...]

MODEL_FAULTS: Faults = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""Errors of a model that an agent handles: out of memory, a refused length, a lost connection, a
malformed reply. An interrupt of the graph is none of these."""


@dataclass(frozen=True)
class Failed:
    """The model raised an error at a request."""

    fault: Exception


def run_requests(
    chat: BaseChatModel,
    steps: RequestSteps[Result],
    faults: Faults = MODEL_FAULTS,
    observer: RequestObserver | None = None,
) -> Result:
    """Run the request steps of one agent to their result.

    Args:
        chat: the model that answers the requests.
        steps: the generator of requests.
        faults: errors of the model that are thrown into `steps`; others are raised here.
        observer: is present at each request (`imc_agents.chat.recording`); None: nobody is.
    """
    reply: Any = None
    try:
        while True:
            request = _advance(steps, reply)
            if observer is None:
                reply = _alone(chat, request, faults)
            else:
                reply = observer.record(chat, request, partial(_alone, chat, request, faults))
    except StopIteration as end:
        return cast(Result, end.value)


def run_requests_together(
    chat: BaseChatModel, many: Sequence[RequestSteps[Result]], faults: Faults = MODEL_FAULTS
) -> list[Result]:
    """Run many request steps in lock step; returns their results, in order.

    In each step all texts to score are one call of the model, all choices one, all generations one.
    After an error in such a call its requests are answered one by one, so that the error is thrown
    into the steps that caused it.

    Args:
        chat: the model that answers the requests.
        many: the generators of requests; they must be independent of each other.
        faults: as for `run_requests`.
    """
    results: dict[int, Result] = {}
    replies: dict[int, Any] = dict.fromkeys(range(len(many)))
    while replies:
        waiting: dict[int, Request] = {}
        for index, reply in replies.items():
            try:
                waiting[index] = _advance(many[index], reply)
            except StopIteration as end:
                results[index] = end.value
        answered = answer_together(chat, list(waiting.values()), faults)
        replies = dict(zip(waiting, answered, strict=True))
    return [results[index] for index in range(len(many))]


def _advance(steps: RequestSteps[Any], reply: Any) -> Request:
    """The next request, after the reply to the last (None at first); StopIteration at the end."""
    return steps.throw(reply.fault) if isinstance(reply, Failed) else steps.send(reply)


def answer_together(
    chat: BaseChatModel, requests: Sequence[Request], faults: Faults = MODEL_FAULTS
) -> list[Any]:
    """The reply to each request, or the error at it, in order."""
    replies: list[Any] = [None] * len(requests)
    answerers: tuple[tuple[type[Request], _Answerer], ...] = (
        (Loglikelihood, _loglikelihood_all),
        (MultipleChoice, _multiple_choice_all),
        (Generate, _generate_all),
    )
    for kind, answer_all in answerers:
        places = [place for place, request in enumerate(requests) if isinstance(request, kind)]
        asked = [requests[place] for place in places]
        answers = _all_at_once(chat, asked, answer_all, faults)
        if answers is None:
            answers = [_alone(chat, request, faults) for request in asked]
        for place, answer in zip(places, answers, strict=True):
            replies[place] = answer
    return replies


_Answerer = Callable[[BaseChatModel, list[Any]], list[Any] | None]
"""Replies to requests of one kind; None where the model cannot take them together."""


def _all_at_once(
    chat: BaseChatModel, asked: list[Request], answer_all: _Answerer, faults: Faults
) -> list[Any] | None:
    """Replies in one call; None where the requests must be answered one by one."""
    if len(asked) < 2:
        return None
    try:
        answers = answer_all(chat, asked)
    except faults:
        return None  # raised again by the request that caused it
    if answers is None or len(answers) != len(asked):
        return None
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, faults):
            raise answer
    return [Failed(one) if isinstance(one, Exception) else one for one in answers]


def _alone(chat: BaseChatModel, request: Request, faults: Faults) -> Any:
    try:
        if isinstance(request, Loglikelihood):
            items = [(request.messages, text) for text in request.texts]
            return cast(SupportsLoglikelihood, chat).score_batch(items)
        if isinstance(request, MultipleChoice):
            return cast(SupportsMultipleChoice, chat).choose(
                request.messages, list(request.options)
            )
        limit = reply_limit(chat, request)
        settings: dict[str, Any] = {} if limit is None else {"max_tokens": limit}
        return chat.invoke(list(request.messages), **settings)
    except faults as fault:
        return Failed(fault)


def reply_limit(chat: BaseChatModel, request: Generate) -> int | None:
    """Tokens after which a reply is cut off; None where the request or the model knows no such."""
    if request.like is None or not isinstance(chat, SupportsReplyLimit):
        return None
    return chat.reply_limit(request.like)


def _loglikelihood_all(chat: BaseChatModel, asked: list[Loglikelihood]) -> list[Any] | None:
    known: dict[tuple[tuple[str, str], ...], Messages] = {}
    items: list[tuple[Messages, str]] = []
    for request in asked:
        # Equal conversations as one object: the model reads it once for all their texts.
        messages = known.setdefault(_content(request.messages), request.messages)
        items += [(messages, text) for text in request.texts]
    scores = list(cast(SupportsLoglikelihood, chat).score_batch(items))
    if len(scores) != len(items):
        return None
    rest = iter(scores)
    return [[next(rest) for _ in request.texts] for request in asked]


def _content(messages: Messages) -> tuple[tuple[str, str], ...]:
    return tuple((message.type, str(message.content)) for message in messages)


def _multiple_choice_all(chat: BaseChatModel, asked: list[MultipleChoice]) -> list[Any] | None:
    if not isinstance(chat, SupportsMultipleChoiceBatch):
        return None
    return list(chat.choose_batch([(one.messages, one.options) for one in asked]))


def _generate_all(chat: BaseChatModel, asked: list[Generate]) -> list[Any] | None:
    if not isinstance(chat, SupportsGenerateBatch):
        inputs: list[LanguageModelInput] = [list(request.messages) for request in asked]
        # of these, none is known to take a limit for each
        return list(chat.batch(inputs, return_exceptions=True))
    # Requests of similar length in one batch: less padding.
    order = sorted(range(len(asked)), key=lambda place: len(asked[place].messages[-1].text))
    limits = [reply_limit(chat, asked[place]) for place in order]
    settings: dict[str, Any] = {} if None in limits else {"max_tokens": limits}
    replies = chat.generate_batch([list(asked[place].messages) for place in order], **settings)
    if len(replies) != len(asked):
        return None
    found = dict(zip(order, replies, strict=True))
    return [found[place] for place in range(len(asked))]
