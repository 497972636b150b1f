"""The harder half: its conditions, and what its page says of rows worked by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from imc_bench.metrics.bootstrap import ClusterBootstrap
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from tests.conftest import REPOSITORY

sys.path.append(str(REPOSITORY / "benchmarks"))

from unmatched.noises import KIND, MAKER, UnmatchedNoise, conditions  # noqa: E402
from unmatched.page import NoiseRow, Outcome, make_page, row_cells  # noqa: E402

ITEMS = 10
BOOTSTRAP = ClusterBootstrap([f"image {n // 2}" for n in range(ITEMS)])


def way(right: int, flipped: int) -> Outcome:
    """So many of ten answers right, so many flipped, the first ones."""
    return Outcome(
        *(BOOTSTRAP.rate([n < count for n in range(ITEMS)]) for count in (right, flipped))
    )


def row(name: str, new: str, alone: Outcome, treated: Outcome, *, first: bool = True) -> NoiseRow:
    return NoiseRow(
        UnmatchedNoise(name, new, lambda rgb, number: rgb, first), alone, {"pdc": treated}
    )


HELPED = row("fog", MAKER, way(4, 5), way(8, 1))
HARMED = row("soot", KIND, way(8, 2), way(6, 3), first=False)
UNMOVED = row("mist", KIND, way(9, 0), way(9, 0))
"""No answer flips: it has no share, and takes no part in a mean."""
PAGE = {"title": "t", "ground": "g", "command": "c", "aim": 0.4}


def test_every_condition_changes_a_picture_the_same_way_twice() -> None:
    said: list[str] = []
    found = list(conditions(said.append))
    assert len({one.name for one in found}) == len(found) >= 37
    rgb = as_rgb(make_phantom(np.random.default_rng(0)).image)
    for one in found:
        corrupted = one.corrupt(rgb.copy(), 3)
        assert (corrupted.shape, corrupted.dtype) == (rgb.shape, rgb.dtype)
        assert (corrupted != rgb).any(), one.name
        assert (corrupted == one.corrupt(rgb.copy(), 3)).all(), one.name
    assert all("not installed" in line for line in said)
    assert len(found) + 5 * len(said) == 47


def test_a_row_shows_points_and_shares_by_hand() -> None:
    assert HELPED.restored("pdc") == pytest.approx(0.8)
    cells = row_cells(HELPED, BOOTSTRAP)
    assert cells[:4] == ("fog", MAKER, "40.0", "50.0")
    assert cells[4].startswith("+40.0 [") and cells[5].startswith("80.0 [")
    assert row_cells(UNMOVED, BOOTSTRAP)[5] == "-"


def test_means_leave_out_rows_without_flips_and_harm_is_named() -> None:
    page = make_page([HELPED, HARMED, UNMOVED], BOOTSTRAP, **PAGE)
    means = {line.split(" | ")[0]: line.split(" | ")[1:] for line in page.splitlines()}
    assert means["| implementation"][:3] == ["1", "40.0", "50.0"]
    assert means["| implementation"][4] == "80.0" and means["| kind"][4] == "-50.0"
    assert means["| the first table's rows"][0] == "2"
    assert means["| the first table's rows"][4] == "80.0"
    assert means["| all"][3].startswith("+6.7 [")
    assert means["| all"][4] == "15.0"
    # of seven flips four are left
    assert means["| all"][5].startswith("42.9 [")
    assert "first table's rows is 40.0 %" in page
    assert "- pdc: 1 of 3 rows lose more: soot (-20.0); the interval leaves" in page


def test_the_unmoved_are_no_harm() -> None:
    page = make_page([UNMOVED, UNMOVED], BOOTSTRAP, **PAGE)
    assert "- pdc: 0 of 2 rows lose more." in page
    assert np.isfinite(BOOTSTRAP.estimate(UNMOVED.change("pdc")).value)
