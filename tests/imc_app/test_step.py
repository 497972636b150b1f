"""`imc step`, scripted through stdin: the embedded model, and graphs that know nothing of imc."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from graphs.exchange_store import ExchangeStore
from tests.conftest import REPOSITORY, Imc, Ran

IMAGE = REPOSITORY / "examples" / "phantom_ct.png"
TYPO = "What modaliy is this?"
SMALL = f"{REPOSITORY / 'tests' / 'graphs' / 'debugging' / 'small_graph.py'}"

Step = Callable[..., Ran]


@pytest.fixture
def step(imc: Imc, monkeypatch: pytest.MonkeyPatch) -> Step:
    """Run `imc step ARGUMENTS...` with the lines of a script as its stdin."""

    def run_step(script: str, *arguments: object) -> Ran:
        monkeypatch.setattr("sys.stdin", io.StringIO(script))
        return imc("step", *arguments)

    return run_step


def small(step: Step, script: str, name: str = "builder", given: str = '{"number": 1}') -> Ran:
    return step(script, "--graph", f"{SMALL}:{name}", "--input", given)


# the embedded model


def test_a_question_is_stepped_to_its_answer(step: Step, embedded_model: Path) -> None:
    ran = step("n\nc\n", IMAGE, TYPO)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "next: vision, coordinator"
    assert any(line.startswith("  vision: ") for line in lines)
    assert any(line.startswith("  answer: ") and "1 request" in line for line in lines)
    assert lines[-1].startswith("answer: ") and "confidence" in lines[-1]


def test_state_prompts_edits_and_forks_at_a_breakpoint(
    step: Step, embedded_model: Path, tmp_path: Path
) -> None:
    page = tmp_path / "session.html"
    script = f"""
