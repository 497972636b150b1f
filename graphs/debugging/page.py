"""A debug session as one HTML page that loads nothing: everything that is shown is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from graphs.debugging.history import Checkpoint, tree_lines
from graphs.debugging.values import Change, NodeRun, Stop, as_json
from imc_agents.exchanges import Exchange

__all__ = ["changes_html", "exchange_html", "session_page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""No script, picture, font or address: the page shows text."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
pre { overflow-x: auto; background: #8881; padding: .5rem; white-space: pre-wrap; margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; border-bottom: 1px solid #8884; padding: .3rem;
  overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; }
section { margin-top: 2rem; }
.current { font-weight: bold; }
.failed { color: #b00020; }
@media (prefers-color-scheme: dark) { .failed { color: #ff7b8a; } }
"""


def session_page(
    graph: str,
    thread: str,
    history: Sequence[Checkpoint],
    stops: Sequence[Stop],
    *,
    picture: str = "",
) -> str:
    """The page.

    Args:
        graph: name of the graph.
        thread: id of the thread.
        history: its checkpoints, oldest first.
        stops: of the session, in order.
        picture: of the graph, as SVG; put in as it is.
    """
    numbers = {one.id: one.number for one in history}
    body = [
        f"<h1>{_text(graph)}: a debug session</h1>",
        f"<p>Thread {_text(thread)}: {len(history)} checkpoints, {len(stops)} stops.</p>",
        f"<section><h2>Graph</h2>{picture}</section>" if picture else "",
        "<section><h2>Checkpoints</h2>",
        f"<pre>{_tree(history)}</pre></section>",
        "<section><h2>Steps</h2>",
        *(part for stop in stops for part in _stop(stop, numbers)),
        "</section>",
        "<section><h2>State at the end</h2>",
        _block(dict(stops[-1].after) if stops else {}),
        "</section>",
    ]
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(graph)}: a debug session</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def exchange_html(exchange: Exchange) -> str:
    """One exchange with the model, folded; everything is escaped."""
    return "".join(_exchange(exchange))


def changes_html(changed: Sequence[Change]) -> str:
    """A table of the keys that changed, before and after; empty for none."""
    return "".join(_changes(changed))


def _tree(history: Sequence[Checkpoint]) -> str:
    lines = []
    for lead, one in tree_lines(history):
        waits = f", next {', '.join(one.next)}" if one.next else ", end"
        line = _text(f"{lead}{one.number} {one.label}{waits}")
        lines.append(f'<span class="current">{line} ◀</span>' if one.current else line)
    return "\n".join(lines)


def _stop(stop: Stop, numbers: dict[str, int]) -> Iterator[str]:
    number = numbers.get(stop.checkpoint_id)
    nodes = ", ".join(run.node for run in stop.ran) or stop.reason
    place = "" if number is None else f" → checkpoint {number}"
    yield f"<h3>{_text(nodes)}{place}</h3>"
    if stop.breakpoint is not None:
        yield f"<p>Stopped by the breakpoint {_text(str(stop.breakpoint))}.</p>"
    if stop.error is not None:
        yield f'<p class="failed">Failed: {_text(stop.error)}</p>'
    for asked in stop.interrupts:
        yield f"<p>A person is asked:</p>{_block(asked)}"
    yield from _changes(stop.changed)
    for run in stop.ran:
        yield from _run(run)


def _changes(changed: Sequence[Change]) -> Iterator[str]:
    if not changed:
        return
    rows = [
        f"<tr><td>{_text(one.key)}</td><td>{_block(one.before)}</td><td>{_block(one.after)}</td></tr>"
        for one in changed
    ]
    head = "<tr><th>key</th><th>before</th><th>after</th></tr>"
    yield f"<details open><summary>{len(changed)} keys changed</summary>"
    yield f"<table>{head}{''.join(rows)}</table></details>"


def _run(run: NodeRun) -> Iterator[str]:
    failed = f', <span class="failed">{_text(run.error)}</span>' if run.error else ""
    yield f"<p>{_text(run.node)}: {run.ms:.1f} ms, {len(run.exchanges)} requests{failed}</p>"
    for exchange in run.exchanges:
        yield from _exchange(exchange)


def _exchange(exchange: Exchange) -> Iterator[str]:
    facts: list[tuple[str, Any]] = [
        ("prompt tokens", exchange.prompt_tokens),
        ("reply tokens", exchange.reply_tokens),
        ("passes", exchange.passes),
        ("reused tokens", exchange.reused_tokens),
        ("failure", exchange.failure),
    ]
    known = "; ".join(f"{name} {value}" for name, value in facts if value is not None)
    yield (
        f"<details><summary>{_text(exchange.request)} to {_text(exchange.model)}: "
        f"{exchange.ms:.1f} ms</summary><p>{_text(known)}</p>"
    )
    said = [f"{message.role}: {message.text}" for message in exchange.messages]
    yield f"<p>Prompt</p><pre>{_text(exchange.prompt or chr(10).join(said))}</pre>"
    scored = [(one.text, one.logprob, one.tokens) for one in exchange.texts]
    if scored:
        rows = (
            (text, f"{logprob:.3f}", "" if tokens is None else _by_token(text, tokens))
            for text, logprob, tokens in scored
        )
        yield _table(("text", "log-probability, nats", "by token"), rows)
    if exchange.options:
        shares = ((one.option, f"{one.probability:.4f}", "") for one in exchange.options)
        yield _table(("option", "probability", ""), shares)
    if exchange.reply is not None:
        yield f"<p>Reply</p><pre>{_text(exchange.reply)}</pre>"
    yield "</details>"


def _by_token(text: str, tokens: Any) -> str:
    pairs = zip(tokens.spans, tokens.logprobs, strict=True)
    return " ".join(f"{text[start:end]!r} {value:.2f}" for (start, end), value in pairs)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    titles = "".join(f"<th>{_text(title)}</th>" for title in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{titles}</tr>{lines}</table>"


def _block(value: Any) -> str:
    return f"<pre>{_text(as_json(value))}</pre>"


def _text(text: str) -> str:
    """Escaped, and without control characters that a browser would drop or obey."""
    plain = "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)
    return escape(plain)
