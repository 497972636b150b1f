"""The command itself: quick to start, and everything it offers can be found."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY, Imc

COMMANDS = ("ask", "perceive", "refine", "prototypes", "graph", "reference")


def test_help_lists_every_command(imc: Imc) -> None:
    ran = imc("--help")
    assert ran.code == 0
    assert all(command in ran.out for command in COMMANDS)


def test_no_arguments_is_help(imc: Imc) -> None:
    assert imc().out == imc("--help").out


@pytest.mark.parametrize("command", [*COMMANDS, "prototypes build", "reference train"])
def test_every_command_has_help(command: str, imc: Imc) -> None:
    assert imc(*command.split(), "--help").code == 0


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
