"""What tests of every room share: where the public data lies, and the `imc` command."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One thread each, also in the processes that tests start: threads of a library that wait for a busy
# core cost more than they compute. Set before NumPy and torch are imported.
for _library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{_library}_NUM_THREADS"] = "1"

import pytest  # noqa: E402

# `imc ask` keeps its threads in the user's data directory: tests have one of their own.
_data_directory = tempfile.TemporaryDirectory(prefix="imc-tests-")
os.environ["XDG_DATA_HOME"] = _data_directory.name

REPOSITORY = Path(__file__).parent.parent


@dataclass(frozen=True)
class Ran:
    """One `imc` command line, run in this process."""

    code: int
    out: str
    err: str


Imc = Callable[..., Ran]


@pytest.fixture
def imc(capsys: pytest.CaptureFixture[str]) -> Imc:
    """Run `imc ARGUMENTS...` through its real entry point."""
    from imc_app.cli import run

    def run_imc(*arguments: object) -> Ran:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_imc


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with `vqa-rad/` and `slake/` as published, from IMC_DATA."""
    named = os.environ.get("IMC_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("needs the public VQA-RAD and SLAKE files: set IMC_DATA to their folder")
    return Path(named)


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny LLaVA with random weights."""
    from tests.tiny_models import save_tiny

    return save_tiny("llava", tmp_path_factory.mktemp("tiny") / "llava")


@pytest.fixture(scope="session")
def embedded_model() -> Path:
    """The folder of the embedded model."""
    from imc_reference import MODEL_DIR

    if not (MODEL_DIR / "model.safetensors").is_file():
        pytest.skip("the embedded model is not trained yet: imc reference train")
    return MODEL_DIR


@pytest.fixture
def forget_plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Forgets, now and after the test, the noises and methods of one's own: as a new process."""
    from imc_core import plugins

    def forget() -> None:
        monkeypatch.setattr(plugins, "_LOADED", {})
        for table in plugins._TABLES:
            table.clear()

    forget()
    yield forget
    forget()


@pytest.fixture(autouse=True)
def _environment_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what the command sets in its own process: the next test starts from a clean one."""
    for variable in ("IMC_DEBUG", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(variable, raising=False)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Run the slow tests last: a quick failure should be seen first."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
