"""Files of a user's own noises and methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imc_bench.conditions import Condition
from imc_bench.methods import registry
from imc_core import plugins
from imc_core.plugins import PluginRefused, load_plugins
from imc_noise import NOISES, NoiseRefused
from tests.conftest import REPOSITORY

DUST = REPOSITORY / "examples" / "dust.py"
DARK = """
from imc_noise import register_noise
register_noise("dark", lambda rgb, strength, rng: rgb // 9, meaning="Unlit.")
"""


pytestmark = pytest.mark.usefixtures("forget_plugins")


def written(path: Path, source: str) -> Path:
    path.write_text(source, encoding="utf-8")
    return path


def test_a_file_registers_noises_and_methods_and_is_run_once() -> None:
    first = load_plugins([DUST])
    assert "dust" in NOISES and "swept" in registry()
    assert list(first) == ["dust.py"] and load_plugins([DUST, DUST]) == first


def test_a_digest_tells_one_file_from_another(tmp_path: Path) -> None:
    dark = load_plugins([written(tmp_path / "mine.py", DARK)])
    for table in plugins._TABLES:
        table.clear()
    (tmp_path / "other").mkdir()
    darker = load_plugins([written(tmp_path / "other" / "mine.py", DARK.replace("9", "19"))])
    assert dark.keys() == darker.keys() and dark != darker
    with pytest.raises(PluginRefused, match="two plug-ins are called"):
        load_plugins([tmp_path / "mine.py", tmp_path / "other" / "mine.py"])


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("mine.txt", DARK, r"ends in \.py"),
        ("mine.py", "def", r"SyntaxError at mine\.py:1"),
        ("mine.py", "\n1 / 0", r"ZeroDivisionError at mine\.py:2"),
        ("mine.py", "raise SystemExit('Is there a mass?')", r"SystemExit at mine\.py:1"),
        ("mine.py", DARK.replace("dark", "gaussian"), "there is a noise 'gaussian' already"),
        ("mine.py", "import no_such_room", r"ModuleNotFoundError at mine\.py:1"),
        ("mine.py", DARK + "\n\n1 / 0", r"ZeroDivisionError at mine\.py:6"),
        ("mine.py", DARK.replace("// 9", "/ 9"), r"mine\.py:3.*must return uint8"),
        ("mine.py", DARK.replace("rgb // 9", "rgb.fill(0)"), r"in place \(mine\.py:3\)"),
        ("mine.py", "import numpy\nnumpy.zeros(-1)", r"ValueError at mine\.py:2"),
    ],
)
def test_a_file_that_cannot_be_run_is_refused_in_a_line(
    tmp_path: Path, name: str, source: str, said: str
) -> None:
    with pytest.raises(PluginRefused, match=said) as refused:
        load_plugins([written(tmp_path / name, source)])
    assert "\n" not in str(refused.value) and "mass" not in str(refused.value)
    assert "dark" not in NOISES and not plugins._LOADED, "a plug-in that fails leaves nothing"


def test_methods_registered_before_a_failure_are_forgotten_too(tmp_path: Path) -> None:
    broken = DUST.read_text("utf-8") + "\nraise RuntimeError\n"
    with pytest.raises(PluginRefused, match=r"RuntimeError at mine\.py"):
        load_plugins([written(tmp_path / "mine.py", broken)])
    assert "dust" not in NOISES and "swept" not in registry()
    assert load_plugins([DUST]), "the same names are free again"


def test_a_file_that_is_not_there_or_has_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginRefused, match="No such file"):
        load_plugins([tmp_path / "none.py"])
    mine = written(tmp_path / "mine.py", DARK)
    load_plugins([mine])
    with pytest.raises(PluginRefused, match="has changed"):
        load_plugins([written(mine, DARK + "\n")])


def test_a_noise_that_fails_later_is_refused_with_its_place_and_no_word_of_what_it_said(
    tmp_path: Path,
) -> None:
    failing = DARK.replace("rgb // 9", "rgb // 9 if len(rgb) > 9 else int('a secret')")
    load_plugins([written(tmp_path / "mine.py", failing)])
    with pytest.raises(NoiseRefused, match=r"noise 'dark' failed: ValueError at mine\.py:3") as no:
        Condition("dark", 1).corrupt_image(np.zeros((4, 5, 3), np.uint8), "a", 0)
    assert "secret" not in str(no.value)
