"""One exchange asked again, with another prompt: outside of any run, nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from langchain_core.messages import convert_to_messages

from graphs.context import IMCContext
from graphs.debugging.values import DebugRefused
from imc_agents.chat.recording import RequestRecorder
from imc_agents.exchanges import Exchange
from imc_agents.requests import (
    UNTEMPLATED,
    Generate,
    Loglikelihood,
    MultipleChoice,
    Request,
    untemplated,
)
from imc_core.errors import IMCError

__all__ = ["ask_again"]


def ask_again(
    exchange: Exchange, context: Any, state: Mapping[str, Any], *, prompt: str | None = None
) -> Exchange:
    """The same request to the same model; its reply, or its failure, as an exchange of its own.

    Args:
        exchange: what was asked.
        context: of the run; must be an IMCContext.
        state: of the run, which says whether a reviewer chose the uncorrected image.
        prompt: the last message's text, in place of the one that was asked.

    Raises:
        DebugRefused: another kind of context, or image features that are no longer stored.
    """
    if not isinstance(context, IMCContext):
        raise DebugRefused(
            "an exchange can be asked again where the run's context is an IMCContext: it holds "
            "the model"
        )
    if exchange.failure is not None and exchange.request != "generate":
        raise DebugRefused("the model failed at this request: run its node again instead")
    said = [(message.role, message.text) for message in exchange.messages]
    if prompt is not None:
        said[-1:] = [(said[-1][0] if said else "human", prompt)]
    plain = len(said) == 1 and said[0][0] == UNTEMPLATED
    messages = untemplated(said[0][1]) if plain else tuple(convert_to_messages(said))
    features = None if exchange.image is None else _features(exchange.image, context, state)
    # only the answer is given an image
    chat: Any = context.agents if features is None else context.chat
    request: Request
    answer: Callable[[], Any]
    if exchange.request == "loglikelihood":
        request = Loglikelihood(messages, tuple(one.text for one in exchange.texts))
        answer = partial(chat.score_batch, [(messages, text) for text in request.texts])
    elif exchange.request == "multiple_choice":
        request = MultipleChoice(messages, tuple(one.option for one in exchange.options))
        answer = partial(chat.choose, messages, list(request.options))
    else:
        request = Generate(messages)
        answer = partial(chat.invoke, list(messages))
        if exchange.reply_limit is not None:
            answer = partial(answer, max_tokens=exchange.reply_limit)
        if features is not None:
            most = context.policy.max_answer_tokens
            answer = partial(answer, features=features, max_new_tokens=most)
    found: list[Exchange] = []
    recorder = RequestRecorder(exchange.node, [found.append])
    try:
        recorder.record(chat, request, answer, features=features)
    except IMCError:
        raise  # a prompt that the model cannot be given
    except context.faults:
        pass  # the exchange names the failure
    return found[0]


def _features(name: str, context: IMCContext, state: Mapping[str, Any]) -> Any:
    calibrated = context.policy.calibrates and not state.get("plain_image", False)
    held = context.features.get(name, calibrated=calibrated)
    if held is None:
        raise DebugRefused(
            "the image's features are no longer stored: run again from before the vision node"
        )
    return cast(Any, held.features)
