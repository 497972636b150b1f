"""`imc ask --batch FILE --out FILE`: every row asked with one model."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Imc, Ran
from tests.imc_app.bad_files import grey_png
from tests.imc_app.test_refusals import assert_refused

QUESTIONS = ("Is there a lesion?", "Is ther a lesoin?", "Which organ is shown?")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder with an image, a truncated one, and a file of five rows, two of which are bad."""
    image = grey_png(tmp_path)
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:40])
    lines = ["id,image,question,note"]
    lines += [f"q{index},readable.png,{text},x" for index, text in enumerate(QUESTIONS)]
    lines += ["q3,cut.png,Is it?,x", "q4,readable.png,,x"]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def ask(imc: Imc, batch: Path, out: Path, model: Path, *options: object) -> Ran:
    return imc("ask", "--batch", batch, "--out", out, "--model", model, *options)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_row_has_its_answer_or_the_line_that_refuses_it(
    imc: Imc, rows: Path, tiny_llava: Path
) -> None:
    out = rows.with_name("out.csv")
    ran = ask(imc, rows, out, tiny_llava)
    assert ran.code == 2
    assert ran.out == f"{out}: 3 of 5 rows answered, 2 refused, 0 without an answer\n"
    found = table(out)
    assert [row["id"] for row in found] == ["q0", "q1", "q2", "q3", "q4"]
    assert [row["question"] for row in found[:3]] == list(QUESTIONS)
    assert all(row["answer"] and not row["error"] for row in found[:3])
    assert "cut.png" in found[3]["error"] and not found[3]["answer"]
    assert found[4]["error"] == (
        "row 5: has no question; write a path under image and text under question"
    )


def test_a_row_is_answered_as_alone(imc: Imc, rows: Path, tiny_llava: Path) -> None:
    out = rows.with_name("out.jsonl")
    assert ask(imc, rows, out, tiny_llava, "--no-times", "--method", "sms").code == 2
    for record, question in zip(records(out), QUESTIONS, strict=False):
        ran = imc(
            *("ask", rows.with_name("readable.png"), question, "--model", tiny_llava),
            *("--json", "--no-times", "--method", "sms"),
        )
        alone = json.loads(ran.out)
        assert {key: record[key] for key in ("answer", "question", "image", "model")} == {
            key: alone[key] for key in ("answer", "question", "image", "model")
        }
        assert [step["node"] for step in record["trace"]].count("answer") == 1


def test_all_answered_is_exit_code_0(imc: Imc, tmp_path: Path, tiny_llava: Path) -> None:
    grey_png(tmp_path)
    batch = tmp_path / "rows.jsonl"
    batch.write_text('{"image": "readable.png", "question": "Is it?"}\n\n')
    ran = ask(imc, batch, tmp_path / "out.tsv", tiny_llava)
    assert ran.code == 0
    assert (tmp_path / "out.tsv").read_text().startswith("row\tid\timage\tquestion\t")
    assert not (tmp_path / "out.tsv.partial").exists()


def test_a_stopped_batch_goes_on_where_it_was(
    imc: Imc, rows: Path, tiny_llava: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imc_app import batch

    whole, out = rows.with_name("whole.jsonl"), rows.with_name("out.jsonl")
    ask(imc, rows, whole, tiny_llava, "--no-times")
    asked: list[int] = []
    record_of = batch.record_of

    def stop_at_the_second(row: Any, *rest: Any) -> Any:
        asked.append(row.number)
        if asked.count(2) == 1 and row.number == 2:
            raise KeyboardInterrupt
        return record_of(row, *rest)

    monkeypatch.setattr(batch, "record_of", stop_at_the_second)
    stopped = ask(imc, rows, out, tiny_llava, "--no-times")
    assert stopped.code == 130 and "stopped after 1 of 5 rows" in stopped.err
    with out.with_name("out.jsonl.partial").open("a") as partial:
        partial.write('{"row": 2, "id": "q')  # a line that a killed process left half written
    resumed = ask(imc, rows, out, tiny_llava, "--no-times")
    assert "1 of 5 rows are done already" in resumed.err
    assert asked.count(1) == 1
    for at_once, resumed_record in zip(records(whole), records(out), strict=True):
        for record in (at_once, resumed_record):
            record.pop("trace", None)  # an image whose features are not held is encoded again
        assert resumed_record == at_once


def test_results_of_another_request_are_not_mixed(imc: Imc, rows: Path, tiny_llava: Path) -> None:
    out = rows.with_name("out.csv")
    out.with_name("out.csv.partial").write_text('{"batch": "another"}\n')
    assert_refused(ask(imc, rows, out, tiny_llava), "out.csv.partial", "another request")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("rows.csv", "picture,question\na.png,Is it?\n", "no column image"),
        ("rows.csv", "", "no column image and no column question"),
        ("rows.csv", "image,question\n", "no row"),
        ("rows.csv", b"image,question\na.png,\xff\n", "UTF-8"),
        ("rows.xlsx", "PK", "CSV nor JSON lines"),
    ],
)
def test_a_file_that_is_no_batch_is_refused(
    name: str, content: str | bytes, says: str, imc: Imc, tmp_path: Path
) -> None:
    batch = tmp_path / name
    batch.write_bytes(content.encode() if isinstance(content, str) else content)
    assert_refused(imc("ask", "--batch", batch, "--out", tmp_path / "out.csv"), says)


def test_a_line_that_is_no_object_is_a_refused_row(imc: Imc, tmp_path: Path) -> None:
    batch, out = tmp_path / "rows.jsonl", tmp_path / "out.csv"
    batch.write_text('{"image": "x.png"\n[1]\n{"image": 3, "question": "Is it?"}\n')
    assert imc("ask", "--batch", batch, "--out", out).code == 2
    said = [row["error"] for row in table(out)]
    assert "not JSON" in said[0] and "no JSON object" in said[1] and "has no image" in said[2]


@pytest.mark.parametrize(
    "options",
    [
        ("--batch", "rows.csv"),
        ("--out", "out.csv"),
        ("scan.png", "Is it?", "--out", "out.csv"),
        ("--batch", "rows.csv", "--out", "out.csv", "--json"),
        ("--batch", "rows.csv", "--out", "out.csv", "--example"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    options: tuple[str, ...], imc: Imc
) -> None:
    assert_refused(imc("ask", *options), "--batch and --out belong together")


def test_an_output_over_an_input_is_refused(imc: Imc, rows: Path) -> None:
    assert_refused(imc("ask", "--batch", rows, "--out", rows), "--out", "overwritten")
    assert rows.read_text().startswith("id,image,question")


def test_semicolons_and_a_byte_order_mark_are_read(
    imc: Imc, tmp_path: Path, tiny_llava: Path
) -> None:
    grey_png(tmp_path)
    batch = tmp_path / "rows.csv"
    batch.write_text("Image;Question\r\nreadable.png;Is it, or not?\r\n", encoding="utf-8-sig")
    assert ask(imc, batch, tmp_path / "out.csv", tiny_llava).code == 0
    (row,) = table(tmp_path / "out.csv")
    assert row["question"] == "Is it, or not?"
