"""`--stages`: one stage of the image's correction alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imc_app.refusals import InputRefused
from imc_app.stages import parse_stages
from tests.conftest import Imc
from tests.imc_app.test_refusals import assert_refused


def test_stages_are_named_in_any_order() -> None:
    assert parse_stages("features, pixels") == ("pixels", "features")
    assert parse_stages("features") == ("features",)


@pytest.mark.parametrize("option", ["", "pixel", "pixels;features", "pixels,"])
def test_other_stages_are_refused(option: str) -> None:
    with pytest.raises(InputRefused, match="give pixels, features or pixels,features"):
        parse_stages(option)


@pytest.mark.parametrize("command", [("ask", "scan.png", "Is it?"), ("perceive", "scan.png")])
def test_stages_are_checked_before_a_model_is_loaded(imc: Imc, command: tuple[str, ...]) -> None:
    assert_refused(imc(*command, "--stages", "both"), "--stages both")


def test_stages_of_a_method_that_corrects_no_image_are_refused(imc: Imc) -> None:
    ran = imc("ask", "scan.png", "Is it?", "--method", "sms", "--stages", "pixels")
    assert_refused(ran, "--method sms corrects no image")


def test_perceive_classifies_from_the_stage_that_is_named(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def opened(*_: Any, **options: Any) -> Any:
        given.update(options)
        raise InputRefused("no model in this test")

    monkeypatch.setattr("imc_app.session.open_perceiver", opened)
    scan = tmp_path / "scan.png"
    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(scan)
    imc("perceive", scan, "--stages", "features")
    assert given["stages"] == ("features",)
