"""Public names of a package: imported when they are first used, listed, and the same objects."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from imc_core import lazy_names
from tests.conftest import REPOSITORY


def lazy_packages() -> list[str]:
    """Every package whose `__init__` calls `lazy_names`."""
    files = [
        path.parent.relative_to(REPOSITORY)
        for path in sorted(REPOSITORY.glob("*/**/__init__.py"))
        if path.relative_to(REPOSITORY).parts[0] not in {"imc_core", "tests"}
        and not path.relative_to(REPOSITORY).parts[0].startswith(".")
        and "lazy_names(" in path.read_text("utf-8")
    ]
    return [".".join(folder.parts) for folder in files]


def imported_for_type_checkers(package: str) -> dict[str, str]:
    """Name to module, of the imports under `if TYPE_CHECKING`."""
    source = REPOSITORY.joinpath(*package.split("."), "__init__.py").read_text("utf-8")
    return {
        alias.name: str(node.module)
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_a_name_is_found_in_the_module_that_defines_it() -> None:
    getattr_, _ = lazy_names("package", {"pathlib": ("PurePath",), "json": ("dumps",)})
    assert getattr_("PurePath") is PurePath


def test_an_unknown_name_is_an_attribute_error_that_names_the_package() -> None:
    getattr_, _ = lazy_names("package", {"json": ("dumps",)})
    with pytest.raises(AttributeError, match="module 'package' has no attribute 'dump'"):
        getattr_("dump")


@pytest.mark.parametrize("package", lazy_packages())
def test_a_package_offers_what_it_lists(package: str) -> None:
    module = importlib.import_module(package)
    for_checkers = imported_for_type_checkers(package)
    assert sorted(module.__all__) == dir(module)
    assert set(for_checkers) <= set(module.__all__)
    assert all(name in for_checkers or name in vars(module) for name in module.__all__)
    submodules = {path.stem for path in Path(str(module.__file__)).parent.iterdir()}
    assert not submodules & set(for_checkers), "a submodule of that name would hide it"
    for name, defined_in in for_checkers.items():
        assert getattr(module, name) is getattr(importlib.import_module(defined_in), name)


@pytest.mark.parametrize("package", lazy_packages())
def test_what_a_package_offers_is_documented(package: str) -> None:
    module = importlib.import_module(package)
    offered = {name: getattr(module, name) for name in module.__all__}
    undocumented = [
        name
        for name, found in offered.items()
        if inspect.isclass(found) or inspect.isfunction(found)
        if not found.__doc__
    ]
    assert not undocumented


def test_importing_every_package_loads_no_model_library() -> None:
    script = (
        f"import sys, importlib; [importlib.import_module(name) for name in {lazy_packages()!r}]\n"
        "sys.exit(' '.join({'torch', 'transformers', 'langgraph'} & set(sys.modules)) or 0)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
