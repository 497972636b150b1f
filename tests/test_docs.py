"""README and documentation hold what they say: code runs, commands parse, tables are current."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

import graphs
from tests.conftest import REPOSITORY, Imc
from tests.test_house import ROOMS

README = REPOSITORY / "README.md"
PAGES = [
    README,
    REPOSITORY / "CONTRIBUTING.md",
    *sorted(
        path
        for path in (REPOSITORY / "docs").rglob("*.md")
        if "results" not in path.relative_to(REPOSITORY).parts[1:-1]
    ),
]
"""Everything written by hand; `docs/results/` is written by commands."""


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text("utf-8"), re.S | re.M)


def relative(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def test_the_readme_is_short() -> None:
    assert README.stat().st_size < 9_000


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


# Code -------------------------------------------------------------------------------------------

SNIPPETS = [
    pytest.param(code, id=f"{relative(page)}:{number}")
    for page in PAGES
    for number, code in enumerate(blocks(page, "python"))
]


@pytest.fixture(scope="module")
def one_context() -> Any:
    """`load_context`, loading once for all snippets what is asked for alike."""
    load, loaded = graphs.load_context, {}

    def load_once(*args: Any, **options: Any) -> Any:
        asked = repr((args, options))
        if asked not in loaded:
            loaded[asked] = load(*args, **options)
        return loaded[asked]

    return load_once


@pytest.mark.parametrize("code", SNIPPETS)
def test_a_python_block_runs_as_it_stands(
    code: str,
    one_context: Any,
    embedded_model: Path,
    forget_plugins: Any,  # what a block registers, no other test knows
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(graphs, "load_context", one_context)
    monkeypatch.chdir(REPOSITORY)
    exec(compile(code, "block", "exec", dont_inherit=True), {"__name__": "block"})
    assert capsys.readouterr().out.strip()


# Commands ---------------------------------------------------------------------------------------


def command_lines(page: Path) -> Iterator[str]:
    for block in blocks(page, "(?:sh|text)"):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.removeprefix("$ ").strip()
            if line.startswith("imc ") and not line.startswith("imc: "):
                yield line


COMMANDS = sorted({line for page in PAGES for line in command_lines(page)})


def leaf_command(arguments: list[str]) -> tuple[Any, list[str]]:
    command: Any = typer.main.get_command(importlib.import_module("imc_app.cli").app)
    rest = list(arguments)
    while hasattr(command, "commands"):
        command = command.commands[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_has_the_options_it_is_shown_with(line: str) -> None:
    arguments = shlex.split(line.split(" | ")[0].split(" > ")[0])[1:]
    command, rest = leaf_command(arguments)
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    known = {name for each in shown for name in (*each.opts, *each.secondary_opts)}
    used = {word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert used <= known | {"--help", "-h"}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_files_and_targets_that_are_named_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    files = re.findall(r"\b(?:benchmarks|scripts|examples|notebooks|tests|docs)/[\w/.-]*\w", text)
    assert [name for name in files if not (REPOSITORY / name).exists()] == []
    targets = set(re.findall(r"(?:^|`|&& )make ([a-z]+)", text, re.M))
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    assert targets <= set(re.findall(r"^([a-z]+):", makefile, re.M))


# What scripts write -----------------------------------------------------------------------------

TABLES = script("docs_tables")


@pytest.mark.parametrize(("file", "name", "make"), TABLES.BLOCKS)
def test_a_table_is_the_one_that_its_script_prints(file: str, name: str, make: Any) -> None:
    text = (REPOSITORY / file).read_text("utf-8")
    assert TABLES.with_block(text, name, make(TABLES.read_runs())) == text


def test_the_example_prints_what_is_shown(imc: Imc, embedded_model: Path) -> None:
    example = script("docs_example")
    printed = imc("ask", "--example", "--no-times").out
    text = "\n".join(line.rstrip() for line in printed.splitlines()) + "\n"
    assert example.TEXT.read_text("utf-8") == text
    assert example.with_example(README.read_text("utf-8"), text) == README.read_text("utf-8")


# The site ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://unpkg.com/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<img srcset="https://example.org/a.png 2x">',
        "<style>@import 'https://example.org/a.css';</style>",
        '<p style="background: url(https://example.org/a.png)">',
        '<pre class="mermaid">graph LR</pre>',
    ],
)
def test_a_page_that_loads_from_another_host_is_found(page: str, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page)
    assert len(list(script("site_checks").remote_loads(tmp_path))) == 1


def test_a_link_that_a_reader_may_follow_is_no_load(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="https://arxiv.org/abs/2512.21964">paper</a><img src="img/a.png">'
        '<link rel="canonical" href="https://example.org/">'
    )
    assert not list(script("site_checks").remote_loads(tmp_path))


# Messages ---------------------------------------------------------------------------------------


@cache
def messages() -> tuple[str, ...]:
    """Every text of the product's code; `…` where a value is put in."""

    def text(node: ast.AST) -> str:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else ""
        if isinstance(node, ast.JoinedStr):
            return "".join(text(part) or "…" for part in node.values)
        return ""

    paths = [path for room in ROOMS for path in (REPOSITORY / room).rglob("*.py")]
    nodes = [node for path in paths for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    return tuple(filter(None, map(text, nodes)))


QUOTED = re.findall(
    r"^\| `(.+?)` \|", (REPOSITORY / "docs" / "troubleshooting.md").read_text("utf-8"), re.M
)


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_message_that_is_explained_exists(quoted: str) -> None:
    pattern = re.compile(".*?".join(map(re.escape, quoted.split("…"))), re.S)
    assert any(pattern.search(message) for message in messages())
