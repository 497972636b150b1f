"""`imc --config FILE`: defaults of options, checked as if they had been typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Imc
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused

QUESTION = "Is there a lesion?"


def write(folder: Path, content: str) -> Path:
    path = folder / "imc.toml"
    path.write_text(content)
    return path


def test_an_option_of_the_file_is_the_default(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    config = write(tmp_path, f'[ask]\nmodel = "{tiny_llava}"\nmethod = "sms"\nseed = 7\n')
    ask = ("--config", config, "ask", grey_png(tmp_path), QUESTION, "--json")
    document = json.loads(imc(*ask).out)
    assert (document["model"], document["method"], document["seed"]) == ("llava", "sms", 7)
    assert json.loads(imc(*ask, "--seed", 3).out)["seed"] == 3


def test_the_file_may_be_named_by_the_environment(
    imc: Imc, tmp_path: Path, tiny_llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write(tmp_path, f'[ask]\nmodel = "{tiny_llava}"\njson = true\nnoise = ["typo:1"]\n')
    monkeypatch.setenv("IMC_CONFIG", str(config))
    document = json.loads(imc("ask", grey_png(tmp_path), QUESTION).out)
    assert document["question"]["original"] != QUESTION


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[ask\n", "not TOML"),
        ("[asks]\n", "'asks' is no table of a command"),
        ("seed = 3\n", "'seed' is no table of a command"),
        ("[ask]\ncolour = 3\n", "'colour' is no option"),
        ('[ask]\nseed = "three"\n', "ask: seed"),
        ("[ask]\njson = 1\n", "true or false"),
        ("[ask]\nmodel = true\n", "text or a number"),
        ("[ask]\nmodel = [1]\n", "one value"),
        ("[bench.runs]\n", "[bench]: 'runs'"),
        ('[ask]\nmethod = "magic"\n', "method"),
    ],
)
def test_a_wrong_file_is_refused(content: str, says: str, imc: Imc, tmp_path: Path) -> None:
    config = write(tmp_path, content)
    assert_refused(imc("--config", config, "graph"), "--config", says)


def test_a_missing_file_is_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("--config", tmp_path / "nowhere.toml", "graph"), "nowhere.toml", "No such")


def test_a_file_that_is_no_text_is_refused(imc: Imc, tmp_path: Path) -> None:
    assert_refused(imc("--config", grey_png(tmp_path), "graph"), "not UTF-8")
