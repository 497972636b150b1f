"""The commands of `imc step`: read from the keyboard or a script, one a line, and carried out."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from graphs.debugging.session import DebugSession
from graphs.debugging.values import Event, NodeRun, Stop
from imc_agents.exchanges import Exchange
from imc_agents.state import Answer
from imc_app.outputs import OutputKind, check_output
from imc_app.refusals import InputRefused, is_refusal, one_line
from imc_app.stepping import show
from imc_core.errors import IMCError

ANSWERED, FAULT, REFUSED = 0, 1, 2
"""Exit codes, as in `imc_app.cli`."""
PROMPT = "(imc) "

HELP = """\
n             run the nodes that wait, and stop (next)
i             the same, but stop inside of a subgraph (into)
c [NODE]      run to a breakpoint, to NODE, or to the end (continue)
b             list breakpoints
b NODE [after]    stop before NODE, or after it (break)
u NODE        remove its breakpoints (unset)
s [KEY]       state, or one key of it in full
d             what the last step changed (diff)
e KEY=JSON    edit a key of state; what runs next is decided anew (edit)
a REPLY       answer a person's question, as JSON or as text
h             checkpoints, as a tree (history)
f ID          stand at checkpoint ID; the next run begins a branch there (fork)
r [ID]        run the last step again; from checkpoint ID to a breakpoint (run again)
m ID ID       compare two checkpoints
x [N]         requests to the model, or number N in full (exchanges)
p N TEXT      ask number N again with TEXT as its last message (prompt)
w FILE.html   write the whole session as one page; it holds the question
q             quit"""

WORDS = {
    "next": "n",
    "into": "i",
    "continue": "c",
    "break": "b",
    "unset": "u",
    "state": "s",
    "diff": "d",
    "edit": "e",
    "answer": "a",
    "history": "h",
    "fork": "f",
    "run": "r",
    "compare": "m",
    "exchanges": "x",
    "prompt": "p",
    "write": "w",
    "quit": "q",
    "exit": "q",
    "?": "help",
}


class StepPrompt:
    """Reads commands and carries them out on one session."""

    def __init__(self, session: DebugSession[Any]) -> None:
        self.session = session
        self.session.listener = self._listen
        self.stop: Stop | None = None
        """The last one."""
        self.refused = False
        self._commands: dict[str, Callable[[str], None]] = {
            "n": self._next,
            "i": self._into,
            "c": self._continue,
            "b": self._break,
            "u": self._unset,
            "s": self._state,
            "d": self._diff,
            "e": self._edit,
            "a": self._answer,
            "h": self._history,
            "f": self._fork,
            "r": self._run_again,
            "m": self._compare,
            "x": self._exchanges,
            "p": self._prompt,
            "w": self._write,
            "help": self._help,
        }

    def run(self, given: dict[str, Any] | None) -> int:
        """Carry out commands to `q` or the end of stdin.

        Args:
            given: the graph's input, with which a run begins; None: where the thread stopped.

        Returns:
            The exit code: at a terminal 0; for a script 2 where a command was refused, and 1 where
            a node has failed last, or the model gave no answer.
        """
        self._show(self.session.open() if given is None else self.session.start(given))
        typer.echo("help lists the commands")
        for line in _lines():
            word, _, rest = line.strip().partition(" ")
            name = WORDS.get(word, word)
            if name == "q":
                break
            if name:
                self._carry_out(name, rest.strip())
        return ANSWERED if sys.stdin.isatty() else self._code()

    def _code(self) -> int:
        if self.refused:
            return REFUSED
        stop = self.stop
        if stop is not None and stop.fault is not None:
            return REFUSED if is_refusal(stop.fault) else FAULT
        answer = stop.after.get("answer") if stop is not None else None
        return FAULT if isinstance(answer, Answer) and answer.failure else ANSWERED

    def _carry_out(self, name: str, rest: str) -> None:
        try:
            command = self._commands.get(name)
            if command is None:
                raise InputRefused(f"no command {name!r}; help lists the commands")
            command(rest)
        except IMCError as error:
            self.refused = True
            typer.echo(f"imc: {one_line(str(error))}", err=True)
        except KeyboardInterrupt:
            typer.echo("interrupted: the step is not finished, state is as it was before it")

    def _listen(self, event: Event) -> None:
        if isinstance(event, NodeRun):
            typer.echo(show.node_line(event))

    def _show(self, stop: Stop) -> None:
        self.stop = stop
        _print(show.stop_lines(stop))

    # --- running ------------------------------------------------------------------------------

    def _next(self, rest: str) -> None:
        _none(rest, "n")
        self._show(self.session.step())

    def _into(self, rest: str) -> None:
        _none(rest, "i")
        self._show(self.session.step(into=True))

    def _continue(self, rest: str) -> None:
        self._show(self.session.run(to=rest or None))

    def _answer(self, rest: str) -> None:
        if not rest:
            raise InputRefused("say what to reply: a true, or a TEXT")
        try:
            reply = json.loads(rest)
        except ValueError:
            reply = rest
        self._show(self.session.step(reply=reply))

    def _run_again(self, rest: str) -> None:
        self._show(self.session.run_again(rest) if rest else self.session.repeat_step())

    # --- breakpoints --------------------------------------------------------------------------

    def _break(self, rest: str) -> None:
        node, _, when = rest.partition(" ")
        if when not in ("", "before", "after"):
            raise InputRefused("write b NODE, or b NODE after")
        if node:
            self.session.add_breakpoint(node, "after" if when == "after" else "before")
        have = ", ".join(map(str, sorted(self.session.breakpoints)))
        typer.echo(f"breakpoints: {have or 'none'}")

    def _unset(self, rest: str) -> None:
        self.session.remove_breakpoint(rest)
        self._break("")

    # --- state --------------------------------------------------------------------------------

    def _state(self, rest: str) -> None:
        _print(show.state_lines(self.session.state, rest))

    def _diff(self, rest: str) -> None:
        _none(rest, "d")
        _print(show.change_lines(self.stop.changed if self.stop is not None else ()))

    def _edit(self, rest: str) -> None:
        key, equals, text = rest.partition("=")
        if not equals:
            raise InputRefused('write e KEY=JSON, as in e question="Is there an effusion?"')
        self._show(self.session.edit_json(key.strip(), text.strip()))

    # --- history ------------------------------------------------------------------------------

    def _history(self, rest: str) -> None:
        _none(rest, "h")
        _print(show.history_lines(self.session.history()))

    def _fork(self, rest: str) -> None:
        self._show(self.session.fork(rest))

    def _compare(self, rest: str) -> None:
        names = rest.split()
        if len(names) != 2:
            raise InputRefused("write m ID ID; h lists the checkpoints")
        _print(show.comparison_lines(self.session.compare(*names)))

    # --- exchanges ----------------------------------------------------------------------------

    def _exchanges(self, rest: str) -> None:
        if rest:
            _print(show.exchange_lines(self._exchange(rest)))
        else:
            _print(show.exchange_table(self.session.exchanges()))

    def _prompt(self, rest: str) -> None:
        number, _, text = rest.partition(" ")
        if not text.strip():
            raise InputRefused("write p N TEXT; x lists the requests")
        again = self.session.ask_again(self._exchange(number), prompt=text.strip())
        _print(show.exchange_lines(again))

    def _exchange(self, number: str) -> Exchange:
        have = self.session.exchanges()
        if not number.isdecimal() or len(number) > 9 or int(number) >= len(have):
            raise InputRefused(
                f"no request {number!r}; they are 0 to {len(have) - 1}"
                if have
                else "nothing was asked of the model yet"
            )
        return have[int(number)]

    def _write(self, rest: str) -> None:
        try:
            (name,) = shlex.split(rest)
        except ValueError:
            raise InputRefused("write w FILE.html") from None
        check_output("w", Path(name), OutputKind.PAGE)
        self.session.export(name)
        typer.echo(f"{one_line(name)}: the session as one page; it holds the question")

    def _help(self, rest: str) -> None:
        typer.echo(HELP)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(line)


def _none(rest: str, name: str) -> None:
    if rest:
        raise InputRefused(f"{name} takes nothing after it; help lists the commands")


def _lines() -> Iterator[str]:
    """Lines of the keyboard with a prompt, or of a script, each shown after the prompt."""
    if sys.stdin.isatty():
        import readline  # noqa: F401  arrow keys and earlier lines in `input`

        while True:
            try:
                yield input(PROMPT)
            except EOFError:
                typer.echo()
                return
            except KeyboardInterrupt:
                typer.echo()
    for line in sys.stdin:
        typer.echo(f"{PROMPT}{one_line(line)}")
        yield line
