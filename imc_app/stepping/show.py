"""What `imc step` prints: stops, state, changes, checkpoints and requests, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff
from typing import Any

from graphs.debugging.comparing import Comparison
from graphs.debugging.history import Checkpoint, tree_lines
from graphs.debugging.values import ABSENT, Change, NodeRun, Stop, as_json
from imc_agents.exchanges import Exchange
from imc_agents.state import Answer
from imc_app.refusals import InputRefused, one_line, printable

WIDTH = 100
"""Characters of a value in a list; one key alone is shown in full."""


def node_line(run: NodeRun) -> str:
    """A node that has run: its time, its requests to the model."""
    asked = len(run.exchanges)
    requests = "" if not asked else f", {asked} request{'s' if asked > 1 else ''} to the model"
    failed = f", failed: {one_line(run.error)}" if run.error else ""
    return f"  {run.node}: {run.ms:.1f} ms{requests}{failed}"


def stop_lines(stop: Stop) -> Iterator[str]:
    """Where a session has stopped, and why."""
    if stop.error is not None:
        yield f"failed: {one_line(stop.error)}; state is as it was before this step"
    changed = [one.key for one in stop.changed if not (one.before is ABSENT and one.after is None)]
    if changed and stop.reason != "opened":
        yield f"changed: {', '.join(changed)}"
    if stop.breakpoint is not None:
        yield f"breakpoint {stop.breakpoint}"
    for asked in stop.interrupts:
        yield "a person is asked; reply with a REPLY:"
        yield from _indented(as_json(asked))
    if stop.next:
        yield f"next: {', '.join(stop.next)}"
        return
    yield "end of the run"
    answer = stop.after.get("answer")
    if isinstance(answer, Answer):
        what = one_line(answer.text) if answer.failure is None else "none"
        why = "" if answer.failure is None else f" ({one_line(answer.failure)})"
        yield f"answer: {what}{why}, confidence {answer.confidence:.2f}"


def state_lines(state: Mapping[str, Any], key: str = "") -> Iterator[str]:
    """All of a state, a line for each key; or one key in full."""
    if not key:
        for name, value in state.items():
            yield f"  {name} = {_short(value)}"
        return
    if key not in state:
        raise InputRefused(f"state has no {key!r} now; it has {', '.join(state) or 'no key'}")
    yield from _indented(as_json(state[key]))


def change_lines(changed: Sequence[Change]) -> Iterator[str]:
    """Each changed key with its lines that went and came."""
    if not changed:
        yield "nothing changed"
    for change in changed:
        yield f"  {change.key}"
        before, after = (_json_lines(value) for value in (change.before, change.after))
        for line in list(unified_diff(before, after, lineterm="", n=1))[2:]:
            if not line.startswith("@@"):
                yield f"    {printable(line)}"


def history_lines(history: Sequence[Checkpoint]) -> Iterator[str]:
    """The checkpoints as a tree; an arrow where the session stands."""
    if not history:
        yield "no checkpoint yet"
    for lead, one in tree_lines(history):
        waits = f"next {', '.join(one.next)}" if one.next else "end"
        here = "  ◀" if one.current else ""
        yield f"  {lead}{one.number}  {one.label} ({waits}){here}"


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Where two branches part, what ran on each, and the values that differ."""
    common = "nowhere: their runs began apart" if found.common is None else found.common.number
    yield f"common checkpoint: {common}"
    for number, path in ((found.first, found.first_path), (found.second, found.second_path)):
        yield f"  {number.number}: {' → '.join(one.label for one in path) or 'the same'}"
    if not found.differing:
        yield "no key differs"
    for key, first, second in found.differing:
        yield f"  {key}"
        yield f"    {found.first.number}: {_short(first)}"
        yield f"    {found.second.number}: {_short(second)}"


def exchange_table(exchanges: Sequence[Exchange]) -> Iterator[str]:
    """A line for each request to the model."""
    if not exchanges:
        yield "nothing was asked of the model yet"
    for number, one in enumerate(exchanges):
        yield f"  {number}  {one.node}: {one.request}, {_replied(one)}, {one.ms:.1f} ms"


def exchange_lines(exchange: Exchange) -> Iterator[str]:
    """One request and its reply in full."""
    yield f"{exchange.request} of {exchange.node} to {one_line(exchange.model)}"
    counts = {
        "prompt tokens": exchange.prompt_tokens,
        "reply tokens": exchange.reply_tokens,
        "passes": exchange.passes,
        "reused tokens": exchange.reused_tokens,
    }
    known = [f"{name} {value}" for name, value in counts.items() if value is not None]
    yield f"{', '.join([*known, f'{exchange.ms:.1f} ms'])}"
    if exchange.prompt is not None:
        yield "prompt, as the model read it:"
        yield from _indented(exchange.prompt)
    else:
        yield "messages:"
        for message in exchange.messages:
            yield from _indented(f"{message.role}: {message.text}")
    if exchange.failure is not None:
        yield f"the model failed: {exchange.failure}"
    if exchange.texts:
        yield "log-probabilities in nats:"
    for text in exchange.texts:
        yield f"  {text.logprob:10.3f}  {one_line(text.text)}"
        if text.tokens is not None:
            pairs = zip(text.tokens.spans, text.tokens.logprobs, strict=True)
            tokens = (f"{text.text[start:end]!r} {value:.2f}" for (start, end), value in pairs)
            yield f"{'':14}{printable(' '.join(tokens))}"
    for option in exchange.options:
        yield f"  {option.probability:.4f}  {one_line(option.option)}"
    if exchange.reply is not None:
        yield "reply, as it came:"
        yield from _indented(exchange.reply)


def _replied(exchange: Exchange) -> str:
    if exchange.failure is not None:
        return f"failed ({exchange.failure})"
    if exchange.texts:
        return f"{len(exchange.texts)} texts scored"
    if exchange.options:
        best = max(exchange.options, key=lambda option: option.probability)
        return f"{one_line(best.option)} {best.probability:.2f}"
    return _cut(one_line(repr(exchange.reply or "")))


def _short(value: Any) -> str:
    return repr(ABSENT) if value is ABSENT else _cut(one_line(as_json(value, indent=None)))


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _json_lines(value: Any) -> list[str]:
    return [] if value is ABSENT else as_json(value).splitlines()


def _indented(text: str) -> Iterator[str]:
    for line in text.splitlines() or [""]:
        yield f"  {printable(line)}"
