"""A report as tables, page and files, of one run and of several."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from imc_app.cli import run
from imc_bench.report.files import write_report, write_reports
from imc_bench.report.head import head_facts
from imc_bench.report.page import Section, make_page
from imc_bench.report.picture import Picture
from imc_bench.report.report import Report, make_report
from imc_bench.report.results import ReportRefused
from imc_bench.report.runs import overview_table
from imc_bench.report.table import Table
from imc_bench.report.tables import make_tables
from tests.conftest import REPOSITORY
from tests.imc_bench.worked_run import (
    WORKED,
    make_store,
)


def test_the_three_formats_hold_the_same_cells(worked: Path) -> None:
    for table in make_tables(make_report(worked)):
        expected = [list(table.columns), *map(list, table.rows)]
        assert list(csv.reader(io.StringIO(table.csv()))) == expected
        lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
        del lines[1]
        assert [[c.strip() for c in line[1:-1].split("|")] for line in lines] == expected
        inner = [line for line in table.latex().splitlines() if line.endswith(r"\\")]
        plain = [re.sub(r"\\([%_&#$])", r"\1", line.removesuffix(r" \\")) for line in inner]
        assert [[c.strip() for c in line.split(" & ")] for line in plain] == expected


def test_what_latex_would_obey_is_escaped() -> None:
    table = Table("t", r"50 % of \input{x}", ("a_b", "c"), (("1 & 2", "$x^2$ #~{}"),))
    latex = table.latex()
    assert r"50 \% of \textbackslash{}input\{x\}" in latex
    assert r"1 \& 2 & \$x\textasciicircum{}2\$ \#\textasciitilde{}\{\}" in latex


class _References(HTMLParser):
    """Everything in a page that a browser would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "iframe", "object", "embed", "base", "a", "form"}:
            self.found.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "srcset", "style"} or name.startswith("on"):
                if tag == "img" and str(value).startswith("data:image/png;base64,"):
                    self.pictures += 1
                else:
                    self.found.append(f"{tag} {name}")