b verifier
c
s candidate
x 0
d
h
f 2
e question="What organ is this?"
c answer
s decision
m 2 99
w {page}
q
"""
    ran = step(script, IMAGE, TYPO)
    assert "breakpoint before verifier" in ran.out
    assert '"text": "What modality is this?"' in ran.out
    assert "<|user|>" in ran.out  # the prompt as the model read it
    assert "after vision, coordinator" in ran.out
    assert '"used": "What organ is this?"' in ran.out
    assert "no checkpoint '99' in this thread" in ran.err
    assert ran.code == 2  # for the refused comparison alone
    assert "What organ is this?" in page.read_text("utf-8")


def test_an_exchange_is_asked_again_with_another_prompt(step: Step, embedded_model: Path) -> None:
    ran = step("c\nx\np 99 x\n", IMAGE, "What modality is this?")
    number = max(
        int(line.split()[0]) for line in ran.out.splitlines() if ": generate, " in line
    )
    assert ran.code == 2 and "no request '99'" in ran.err
    again = step(f"c\np {number} Is the lung normal?\n", IMAGE, "What modality is this?")
    assert again.code == 0
    assert "Is the lung normal?" in again.out.partition("as the model read it")[2]


def test_a_workflow_that_embeds_imc_is_stepped_into(step: Step, embedded_model: Path) -> None:
    place = f"{REPOSITORY / 'examples' / 'embed_in_workflow.py'}:build_workflow"
    ran = step("b imc/detector\nc\nh\nc\na A. Reader\n", IMAGE, TYPO, "--graph", place)
    assert ran.code == 0
    assert "breakpoint before imc/detector" in ran.out
    assert "a person is asked; reply with a REPLY:" in ran.out
    assert ran.out.splitlines()[-2] == "end of the run" or "end of the run" in ran.out


# a graph of one's own


def test_a_foreign_graph_is_stepped_with_its_input(step: Step) -> None:
    ran = small(step, "n\nn\ni\ns number\nc\n")
    assert ran.code == 0
    assert "next: inner/one" in ran.out
    assert ran.out.splitlines()[-1] == "end of the run"


def test_a_reply_is_json_or_text(step: Step) -> None:
    assert small(step, "c\na 7\ns number\n", "asking").out.splitlines()[-1] == "  7"


def test_refused_commands_are_said_and_the_others_carried_out(step: Step) -> None:
    ran = small(step, "b nowhere\nz\ne number\ne number=x\ne other=1\nn 3\nu first\np 1 x\nc\n")
    assert ran.code == 2
    errors = ran.err.splitlines()
    assert [line for line in errors if not line.startswith("imc: ")] == []
    assert len(errors) == 8
    assert "no node 'nowhere'; its nodes are first" in errors[0]
    assert ran.out.splitlines()[-1] == "end of the run"


def test_a_run_again_is_a_branch(step: Step) -> None:
    ran = small(step, "n\nn\nr\nh\nm 3 5\n")
    assert "├─4  run again" in ran.out
    assert "common checkpoint: 2" in ran.out


def test_help_lists_every_command(step: Step) -> None:
    out = small(step, "help\n").out
    assert all(f"\n{name} " in out for name in "n i c b u s d e a h f r m x p w".split())


def test_a_node_that_fails_is_a_fault_and_names_no_text(step: Step, tmp_path: Path) -> None:
    file = tmp_path / "workflow.py"
    file.write_text(
        "from langgraph.graph import StateGraph\n"
        "def bad(state): raise RuntimeError('patient Doe')\n"
        "graph = StateGraph(dict)\n"
        "graph.add_node('bad', bad)\n"
        "graph.set_entry_point('bad')\n"
    )
    ran = step("c\nn\n", "--graph", f"{file}:graph", "--input", "{}")
    assert ran.code == 1
    assert "failed: RuntimeError at workflow.py:2" in ran.out
    assert "Doe" not in ran.out + ran.err


# what cannot be opened


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "imc step IMAGE QUESTION"),
        ((IMAGE,), "both an image and a question"),
        ((IMAGE, "x", "--example"), "--example brings its own"),
        (("--graph", "none.py:graph"), "No such file"),
        (("--graph", "none.py"), "write FILE.py:NAME"),
        (("--graph", f"{SMALL}:other"), "has no name 'other'; its graphs are graph"),
        (("--graph", f"{SMALL}:not_a_graph"), "is a int: name a compiled graph"),
        (("--graph", f"{SMALL}:adds_one"), "needs name"),
        (("--graph", f"{SMALL}:graph", "--input", "[]"), "give one JSON object"),
        (("--graph", f"{SMALL}:graph", "--input", "{"), "is no JSON"),
        (("none.png", "Is it?"), "none.png"),
    ],
)
def test_what_cannot_be_stepped_is_refused_in_one_line(
    step: Step, arguments: tuple[object, ...], sentence: str
) -> None:
    ran = step("c\n", *arguments)
    assert ran.code == 2
    assert sentence in ran.err and len(ran.err.splitlines()) == 1


def test_a_graph_file_that_fails_is_named_with_its_line(step: Step, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    for source, sentence in (
        ("import nothing_of_this_name\n", "ModuleNotFoundError at broken.py:1"),
        ("graph = 1\nthis is no python\n", "SyntaxError at broken.py:2"),
        ("raise SystemExit(3)\n", "SystemExit at broken.py:1"),
    ):
        file.write_text(source)
        ran = step("", "--graph", f"{file}:graph")
        assert ran.code == 2 and sentence in ran.err


# kept threads


def test_a_kept_thread_is_stepped_on_and_finished_by_ask(
    step: Step, imc: Imc, embedded_model: Path, tmp_path: Path
) -> None:
    place = ("--checkpoints", tmp_path / "threads.sqlite")
    begun = step("b verifier\nc\n", IMAGE, TYPO, *place, "--keep-exchanges")
    thread = begun.out.splitlines()[0].removeprefix("thread ")
    stepped = step('h\nn\nx\ne question="What organ is this?"\n', "--thread", thread, *place)
    assert stepped.code == 0
    assert "next: verifier" in stepped.out
    assert "coordinator: loglikelihood" not in stepped.out  # not kept by this run
    asked = imc("ask", "--resume", thread, "--json", *place, "--keep-exchanges")
    assert json.loads(asked.out)["question"]["original"] == "What organ is this?"
    kept = ExchangeStore(tmp_path / "threads.sqlite.exchanges")
    assert {one.exchange.node for one in kept.of(thread)} >= {"coordinator", "answer"}
    assert imc("threads", "delete", thread, *place).code == 0
    assert kept.of(thread) == []
    unknown = step("n\n", "--thread", thread, *place)
    assert unknown.code == 2 and "is not kept in" in unknown.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("step", IMAGE, TYPO, "--keep-exchanges"), "add --checkpoints"),
        (("step", IMAGE, TYPO, "--thread", "x"), "give no image"),
        (("ask", IMAGE, TYPO, "--ephemeral", "--keep-exchanges"), "leave --ephemeral out"),
    ],
)
def test_exchanges_are_kept_beside_a_thread_alone(
    imc: Imc, arguments: tuple[object, ...], sentence: str
) -> None:
    ran = imc(*arguments)
    assert ran.code == 2 and sentence in ran.err


def test_no_exchange_is_kept_without_being_asked_for(
    imc: Imc, embedded_model: Path, tmp_path: Path
) -> None:
    imc("ask", IMAGE, TYPO, "--checkpoints", tmp_path / "threads.sqlite")
    assert not (tmp_path / "threads.sqlite.exchanges").exists()
