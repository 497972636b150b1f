"""Where restored pictures go: a name for each, no file but our own replaced, a table of all."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.image_files import images_in
from imc_app.refusals import InputRefused, printable
from imc_core.files import replace_file

if TYPE_CHECKING:
    from vision.reading.medical_image import MedicalImage

TABLE = "restore.csv"


@dataclass(frozen=True)
class Row:
    """What was decided about one file: a line of the table."""

    file: str
    decision: str
    """`restored`, `clean`, `declined`, or `refused`: not read, or not written."""
    kind: str = ""
    severity: str = ""
    p_value: str = ""
    predicted_share: str = ""
    """Share of the squared error that the restoration is predicted to remove."""
    reason: str = ""
    output: str = ""
    """The restored picture, relative to the table."""
    output_sha256: str = ""
    """Of its bytes: a file that is still what an earlier run wrote may be replaced."""


COLUMNS = [field.name for field in fields(Row)]


def targets(sources: Sequence[str]) -> dict[Path, Path]:
    """Every image of files and folders, with the name of its restored picture, relative.

    Of a folder's images the path below it is kept, of a file its name; the ending becomes `.png`,
    or is followed by it where two images would have one name.

    Raises InputRefused for no image, and for two images of one name from different folders.
    """
    names: dict[Path, Path] = {}
    real: set[Path] = set()
    for source in sources:
        path = Path(source)
        for image in images_in(path) if path.is_dir() else [path]:
            if image.resolve() not in real:
                real.add(image.resolve())
                names[image] = image.relative_to(path) if path.is_dir() else Path(image.name)
    short = {image: name.with_suffix(".png") for image, name in names.items()}
    shared = _repeated(short.values())
    found = {
        image: name.with_name(f"{name.name}.png") if _key(short[image]) in shared else short[image]
        for image, name in names.items()
    }
    repeated = _repeated(found.values())
    for image, name in found.items():
        if _key(name) in repeated:
            others = [str(one) for one in found if one != image and _key(found[one]) == _key(name)]
            raise InputRefused(
                f"{image} and {others[0]} have one name, {name}; restore them into two folders, or "
                "give the folder above both"
            )
    return found


class RestoredFolder:
    """The folder of `--out`: restored pictures, and the table."""

    def __init__(self, out: Path, inputs: Iterable[Path]) -> None:
        """Make it where it is not there, and read the table of an earlier run.

        Raises InputRefused where it cannot be made, or holds another file of the table's name.
        """
        self.out = out
        self._inputs = {path.resolve() for path in inputs}
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputRefused(f"--out {out}: cannot be made: {error.strerror}") from error
        self._earlier = self._read()
        self._rows: list[Row] = []

    def write(self, name: Path, image: MedicalImage) -> str:
        """Write a picture as PNG, without any metadata; returns the SHA-256 of its bytes.

        Raises InputRefused where a file is there that no run of this command wrote.
        """
        content = _png(image)
        digest = hashlib.sha256(content).hexdigest()
        target = self.out / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            inside = target.parent.resolve().is_relative_to(self.out.resolve())
            if not inside or (os.path.lexists(target) and not self._is_ours(target, name, digest)):
                raise InputRefused(
                    f"{target}: another file is there, or the folder is a link to elsewhere; "
                    "nothing was written: remove it, or name another folder"
                )
            replace_file(target, content)
        except OSError as error:
            raise InputRefused(
                f"{target}: cannot be written: {error.strerror}; free some space or check "
                "permissions, and run the same command again"
            ) from error
        return digest

    def add(self, row: Row) -> None:
        """Keep a row of the table."""
        self._rows.append(row)

    def finish(self) -> None:
        """Write the table: rows of this run, and of an earlier one for files not reached.

        A picture that an earlier run wrote for a file which this run left as it is is removed, if
        it is still what that run wrote.
        """
        written = {row.output for row in self._rows if row.output}
        reached = {row.file for row in self._rows}
        for row in self._earlier.values():
            stale = self.out / row.output
            left = row.file in reached and row.output not in written
            if left and self._is_ours(stale, Path(row.output), row.output_sha256):
                stale.unlink()
        kept = [row for row in self._earlier.values() if row.file not in reached]
        lines = io.StringIO()
        table = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in (*self._rows, *kept))
        replace_file(self.out / TABLE, lines.getvalue())

    def _is_ours(self, target: Path, name: Path, digest: str) -> bool:
        """Whether the file is what would be written now, or what an earlier run wrote."""
        if target.is_symlink() or not target.is_file() or target.resolve() in self._inputs:
            return False
        earlier = self._earlier.get(name.as_posix())
        ours = {digest} if earlier is None else {digest, earlier.output_sha256}
        return hashlib.sha256(target.read_bytes()).hexdigest() in ours

    def _read(self) -> Mapping[str, Row]:
        """Rows with an output of an earlier table, by output."""
        path = self.out / TABLE
        if not os.path.lexists(path):
            return {}
        try:
            table = csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))
            if path.resolve() in self._inputs or list(table.fieldnames or ()) != COLUMNS:
                raise ValueError("other columns")
            rows = [Row(**line) for line in table]
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise InputRefused(
                f"--out {self.out}: its {TABLE} is not this command's; name another folder"
            ) from error
        return {row.output: row for row in rows if row.output}


def file_name(path: Path) -> str:
    """As the table shows it: control characters as their code points."""
    return printable(str(path))


def _png(image: MedicalImage) -> bytes:
    from PIL import Image

    rgb = image.rgb
    grey = (rgb[..., :1] == rgb).all()
    stream = io.BytesIO()
    Image.fromarray(rgb[..., 0] if grey else rgb).save(stream, "PNG")
    return stream.getvalue()


def _key(name: Path) -> str:
    """Some file systems know no upper case."""
    return name.as_posix().casefold()


def _repeated(names: Iterable[Path]) -> set[str]:
    return {key for key, count in Counter(map(_key, names)).items() if count > 1}
