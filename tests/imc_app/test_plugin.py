"""One plug-in file, and every command that takes noise knows its noise, or none of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from imc_noise import NOISES
from tests.conftest import REPOSITORY, Imc

pytestmark = pytest.mark.usefixtures("forget_plugins")

DUST = REPOSITORY / "examples" / "dust.py"
SCAN = REPOSITORY / "examples" / "phantom_ct.png"
HALF = """
from imc_noise import register_noise
register_noise("haze", lambda rgb, strength, rng: rgb // 2)
raise RuntimeError("Is there a mass?")
"""


def test_ask_and_perceive_corrupt_by_a_plug_in(imc: Imc, embedded_model: Path) -> None:
    plain = imc("perceive", SCAN, "--json")
    dusty = imc("perceive", SCAN, "--json", "--plugin", DUST, "--noise", "dust:3")
    assert plain.code == dusty.code == 0 and plain.out != dusty.out
    asked = imc("ask", SCAN, "Is there a lesion?", "--plugin", DUST, "--noise", "dust:3")
    assert asked.code == 0 and "dust, severity 3" in asked.out


@pytest.mark.parametrize(
    "command",
    [
        ("ask", SCAN, "Mass?", "--noise", "haze:3"),
        ("perceive", SCAN, "--noise", "haze:3"),
        ("bench", "run", "--dataset", "phantom", "--noises", "haze", "--out", "run.db"),
        ("bench", "sheet", SCAN, "--out", "sheet.png"),
        ("prototypes", "acquisition", "--kinds", "haze", "--images", ".", "--out", "b"),
    ],
)
def test_a_plug_in_that_fails_half_way_is_refused_by_every_command(
    imc: Imc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[object, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    half = tmp_path / "half.py"
    half.write_text(HALF, encoding="utf-8")
    ran = imc(*command, "--plugin", half)
    assert ran.code == 2
    refusal = "imc: plug-in 'half.py' cannot be run: RuntimeError at half.py:4"
    assert ran.err.splitlines()[-1] == refusal and "mass" not in ran.err
    assert "haze" not in NOISES and list(tmp_path.iterdir()) == [half]


def test_noise_is_not_added_to_a_monitored_stream(imc: Imc) -> None:
    ran = imc("perceive", SCAN, "--monitor", "--noise", "gaussian:3")
    assert ran.code == 2 and "leave it out with --monitor" in ran.err
    ran = imc("perceive", SCAN, "--noise", "typo:3")
    assert ran.code == 2 and "unknown image noise 'typo'" in ran.err
