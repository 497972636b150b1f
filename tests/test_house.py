"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from imc_core.sources import PACKAGES
from tests.conftest import REPOSITORY

ROOMS = (
    "graphs",
    "imc_agents",
    "imc_app",
    "imc_bench",
    "imc_core",
    "imc_data",
    "imc_noise",
    "imc_reference",
    "prompts",
    "vision",
)
BELOW_THE_COMMAND = tuple(room for room in ROOMS if room != "imc_app")
LARGEST_FILE = 25_000_000  # bytes: the embedded weights are 13 MB


def test_the_digest_of_the_program_covers_every_room_below_the_command() -> None:
    assert PACKAGES == BELOW_THE_COMMAND


def sources(*rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    for room in rooms:
        for path in sorted((REPOSITORY / room).rglob("*.py")):
            yield path, ast.parse(path.read_text("utf-8"))


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True
    )
    if listed.returncode != 0:
        pytest.skip("needs a git checkout")
    return [REPOSITORY / name for name in listed.stdout.split("\0") if name]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_its_purpose_in_one_line(room: str) -> None:
    docstring = ast.get_docstring(ast.parse((REPOSITORY / room / "__init__.py").read_text("utf-8")))
    assert docstring and "\n" not in docstring


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_loads_no_model_library(room: str) -> None:
    script = f"import sys, {room}; sys.exit(bool({{'torch', 'transformers'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY).returncode == 0


DATA_FOLDER = REPOSITORY / "graphs" / "checkpoints" / "opening.py"
"""Where the user's data lie is the system's to say: XDG_DATA_HOME."""
PROCESS_FILES = {REPOSITORY / "imc_core" / name for name in ("quiet.py", "workers.py")}
"""What a process is begun with is said here in variables of its libraries; none of ours is read."""


def reads_environment(node: ast.AST) -> bool:
    """`os.environ`, `os.getenv`, or one of them imported by name."""
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and bool({one.name for one in node.names} & READERS)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in READERS
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


READERS = {"environ", "environb", "getenv", "getenvb"}


def test_the_environment_is_read_by_the_command_alone() -> None:
    readers = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path, tree in sources(*BELOW_THE_COMMAND)
        if path not in {DATA_FOLDER, *PROCESS_FILES}
        for node in ast.walk(tree)
        if reads_environment(node) and isinstance(node, ast.expr | ast.stmt)
    ]
    assert not readers


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("os.environ['IMC_MODEL']", True),
        ("os.getenv('IMC_MODEL')", True),
        ("from os import environ as e", True),
        ("from os import path", False),
        ("os.fsdecode(name)", False),
    ],
)
def test_a_reading_of_the_environment_is_recognised(line: str, reads: bool) -> None:
    assert any(reads_environment(node) for node in ast.walk(ast.parse(line))) is reads


def test_no_input_is_checked_by_assert() -> None:
    asserts = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path, tree in sources(*ROOMS)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]
    assert not asserts


def test_every_dependency_is_pinned() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    names = {re.split(r"[\[<>=~ ]", line, maxsplit=1)[0].lower() for line in wanted}
    pinned = {
        line.split("==")[0].lower()
        for line in (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
        if "==" in line
    }
    assert names - {"imc-agents"} <= pinned


def test_no_tracked_file_names_a_machine() -> None:
    home = re.compile(r"/(?:home|Users)/[a-z]\w*/|/root/|/work/", re.IGNORECASE)
    texts = {".py", ".md", ".toml", ".txt", ".yaml", ".json", ".ipynb", ".tsv", ""}
    named = [
        str(path.relative_to(REPOSITORY))
        for path in tracked_files()
        if path.suffix in texts and path.is_file() and path != Path(__file__)
        if home.search(path.read_text("utf-8", errors="ignore"))
    ]
    assert not named


def test_no_tracked_file_is_large_or_pickled() -> None:
    unwanted = [
        str(path.relative_to(REPOSITORY))
        for path in tracked_files()
        if path.is_file()
        and (
            path.stat().st_size >= LARGEST_FILE
            or path.suffix in {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}
        )
    ]
    assert not unwanted


def test_the_server_is_given_a_graph_that_exists() -> None:
    served = json.loads((REPOSITORY / "langgraph.json").read_text("utf-8"))["graphs"]
    assert served
    for entry in served.values():
        where = entry if isinstance(entry, str) else entry["path"]
        file, name = where.split(":")
        module = ".".join(Path(file).with_suffix("").parts)
        assert hasattr(importlib.import_module(module), name)


def test_a_package_that_shadows_a_room_is_named(tmp_path: Path) -> None:
    intruder = tmp_path / "graphs" / "__init__.py"
    intruder.parent.mkdir()
    intruder.touch()
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import imc_agents"
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ran.returncode != 0
    assert str(intruder.parent) in ran.stderr.splitlines()[-1]


FIGURES_OF_SPEECH = frozenset(
    "betray betrays converse dictated doses look mend mended mends recalled rival rivals rubbish "
    "shortcut sight spoil spoilt standing taught told untouched".split()
)
"""Words that name nothing in the field: a name is a term of a paper or a library of the field."""


def names_given(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that a file gives: functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr, node.lineno


def test_no_name_is_a_figure_of_speech() -> None:
    words = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
    found = [
        f"{path.relative_to(REPOSITORY)}:{line} {name}"
        for path, tree in sources(*ROOMS)
        for name, line in names_given(tree)
        if FIGURES_OF_SPEECH & {word.lower() for word in words.findall(name)}
    ]
    assert not found
