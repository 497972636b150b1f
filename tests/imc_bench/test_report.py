"""A small store made by hand, whose every figure can be worked out on paper."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from imc_app.cli import run
from imc_bench.compare import compare_runs, comparison_document, comparison_table
from imc_bench.conditions import Condition
from imc_bench.errors import StoreRefused
from imc_bench.report.cells import make_cell, summarise_side
from imc_bench.report.document import make_report, to_document
from imc_bench.report.files import write_report
from imc_bench.report.frame import CLEAN, ReportRefused, read_frame
from imc_bench.report.table import Table
from imc_bench.report.tables import make_tables
from imc_bench.schema import Identity, NewRun
from imc_bench.store import Store

ITEMS = 10
TYPO, OCR = Condition("", 0, "typo", 3), Condition("", 0, "ocr", 3)
LOW_DOSE = Condition("low_dose", 3)
BOTH = Condition("low_dose", 3, "typo", 3)
BLANK = Condition("blank")

Right = Mapping[tuple[Condition, str], Sequence[int]]
"""For each cell, the numbers of the items answered rightly; the others say `wrong`."""

# `none` knows 8 of 10 when clean, 4 under typo, 8 under ocr, 6 under low_dose
WORKED: Right = {
    (CLEAN, "none"): range(8),
    (CLEAN, "pdc"): range(8),
    (CLEAN, "sms"): [*range(1, 8), 8],
    (TYPO, "none"): range(4),
    (TYPO, "pdc"): range(4),
    (TYPO, "sms"): [1, 2, 3, 4, 5, 6],
    (OCR, "none"): range(8),
    (OCR, "pdc"): range(8),
    (OCR, "sms"): range(8),
    (LOW_DOSE, "none"): range(6),
    (LOW_DOSE, "pdc"): range(7),
    (LOW_DOSE, "sms"): range(6),
    (BLANK, "none"): [0],
}


def make_store(
    path: Path,
    right: Right = WORKED,
    *,
    seed: int = 0,
    rows_of: range = range(ITEMS),
    model: str = "tiny <model>",
    answer: str = "yes",
    change: Mapping[tuple[Condition, str, int], Mapping[str, object]] | None = None,
) -> Path:
    """Two questions an image, so five clusters; only items of `rows_of` have rows."""
    identity = Identity(
        {"data_set": "phantom", "methods": ["none", "pdc", "sms", "imc"], "seed": seed},
        {"imc-agents": "0.1.0"},
        {"name": model, "fingerprint": "f00d", "bank": None},
    )
    new = NewRun(
        [(f"q{n}", f"image-{n // 2}", "organ", True, answer, (), None) for n in range(ITEMS)],
        units=1,
        expected=ITEMS * len(right),
    )
    rows = []
    for (condition, method), known in right.items():
        for n in rows_of:
            row: dict[str, Any] = {
                "run_key": identity.run_key,
                "dataset": "phantom",
                "split": "test",
                "item_id": f"q{n}",
                "image": f"image-{n // 2}",
                "image_group": f"image-{n // 2}",
                "topic": "organ",
                "closed": 1,
                "image_noise": condition.image_noise,
                "image_severity": condition.image_severity,
                "text_noise": condition.text_noise,
                "text_severity": condition.text_severity,
                "noise_at": "input",
                "method": method,
                "prediction": answer if n in known else "wrong",
                "answer": answer,
                "confidence": 0.75,
                "correct_strict": int(n in known),
                "question_noisy": int(bool(condition.text_noise)),
                "question_edited": 0,
                "question_restored": int(not condition.text_noise),
                "cer_before": 0.0,
                "cer_after": 0.0,
                "protected_violations": 0,
                "touched": 0,
                "perceived_kind": condition.image_noise or "clean",
                "perceived_severity": condition.image_severity,
                "clean_p_value": 0.5,
                "calls": 1,
                "ms": 10.0,
                "question_asked": None,
            }
            row.update((change or {}).get((condition, method, n), {}))
            rows.append(row)
    with Store.open(path, identity, new) as store:
        if rows:
            unit = store.units.claim()
            assert unit is not None
            store.finish(unit, rows)
    return path


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    return make_store(tmp_path / "run.db")


def test_recovered_is_the_share_of_the_drop_won_back(worked: Path) -> None:
    cell = make_cell(read_frame(worked), TYPO, "sms")
    assert cell is not None and cell.recovered is not None
    assert cell.accuracy.value == pytest.approx(0.6)
    assert cell.drop.value == pytest.approx(0.2)
    assert cell.gain.value == pytest.approx(0.2)
    assert cell.recovered.value == pytest.approx(0.5)  # (6 - 4) / (8 - 4)
    assert (cell.accuracy.items, cell.accuracy.clusters) == (10, 5)


def test_recovered_is_suppressed_where_noise_costs_nothing(worked: Path) -> None:
    frame = read_frame(worked)
    for method in ("pdc", "sms"):
        cell = make_cell(frame, OCR, method)
        assert cell is not None and cell.recovered is None
    none = make_cell(frame, TYPO, "none")
    assert none is not None and none.recovered is None


def test_destroyed_and_corrected_are_against_the_same_noisy_items(worked: Path) -> None:
    cell = make_cell(read_frame(worked), TYPO, "sms")
    assert cell is not None
    assert cell.destructive == pytest.approx(0.1)  # item 0
    assert cell.corrective == pytest.approx(0.3)  # items 4, 5, 6


def test_flips_are_against_the_own_clean_answer(worked: Path) -> None:
    frame = read_frame(worked)
    noisy, repaired = make_cell(frame, TYPO, "none"), make_cell(frame, TYPO, "sms")
    assert noisy is not None and repaired is not None
    assert noisy.flips == pytest.approx(0.4)  # items 4 to 7
    assert repaired.flips == pytest.approx(0.2)  # items 0 and 7
    assert repaired.flips_removed == pytest.approx(0.5)


def test_the_calibration_error_is_confidence_less_accuracy(worked: Path) -> None:
    cell = make_cell(read_frame(worked), TYPO, "none")
    assert cell is not None and cell.calibration_error == pytest.approx(0.75 - 0.4)


def test_a_summary_is_the_mean_over_kinds(worked: Path) -> None:
    frame = read_frame(worked)
    summary = summarise_side(frame, "text", "sms")
    assert summary is not None and summary.recovered is not None
    assert summary.accuracy.value == pytest.approx((0.6 + 0.8) / 2)
    assert summary.recovered.value == pytest.approx(0.5)  # 0.1 of the 0.2 lost over both kinds
    assert summary.flips_removed == pytest.approx(0.5)
    assert (summary.worst_noise, summary.worst_accuracy) == ("typo", pytest.approx(0.6))
    # errors 0.4 of 0.6 under typo, 0.2 of 0.2 under ocr
    assert summary.corruption_error == pytest.approx((0.4 / 0.6 + 1) / 2)


def test_the_document_holds_what_the_design_promises(worked: Path) -> None:
    document = json.loads(json.dumps(to_document(make_report(worked)), allow_nan=False))
    for method in ("none", "pdc", "sms"):
        for side in ("image", "text"):
            assert {"recovered", "flips", "flips_removed"} <= document["summary"][method][
                side
            ].keys()
        assert {"accuracy_change", "flips", "touched"} <= document["summary"][method][
            "clean"
        ].keys()
    assert document["summary"]["pdc"]["image"]["recovered"] == pytest.approx(0.5)  # 1 of 2
    assert document["summary"]["none"]["image"]["recovered"] is None
    assert len(document["cells"]) == len(WORKED)


def test_clean_harm_counts_what_was_destroyed_and_what_was_touched(tmp_path: Path) -> None:
    edits = {(CLEAN, "sms", n): {"question_edited": 1, "protected_violations": 2} for n in (0, 8)}
    touched = {(CLEAN, "pdc", n): {"touched": 1} for n in (2, 3)}  # both ask about one image
    store = make_store(tmp_path / "run.db", change={**edits, **touched})
    clean = to_document(make_report(store))["summary"]
    sms = clean["sms"]["clean"]
    assert sms["accuracy_change"] == 0.0
    assert (sms["destructive"], sms["corrective"]) == (0.1, 0.1)
    assert sms["flips"] == pytest.approx(0.2)
    assert sms["false_edits"] == pytest.approx(0.2)
    assert sms["violations"] == 4
    assert clean["pdc"]["clean"]["touched"] == pytest.approx(0.2)


def test_controls_are_no_part_of_a_summary(worked: Path) -> None:
    report = make_report(worked)
    (image,) = (one for one in report.sides["image"] if one.method == "none")
    assert image.accuracy.value == pytest.approx(0.6)
    (controls,) = (table for table in make_tables(report) if table.name == "controls")
    assert ("blank", "none") in {row[:2] for row in controls.rows}


def test_the_matrix_holds_the_nine_states(tmp_path: Path) -> None:
    counts = {"none": 2, "pdc": 3, "sms": 4, "imc": 5}
    both = {(BOTH, method): range(count) for method, count in counts.items()}
    imc = {(condition, "imc"): range(8) for condition in (CLEAN, TYPO, LOW_DOSE)}
    report = make_report(make_store(tmp_path / "run.db", {**WORKED, **imc, **both}))
    # ocr is not among the joined noises: its perfect score must not enter
    expected = [[0.8, 0.4, 0.6], [0.6, 0.2, 0.4], [0.7, 0.3, 0.5]]
    assert report.matrix.tolist() == [pytest.approx(row) for row in expected]


def test_an_image_counts_once_in_the_confusion(tmp_path: Path) -> None:
    mistaken = {(LOW_DOSE, "none", n): {"perceived_kind": "gaussian"} for n in (0, 1)}
    alarm = {(CLEAN, "none", n): {"perceived_kind": "unknown"} for n in (4, 5)}
    seen = make_report(make_store(tmp_path / "run.db", change={**mistaken, **alarm})).perception
    assert seen is not None
    assert seen.truth == ("clean", "low_dose")
    assert seen.said == ("clean", "low_dose", "gaussian", "unknown")
    assert seen.kinds.tolist() == [[4, 0, 0, 1], [0, 4, 1, 0]]
    assert seen.false_alarms.value == pytest.approx(0.2)
    assert seen.identified == pytest.approx(0.8)


def test_images_of_one_patient_count_apart_in_the_confusion(tmp_path: Path) -> None:
    one_patient = {
        (condition, "none", n): {"image_group": "patient"}
        for condition in (CLEAN, LOW_DOSE)
        for n in range(ITEMS)
    }
    seen = make_report(make_store(tmp_path / "run.db", change=one_patient)).perception
    assert seen is not None
    assert seen.kinds.tolist() == [[5, 0, 0], [0, 5, 0]]


def test_the_other_rules_score_the_same_answers(tmp_path: Path) -> None:
    said = {(CLEAN, "none", 8): {"prediction": "no"}, (CLEAN, "none", 9): {"prediction": "Yeah!"}}
    report = make_report(make_store(tmp_path / "run.db", change=said))
    (clean,) = (one for one in report.scores if (one.on, one.method) == ("clean", "none"))
    assert clean.strict_closed == pytest.approx(0.8)
    assert clean.lmms_eval == pytest.approx(0.9)  # "yeah" is a yes to it
    assert clean.llavamed_closed == pytest.approx(8 / 9)  # "no" is not counted, "yeah" is wrong
    assert clean.strict_open != clean.strict_open  # NaN: the set has no open questions


def test_an_unfinished_run_is_compared_over_what_both_sides_hold(tmp_path: Path) -> None:
    frame = read_frame(make_store(tmp_path / "run.db", rows_of=range(6)))
    cell = make_cell(frame, TYPO, "sms")
    assert cell is not None
    assert cell.accuracy.items == 6
    assert cell.accuracy.value == pytest.approx(5 / 6)


@pytest.mark.parametrize("right", [{}, {(CLEAN, "pdc"): range(8)}])
def test_a_store_without_clean_answers_is_refused(tmp_path: Path, right: Right) -> None:
    with pytest.raises(ReportRefused) as refused:
        read_frame(make_store(tmp_path / "run.db", right))
    assert "\n" not in str(refused.value)


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


def test_the_page_stands_alone(worked: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "report"
    files = write_report(make_report(worked), out)
    assert all(file.is_file() for file in files)
    page = (out / "report.html").read_text("utf-8")
    references = _References()
    references.feed(page)
    assert not references.found
    assert references.pictures == 5
    assert not re.search(r"https?:|url\(|@import", page)
    assert "tiny &lt;model&gt;" in page and "tiny <model>" not in page
    for picture in ("severity", "recovery", "matrix", "confusion", "cost"):
        assert (out / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_store_gives_the_same_files(worked: Path, tmp_path: Path) -> None:
    first, second = (write_report(make_report(worked), tmp_path / name) for name in "ab")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_a_report_that_cannot_be_written_says_so_in_one_line(worked: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(ReportRefused, match="--out") as refused:
        write_report(make_report(worked), blocked / "report")
    assert "\n" not in str(refused.value)


def test_two_runs_are_compared_item_by_item(tmp_path: Path) -> None:
    first = make_store(tmp_path / "a.db")
    better = {**WORKED, (TYPO, "sms"): [1, 2, 3, 4, 5, 6, 7, 8]}
    second = make_store(tmp_path / "b.db", better, seed=1, rows_of=range(1, ITEMS))
    document = comparison_document(compare_runs(first, second))
    (cell,) = (one for one in document["cells"] if (one["on"], one["method"]) == ("typo 3", "sms"))
    assert cell["items"] == 9  # item 0 has no row in the second
    assert cell["difference"] == pytest.approx(2 / 9)
    assert (cell["destructive"], cell["corrective"]) == (0.0, pytest.approx(2 / 9))
    (mean,) = (one for one in document["summary"] if (one["on"], one["method"]) == ("text", "sms"))
    assert mean["difference"] == pytest.approx(1 / 9)
    assert document["differ"] == {"seed": [0, 1]}


def test_a_run_does_not_differ_from_itself(worked: Path) -> None:
    made = compare_runs(worked, worked)
    assert made.differ == {}
    assert {row[4] for row in comparison_table(made, every=True).rows} == {"0.0 [0.0, 0.0]"}
    assert not any(one.difference.claimed for one in made.cells)


def test_the_command_reports_and_compares(
    worked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "report", str(worked), "--json"]) == 0
    assert "summary" in json.loads(capsys.readouterr().out)
    assert sorted(tmp_path.iterdir()) == [worked]
    assert run(["bench", "report", str(worked)]) == 0
    assert (tmp_path / "run-report" / "report.html").is_file()
    assert run(["bench", "compare", str(worked), str(worked)]) == 0
    assert "difference" in capsys.readouterr().out


def test_the_command_refuses_what_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a store, though long enough to look like one " * 40, "utf-8")
    for command in (["report", str(text)], ["compare", str(text), str(tmp_path / "none.db")]):
        assert run(["bench", *command]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_runs_on_other_answers_are_not_compared(worked: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other.db", answer="liver")
    with pytest.raises(ReportRefused, match="another answer"):
        compare_runs(worked, other)
    with pytest.raises(StoreRefused):
        compare_runs(worked, tmp_path / "none.db")
