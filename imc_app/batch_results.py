"""What `imc ask --batch` writes: a record a row, kept as it comes, and the finished file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imc_app.batch_rows import BatchRow
from imc_app.refusals import InputRefused, one_line
from imc_core.files import replace_file

if TYPE_CHECKING:
    from imc_app.session import Outcome

Record = dict[str, Any]
"""`row`, `id`, `source` and `error` (None where there is an answer); where the row was asked also
`image_reason`, why the image was corrected or left, and the keys of the document of
`imc ask --json`."""

COLUMNS = (
    *("row", "id", "image", "question", "answer", "confidence"),
    *("question_used", "question_changed", "question_reason"),
    *("noise", "severity", "probability", "clean_p_value", "corrected", "image_reason", "error"),
)
"""Of a CSV file of results."""


class PartialResults:
    """`OUT.partial`: every record on disk as soon as it is known, so that a run can go on."""

    def __init__(self, out: Path, digest: str) -> None:
        """Go on with the partial file of the same request, or begin one.

        Raises InputRefused where it belongs to another request, or cannot be written.
        """
        self.out = out
        self.path = out.with_name(f"{out.name}.partial")
        self.records = self._held(digest)
        lines = [{"batch": digest}, *self.records]
        # written anew: the last line of a run that was killed may be cut
        self._write(self.path, "".join(_line(one) for one in lines))
        self._file = self.path.open("a", encoding="utf-8")

    def add(self, record: Record) -> None:
        """Keep a record. Raises InputRefused where the disk is full."""
        try:
            self._file.write(_line(record))
            self._file.flush()
        except OSError as error:
            raise self._refused(error) from error
        self.records.append(record)

    def finish(self, rows: Sequence[BatchRow]) -> None:
        """Write the file of results in the order of the rows, and remove the partial one."""
        self._file.close()
        by_row = {record["row"]: record for record in self.records}
        records = [by_row[row.number] for row in rows]
        if self.out.suffix.lower() in (".csv", ".tsv"):
            content = _table(records, rows, "\t" if self.out.suffix.lower() == ".tsv" else ",")
        else:
            content = "".join(_line(record) for record in records)
        self._write(self.out, content)
        self.path.unlink()

    def close(self) -> None:
        """Close the partial file; it stays."""
        self._file.close()

    def _held(self, digest: str) -> list[Record]:
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError):
            lines = []
        records = [one for one in map(_record, lines) if one is not None]
        if not records or records[0].get("batch") != digest:
            raise InputRefused(
                f"--out {self.out}: {self.path.name} beside it holds results of another request "
                "that was stopped; remove it, or name another file"
            )
        return [one for one in records[1:] if isinstance(one.get("row"), int)]

    def _write(self, path: Path, content: str) -> None:
        try:
            replace_file(path, content)
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> InputRefused:
        return InputRefused(
            f"--out {self.out}: cannot be written ({error.strerror}); the same command goes on "
            "once it can"
        )


def record_of(row: BatchRow, outcome: Outcome | str) -> Record:
    """The record of a row: its outcome, or the line that says why it was not asked."""
    record = {"row": row.number, "id": row.id, "source": row.image}
    if isinstance(outcome, str):
        return {**record, "error": one_line(outcome)}
    error = None if outcome.failure is None else f"no answer: {one_line(outcome.failure)}"
    return {**record, "error": error, "image_reason": outcome.correction, **outcome.document}


def _line(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False) + "\n"


def _record(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _table(records: Iterable[Record], rows: Iterable[BatchRow], delimiter: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for record, row in zip(records, rows, strict=True):
        writer.writerow(_cells(record, row))
    return text.getvalue()


def _cells(record: Record, row: BatchRow) -> dict[str, Any]:
    cells = {
        "row": row.number,
        "id": row.id,
        "image": row.image,
        "question": row.question,
        "error": record["error"] or "",
    }
    if "answer" not in record:
        return cells
    question, image = record["question"], record["image"]
    noise = image["noise"] or {}
    return cells | {
        "answer": record["answer"],
        "confidence": record["confidence"],
        "question_used": question["used"],
        "question_changed": str(question["changed"]).lower(),
        "question_reason": question["reason"],
        "noise": noise.get("kind", ""),
        "severity": noise.get("severity", ""),
        "probability": noise.get("probability", ""),
        "clean_p_value": noise.get("clean_p_value", ""),
        "corrected": str(image["calibrated"]).lower(),
        "image_reason": record["image_reason"],
    }
