"""What is said on stderr while a command works, and which options still it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from imc_app import notices, progress
from imc_app.cli import run
from imc_app.notices import fresh_display, notice, set_quiet, set_verbose, waiting
from imc_app.progress import duration, progress_bar
from tests.conftest import Imc


@pytest.fixture
def before_any_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not loaded the model library yet."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def test_what_takes_long_is_said_before_it_begins(
    before_any_import: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with fresh_display(), waiting("loading model imc-reference"):
        assert capsys.readouterr().err == "imc: loading model imc-reference ...\n"
    assert capsys.readouterr().err == ""


def test_quiet_says_nothing_and_verbose_says_how_long_it_took(
    before_any_import: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with fresh_display():
        set_verbose(True)
        with waiting("reading"):
            pass
        assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == [
            " reading ...",
            " reading",
        ]
        set_quiet(True)
        with waiting("reading"):
            notice("a notice")
        assert capsys.readouterr().err == ""


def test_the_next_command_of_a_process_is_not_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["-q", "graph", "sms"]) == 0
    notice("said")
    assert capsys.readouterr().err == "imc: said\n"


def test_progress_is_said_in_lines_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 20.0, 21.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with fresh_display(), progress_bar() as advance:
        for done in (0, 10, 11, 20):
            advance("questions", done, 40)
    assert capsys.readouterr().err.splitlines() == [
        "imc: questions: 10 of 40, about 57 s left",
        "imc: questions: 20 of 40, about 39 s left",
    ]


def test_a_duration_is_said_in_one_unit() -> None:
    assert [duration(seconds) for seconds in (12, 600, 12_600)] == ["12 s", "10 min", "3.5 h"]


@pytest.mark.parametrize("option", ["--quiet", "-q", "--verbose", "-v", "--no-color"])
@pytest.mark.parametrize("place", ["before the command", "after it"])
def test_output_options_stand_before_or_after_the_command(
    option: str, place: str, imc: Imc
) -> None:
    arguments = (option, "graph", "sms") if place == "before the command" else (
        "graph", "sms", option
    )  # fmt: skip
    assert imc(*arguments).code == 0


def test_no_color_holds_for_one_command(imc: Imc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(notices.NO_COLOR, raising=False)
    assert imc("graph", "sms", "--no-color").code == 0
    assert notices.NO_COLOR not in notices.os.environ


def test_a_mistyped_path_is_refused_before_any_model_library(tmp_path: Path) -> None:
    import subprocess

    from tests.conftest import REPOSITORY

    heavy = ("torch", "transformers", "langgraph", "langchain_core")
    commands = [
        ["ask", "nowhere.png", "Is it?"],
        ["ask", "--batch", "nowhere.csv", "--out", "out.csv"],
        ["perceive", "nowhere.png"],
        ["refine", "Is it?", "--model", "./nowhere"],
        ["prototypes", "build", "--model", "./nowhere", "--images", "no", "--out", "b.safetensors"],
        ["prototypes", "show", "nowhere.safetensors"],
    ]
    script = (
        "import sys; from imc_app.cli import run; "
        f"codes = [run(words) for words in {commands!r}]; "
        f"loaded = [name for name in {heavy!r} if name in sys.modules]; "
        "sys.exit(f'{codes} {loaded}' if loaded or set(codes) != {2} else 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env={**notices.os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == len(commands)
