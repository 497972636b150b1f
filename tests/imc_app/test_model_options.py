"""One set of options says which model runs, where and how, in every command that loads one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from imc_agents.chat.placement import Placement
from imc_app import session
from imc_app.cli import app
from imc_app.kept_questions import AskSettings
from imc_app.model_options import ModelSettings
from imc_app.refusals import InputRefused
from imc_app.serving.settings import settings_of_environment
from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused

PLACED = {"--device", "--dtype", "--device-map", "--attention"}
SERVED = PLACED | {
    "--model", "--prototypes", "--acquisition", "--profile", "--protected", "--stages", "--seed"
}  # fmt: skip


def options_of(*path: str) -> set[str]:
    command: Any = typer.main.get_command(app)
    for name in path:
        command = command.commands[name]
    return {name for each in command.params for name in each.opts}


@pytest.mark.parametrize(
    "path",
    [
        ("ask",), ("step",), ("perceive",), ("refine",), ("prototypes", "build"), ("bench", "run"),
        ("mcp",), ("serve",), ("studio",),
    ],
    ids=" ".join,
)  # fmt: skip
def test_every_command_that_loads_a_model_says_where(path: tuple[str, ...]) -> None:
    assert options_of(*path) >= PLACED


@pytest.mark.parametrize("name", ["mcp", "serve", "studio"])
def test_whatever_serves_takes_all_that_names_a_model(name: str) -> None:
    assert options_of(name) >= SERVED


def test_the_options_reach_the_model(imc: Imc, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Placement] = []

    def opened(*_: object, placement: Placement, **__: object) -> Any:
        seen.append(placement)
        raise InputRefused("enough")

    monkeypatch.setattr(session, "open_context", opened)
    asked = ("refine", "Is there an effusion?", "--dtype", "bfloat16", "--attention", "eager")
    assert_refused(imc(*asked, "--device-map", "auto"), "enough")
    assert_refused(imc(*asked, "--device", "cpu"), "enough")
    assert seen == [
        Placement(dtype="bfloat16", device_map="auto", attention="eager"),
        Placement("cpu", "bfloat16", attention="eager"),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--device", "cpu", "--device-map", "auto"), "give one of the two"),
        (("--device", "abacus"), "unknown device 'abacus'"),
        (("--dtype", "int3"), "--dtype"),
    ],
)
def test_what_cannot_be_is_refused(imc: Imc, options: tuple[str, ...], says: str) -> None:
    assert_refused(imc("refine", "Is there an effusion?", *options), says)


# -- the environment and a settings file --------------------------------------------------------


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SERVED, "--config"):
        variable = name.removeprefix("--").replace("-", "_").upper()
        monkeypatch.delenv(f"IMC_{variable}", raising=False)


def test_nothing_said_is_the_embedded_model() -> None:
    assert settings_of_environment() == ModelSettings()


def test_variables_name_the_served_model(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "IMC_MODEL": "/models/mine",
        "IMC_PROTOTYPES": "/models/half.safetensors",
        "IMC_ACQUISITION": "/models/acquisition.safetensors",
        "IMC_PROFILE": "instruct",
        "IMC_STAGES": "pixels",
        "IMC_DEVICE": "cuda:1",
        "IMC_DTYPE": "float16",
        "IMC_ATTENTION": "sdpa",
        "IMC_SEED": "7",
    }
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert settings_of_environment() == ModelSettings(
        model="/models/mine",
        prototypes=Path("/models/half.safetensors"),
        acquisition=Path("/models/acquisition.safetensors"),
        profile="instruct",
        stages=("pixels",),
        seed=7,
        placement=Placement("cuda:1", "float16", attention="sdpa"),
    )


def test_a_settings_file_names_the_served_model_and_a_variable_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "imc.toml"
    config.write_text('[serve]\nmodel = "/models/mine"\ndtype = "bfloat16"\nport = 2030\n')
    monkeypatch.setenv("IMC_CONFIG", str(config))
    monkeypatch.setenv("IMC_DTYPE", "float32")
    settings = settings_of_environment()
    assert (settings.model, settings.placement.dtype) == ("/models/mine", "float32")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("IMC_DTYPE", "int3", "int3"), ("IMC_STAGES", "colours", "--stages colours")],
)
def test_a_wrong_variable_is_refused(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputRefused, match=says):
        settings_of_environment()


def test_settings_reach_another_process_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = (tmp_path / "one.yaml", tmp_path / "two.yaml")
    settings = ModelSettings(
        model=str(tmp_path),
        prototypes=tmp_path / "half.safetensors",
        protected=protected,
        stages=("features",),
        seed=3,
        placement=Placement(dtype="bfloat16", device_map="auto"),
    )
    for name, value in settings.to_environment().items():
        monkeypatch.setenv(name, value)
    assert settings_of_environment() == settings


# -- kept questions -----------------------------------------------------------------------------


def test_a_kept_question_remembers_where_its_model_ran() -> None:
    settings = AskSettings(placement=Placement("cpu", "bfloat16", attention="eager"))
    assert AskSettings.read(settings.record()) == settings


def test_a_record_of_an_earlier_version_is_read() -> None:
    old = AskSettings.read('{"device": "cuda:1", "dtype": "float16"}')
    assert old.placement == Placement("cuda:1", "float16")


def test_a_question_is_finished_on_another_machine_in_its_own_number_format() -> None:
    begun = AskSettings(placement=Placement(dtype="bfloat16", device_map="auto"))
    assert begun.on(Placement("cpu", "float32")).placement == Placement("cpu", "bfloat16")
    assert begun.on(Placement()).placement == begun.placement
    on_one = AskSettings(placement=Placement("cuda:1"))
    assert on_one.on(Placement(device_map="auto")).placement == Placement(device_map="auto")
