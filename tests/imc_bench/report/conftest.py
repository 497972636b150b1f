"""What the report's tests share: the store worked out by hand, its report, and its pictures."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from imc_bench.report.picture import Picture
from imc_bench.report.report import Report, make_report
from tests.imc_bench.worked_run import make_store


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Of the store whose figures are worked out on paper."""
    return make_report(make_store(tmp_path_factory.mktemp("worked") / "run.db"))


@pytest.fixture
def drawn(pictures: Mapping[str, Picture], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports get the pictures drawn before: for tests of the files around them."""
    monkeypatch.setattr("imc_bench.report.plots.make_plots", lambda report: pictures)


@pytest.fixture(scope="session")
def pictures(report: Report) -> Mapping[str, Picture]:
    """Every picture of it, drawn once."""
    pytest.importorskip("matplotlib")
    from imc_bench.report.plots import make_plots

    return make_plots(report)