@pytest.mark.usefixtures("drawn")
def test_the_page_refers_to_nothing_outside_it(worked: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    files = write_report(make_report(worked), out)
    assert all(file.is_file() for file in files)
    page = (out / "report.html").read_text("utf-8")
    references = _References()
    references.feed(page)
    assert not references.found
    assert references.pictures == 8
    assert not re.search(r"https?:|url\(|@import", page)
    assert "tiny &lt;model&gt;" in page and "tiny <model>" not in page
    drawn = "severity recovery matrix confusion severities reliability gate cost"
    for picture in drawn.split():
        assert (out / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_head_says_where_the_figures_come_from(tmp_path: Path) -> None:
    store = make_store(
        tmp_path / "run.db",
        command="imc bench run --dataset phantom --out run.db",
        bad_rows=[("test.json: row 3", "no answer"), ("test.json: row 9", "no answer")],
    )
    head = head_facts(make_report(store, rule="lmms_eval", baseline="pdc"))
    assert head["data"].startswith("phantom test (10 questions on 5 images)")
    assert head["rows of the data set left out"] == "2 × no answer"
    assert head["items left out of a condition"] == "none"
    assert head["command"] == "imc bench run --dataset phantom --out run.db"
    assert "lmms-eval" in head["scores"] and head["corruption errors relative to"] == "method pdc"
    page = make_page([Section(make_report(store), [], {})])
    for said in ("f00d", "input resolution", "2 × no answer", "imc-agents 0.1.0", "CPUs"):
        assert said in page


@pytest.mark.usefixtures("drawn")
def test_several_runs_share_a_page_and_a_table(worked: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    text_alone = {cell: known for cell, known in WORKED.items() if not cell[0].image_noise}
    other = make_store(tmp_path / "again" / "run.db", text_alone, model="other")
    reports = [make_report(worked), make_report(other)]
    table = overview_table(reports)
    rows = {(row[0], row[3], row[4]): row for row in table.rows}
    assert ("run", "image", "pdc") in rows and ("run-2", "image", "pdc") not in rows
    sms = dict(zip(table.columns, rows["run-2", "question", "sms"], strict=True))
    assert sms["severity 3 %"] == "70.0"  # 60 under typo, 80 under ocr
    assert sms["clean %"].startswith("80.0 [") and sms["recovered %"] == "few (4)"

    files = write_reports(reports, tmp_path / "report")
    names = {str(file.relative_to(tmp_path / "report")) for file in files}
    assert {"report.html", "tables/runs.csv", "run/tables/summary.csv"} <= names
    assert {"run-2/tables/summary.csv", "run-2/severity.png"} <= names
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert page.count("<section>") == 2 and "other" in page
    assert len(json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))) == 2


@pytest.mark.usefixtures("drawn")
def test_the_same_store_gives_the_same_files(worked: Path, tmp_path: Path) -> None:
    first, second = (write_report(make_report(worked), tmp_path / name) for name in "ab")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_the_page_begins_with_its_verdict_and_ends_with_where_it_comes_from(
    report: Report, pictures: Mapping[str, Picture]
) -> None:
    page = make_page([Section(report, make_tables(report), pictures)])
    order = (
        "noise on the image lowers accuracy from 80.0 to 60.0 %",
        "<table>",
        "<dt>BE</dt>",
        "<img ",
        "<details><summary>Where these figures come from",
        "<summary>Glossary",
    )
    places = [page.index(part) for part in order]
    assert places == sorted(places)
    for term in ("recovered", "flips", "rBE"):  # explained at the first table, and in the glossary
        assert page.count(f"<dt>{term}</dt>") == 2


def test_a_page_fits_a_narrow_screen_light_or_dark(
    report: Report, pictures: Mapping[str, Picture]
) -> None:
    page = make_page([Section(report, make_tables(report), pictures)])
    assert '<meta name="viewport" content="width=device-width' in page
    assert "prefers-color-scheme: dark" in page
    wide = re.findall(r"<(?:table|img)\b", page)
    assert len(re.findall(r'<div class="scroll"[^>]*><(?:table|img)\b', page)) == len(wide)
    for (
        picture
    ) in pictures.values():  # what a picture says is text, and is legible where it shrinks
        assert escape(picture.caption.verdict) in page


def test_the_command_of_a_page_can_be_pasted(tmp_path: Path) -> None:
    command = "imc bench run --dataset phantom --noises typo,ocr --out 'my runs/a.sqlite'"
    report = make_report(make_store(tmp_path / "run.db", command=command))
    page = make_page([Section(report, [], {})])
    assert f"<pre><code>{escape(command)}</code></pre>" in page


def test_a_report_that_cannot_be_written_says_so_in_one_line(worked: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ReportRefused, match="--out") as refused:
        write_report(make_report(worked), blocked / "report")
    assert "\n" not in str(refused.value)


@pytest.mark.usefixtures("drawn")
def test_the_command_reports_and_compares(
    worked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "report", str(worked), "--json"]) == 0
    assert "summary" in json.loads(capsys.readouterr().out)
    assert sorted(tmp_path.iterdir()) == [worked]
    assert run(["bench", "report", str(worked)]) == 0
    assert (tmp_path / "run-report" / "report.html").is_file()
    assert (tmp_path / "run-report" / "tables" / "summary.csv").is_file()
    options = ["--rule", "lmms_eval", "--baseline", "pdc"]
    capsys.readouterr()
    assert run(["bench", "report", str(worked), str(worked), *options, "--json"]) == 0
    two = json.loads(capsys.readouterr().out)
    assert [one["run"]["baseline"] for one in two] == ["method pdc", "method pdc"]
    assert run(["bench", "compare", str(worked), str(worked)]) == 0
    assert "difference" in capsys.readouterr().out


def test_the_command_refuses_what_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a store, though as long as one " * 40, "utf-8")
    for command in (["report", str(text)], ["compare", str(text), str(tmp_path / "none.db")]):
        assert run(["bench", *command]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_mistyped_store_is_refused_before_anything_is_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imc_bench.report.document", None)
    monkeypatch.setitem(sys.modules, "imc_bench.compare", None)
    missing = str(tmp_path / "rnu.sqlite")
    for command in (["report", missing], ["compare", missing, missing]):
        assert run(["bench", *command]) == 2
        assert "there is no such store" in capsys.readouterr().err


def test_without_matplotlib_a_report_is_refused_in_one_line(worked: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None; from imc_app.cli import run; "
        "sys.exit(run(['bench', 'report', *sys.argv[1:]]))"
    )
    command = [sys.executable, "-c", script, str(worked), "--out", str(tmp_path / "report")]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ran.returncode == 2
    assert "pip install 'imc-agents[bench]'" in ran.stderr.splitlines()[-1]
