"""`imc ask` keeps its question as a thread; `imc threads` and `--resume` find it again."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from imc_app.kept_questions import AskSettings, new_thread
from imc_app.refusals import InputRefused
from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused

QUESTION = "Is there a lesion?"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "kept.sqlite"


@pytest.fixture
def ask(imc: Imc, tmp_path: Path, tiny_llava: Path, place: Path) -> Any:
    """Ask about a grey picture, with the thread kept in `place`."""

    def ask_it(*options: object) -> dict[str, Any]:
        ran = imc(
            "ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--json",
            "--checkpoints", place, *options,
        )  # fmt: skip
        assert (ran.code, ran.err) == (0, "")
        return dict(json.loads(ran.out))

    return ask_it


def listed(imc: Imc, place: Path) -> list[dict[str, Any]]:
    ran = imc("threads", "list", "--json", "--checkpoints", place)
    assert ran.code == 0
    return [json.loads(line) for line in ran.out.splitlines()]


def test_a_question_is_kept_listed_shown_and_deleted(imc: Imc, ask: Any, place: Path) -> None:
    first, second = ask()["thread"], ask()["thread"]
    assert [one["thread"] for one in listed(imc, place)] == [second, first]
    shown = imc("threads", "show", first, "--checkpoints", place).out
    assert QUESTION in shown and "answered" in shown and "then the end" in shown
    images = place.with_name(f"{place.name}.images")
    assert len([*images.iterdir()]) == 1  # both are about one picture

    assert imc("threads", "delete", first, "--checkpoints", place).out == "1 thread deleted\n"
    assert [one["thread"] for one in listed(imc, place)] == [second]
    assert len([*images.iterdir()]) == 1
    assert imc("threads", "delete", "--all", "--checkpoints", place).code == 0
    assert listed(imc, place) == []
    assert [*images.iterdir()] == []


def test_a_finished_thread_shows_its_answer_again(
    imc: Imc, ask: Any, place: Path, tmp_path: Path
) -> None:
    document = ask("--method", "sms", "--seed", 3)
    page = tmp_path / "case.html"
    ran = imc(
        "ask", "--resume", document["thread"], "--json", "--checkpoints", place, "--html", page
    )
    assert json.loads(ran.out) == document
    assert QUESTION in page.read_text("utf-8")


def test_a_question_killed_in_a_node_is_finished_with_the_options_it_was_begun_with(
    imc: Imc, ask: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphs.nodes.answer import AnswerNode

    whole = ask("--method", "sms", "--seed", 3, "--noise", "typo:2")
    imc("threads", "delete", "--all", "--checkpoints", place)

    def killed(self: Any, state: Any, runtime: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    if (pid := os.fork()) == 0:
        try:
            monkeypatch.setattr(AnswerNode, "__call__", killed)
            ask("--method", "sms", "--seed", 3, "--noise", "typo:2")
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1])

    (stopped,) = listed(imc, place)
    assert stopped["waits_for"] == ["answer"]
    ran = imc("ask", "--resume", stopped["thread"], "--json", "--checkpoints", place)
    document = json.loads(ran.out)
    for key in ("answer", "confidence", "question", "image", "model", "method", "seed"):
        assert document[key] == whole[key]
    assert listed(imc, place)[0]["waits_for"] == []


def test_an_ephemeral_question_leaves_nothing(
    imc: Imc, tmp_path: Path, tiny_llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    ask = "ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--json"
    assert "thread" not in json.loads(imc(*ask, "--ephemeral").out)
    assert not (tmp_path / "data").exists()
    assert "thread" in json.loads(imc(*ask).out)
    assert (tmp_path / "data" / "imc" / "checkpoints.sqlite").is_file()


def test_without_times_the_same_question_gives_the_same_bytes(ask: Any) -> None:
    assert ask("--no-times") == ask("--no-times")


def test_a_question_that_the_graph_refuses_leaves_no_thread(
    imc: Imc, tmp_path: Path, tiny_llava: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graphs.nodes.answer import AnswerNode
    from imc_agents.errors import QuestionRefused

    def refuse(self: Any, state: Any, runtime: Any) -> Any:
        raise QuestionRefused("the question is too long: shorten it")

    monkeypatch.setattr(AnswerNode, "__call__", refuse)
    ran = imc(
        "ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--checkpoints", place
    )
    assert_refused(ran, "too long")
    assert listed(imc, place) == []


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("ask", "--resume", "20260101-000000-abcd"), "is not kept in"),
        (("threads", "show", "no such thread"), "is not kept in"),
        (("threads", "delete", "no such thread"), "is not kept in"),
        (("threads", "delete"), "name the threads"),
        (("threads", "delete", "a", "--all"), "name the threads"),
        (("ask", "--resume", "a", "--seed", "3"), "--seed does not go with --resume"),
        (("ask", "picture.png", "--resume", "a"), "IMAGE does not go with --resume"),
    ],
)
def test_what_names_no_thread_is_refused(
    imc: Imc, place: Path, command: tuple[str, ...], says: str
) -> None:
    assert_refused(imc(*command, "--checkpoints", place), says)


def test_a_thread_of_another_program_is_not_resumed(imc: Imc, place: Path) -> None:
    from graphs.imc import build_imc_graph
    from tests.fakes import grey_square
    from tests.graphs.test_imc_graph import CLEAN, context_of, thread

    context = context_of()
    asked: Any = {"image": context.images.put(grey_square()), "question": CLEAN}
    build_imc_graph(checkpointer=place).invoke(asked, thread("mine"), context=context)
    assert_refused(imc("ask", "--resume", "mine", "--checkpoints", place), "not begun by imc ask")
    assert [one["thread"] for one in listed(imc, place)] == ["mine"]


def test_a_picture_that_is_gone_is_said(imc: Imc, ask: Any, place: Path) -> None:
    thread = ask()["thread"]
    for file in place.with_name(f"{place.name}.images").iterdir():
        file.unlink()
    assert_refused(imc("ask", "--resume", thread, "--checkpoints", place), "not stored")


def test_a_place_that_cannot_be_written_names_the_way_without(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    ran = imc(
        "ask", grey_png(tmp_path), QUESTION, "--model", tiny_llava, "--checkpoints",
        tmp_path / "nowhere" / "kept.sqlite",
    )  # fmt: skip
    assert_refused(ran, "folder that exists", "--ephemeral")


@pytest.mark.parametrize(
    "record",
    ["", "[]", '{"model": 3, "colour": 1}', '{"noise": 3}', "x" * 200],
)
def test_settings_that_are_none_are_refused(record: str) -> None:
    with pytest.raises(InputRefused, match="not begun by imc ask"):
        AskSettings.read(record)


def test_settings_are_read_as_they_were_written() -> None:
    settings = AskSettings.of(model=None, prototypes=None, protected=(), noise=("typo:2",), seed=4)
    assert json.loads(settings.record()) == {"noise": ["typo:2"], "seed": 4}
    assert AskSettings.read(settings.record()) == settings
    assert new_thread() != new_thread()
