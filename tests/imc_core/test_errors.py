"""Refusals share one base; an error of foreign code is named without its message."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from imc_core import IMCError
from imc_core.errors import where_raised


@pytest.mark.parametrize(
    "name",
    [
        "imc_agents.ModelRefused",
        "imc_agents.QuestionRefused",
        "imc_bench.StoreRefused",
        "imc_data.DataRefused",
        "imc_noise.NoiseRefused",
        "imc_noise.UnknownNoise",
        "prompts.PromptRefused",
        "vision.BankRefused",
        "vision.ImageRefused",
    ],
)
def test_every_refusal_is_an_imc_error_and_a_value_error(name: str) -> None:
    package, refusal = name.split(".")
    error = getattr(importlib.import_module(package), refusal)
    assert issubclass(error, IMCError)
    assert issubclass(error, ValueError)


def test_a_foreign_error_is_located_without_its_message() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        1 / 0  # noqa: B018
    found = where_raised(caught.value)
    assert found.startswith("ZeroDivisionError at test_errors.py:")
    assert "by zero" not in found


def test_a_syntax_error_is_located_in_the_text_that_was_compiled() -> None:
    with pytest.raises(SyntaxError) as caught:
        compile("a = 1\nb = = 2\n", "plugin.py", "exec")
    assert where_raised(caught.value) == "SyntaxError at plugin.py:2"


def test_the_line_of_ones_own_file_is_named_and_not_that_of_a_library_it_calls() -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads("{")
    assert where_raised(caught.value).startswith("JSONDecodeError at decoder.py:")
    assert where_raised(caught.value, within=Path(__file__)).startswith(
        "JSONDecodeError at test_errors.py:"
    )


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert where_raised(KeyError("patient")) == "KeyError"
