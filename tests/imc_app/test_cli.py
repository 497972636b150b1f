"""The command itself: quick to start, and everything it offers can be found."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from imc_app.cli import app
from tests.conftest import REPOSITORY, Imc

COMMANDS = ("ask", "perceive", "refine", "prototypes", "bench", "graph", "example", "reference")
EXAMPLE = re.compile(r"^  (.*)$", re.MULTILINE)


def every_command() -> Iterator[tuple[str, Any]]:
    """Each command and group with its name, `imc` itself first."""
    waiting = [("imc", typer.main.get_command(app))]
    while waiting:
        name, command = waiting.pop()
        yield name, command
        inner = command.commands if isinstance(command, TyperGroup) else {}
        waiting += [(f"{name} {part}", each) for part, each in inner.items()]


EVERY = dict(every_command())


def test_help_lists_every_command(imc: Imc) -> None:
    ran = imc("--help")
    assert ran.code == 0
    assert all(command in ran.out for command in COMMANDS)


def test_no_arguments_is_help(imc: Imc) -> None:
    assert imc().out == imc("--help").out


@pytest.mark.parametrize("command", [*COMMANDS, "prototypes build", "reference train"])
def test_every_command_has_help(command: str, imc: Imc) -> None:
    assert imc(*command.split(), "--help").code == 0


@pytest.mark.parametrize("name", EVERY)
def test_every_help_ends_with_examples_that_exist(name: str) -> None:
    commands = EXAMPLE.findall(EVERY[name].epilog or "")
    assert commands, f"{name} --help shows no example"
    for line in commands:
        words = shlex.split(line[line.index("imc ") :], comments=True)
        if "COMMAND" in words:
            continue
        path = max((each for each in EVERY if " ".join(words).startswith(each)), key=len)
        params = EVERY[path].params
        known = {opt for param in params for opt in (*param.opts, *param.secondary_opts)}
        used = {word for word in words if re.fullmatch(r"-\w|--[\w-]+", word)}
        assert used <= known | {"--help"}, line


def test_an_option_has_one_form_in_every_command() -> None:
    forms: dict[str, set[tuple[str, ...]]] = {}
    for name, command in EVERY.items():
        for param in command.params:
            if name != "imc" and param.name in ("model", "out", "prototypes", "seed", "device"):
                forms.setdefault(param.name, set()).add(tuple(param.opts))
    assert {name: len(found) for name, found in forms.items()} == dict.fromkeys(forms, 1)


def test_a_mistake_points_at_the_commands_own_help(imc: Imc) -> None:
    assert "; see imc ask --help" in imc("ask", "--colour", "blue").err
    assert "; see imc prototypes build --help" in imc("prototypes", "build").err
    assert "; see imc --help" in imc("diagnose").err
    assert "; see imc ask --help" in imc("--quiet", "ask", "--batch").err


def test_an_old_option_name_still_works_and_is_shown_nowhere(imc: Imc, tmp_path: Path) -> None:
    run = ("bench", "run", "--out", tmp_path / "run.db", "--data-set=atlas")
    assert "atlas" in imc(*run).err
    assert "'--batch-size'" in imc(*run, "--batch", "none").err
    shown = imc("bench", "run", "--help").out
    assert "--data-set" not in shown and "--batch " not in shown


def test_shells_can_complete(imc: Imc, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--install-completion" in imc("--help").out
    ran = subprocess.run(
        [sys.executable, "-m", "imc_app.cli"], cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "_IMC_COMPLETE": "complete_bash", "COMP_WORDS": "imc pr",
             "COMP_CWORD": "1"},
    )  # fmt: skip
    assert ran.stdout.split() == ["prototypes"]


def test_version_is_the_installed_one(imc: Imc) -> None:
    ran = imc("--version")
    assert (ran.code, ran.out) == (0, "imc 0.1.0\n")


def test_help_imports_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "langgraph", "langchain_core", "scipy", "numpy")
    script = (
        "import sys; from imc_app.cli import run; code = run(['--help']); "
        f"sys.exit(code or [name for name in {heavy!r} if name in sys.modules] or 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def test_both_graphs_are_drawn_as_mermaid(imc: Imc) -> None:
    agents, whole = imc("graph", "sms"), imc("graph", "imc")
    assert agents.code == whole.code == 0
    for role in ("coordinator", "detector", "corrector", "verifier"):
        assert role in agents.out and role in whole.out
    assert "vision" in whole.out and "answer" in whole.out
    assert "vision" not in agents.out
