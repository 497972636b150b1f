"""The example of `imc ask --example`, `imc example` and `make ask`: a CT slice and a mistyped
question."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from imc_app.refusals import InputRefused

QUESTIONS = """\
id,image,question
1,CT_small.dcm,Is teh spine visbile in this imgae?
2,CT_small.dcm,What modality is shown in this image?
3,CT_small.dcm,Is there a fracture?
"""
"""A file for `imc ask --batch`; the first question is mistyped on purpose."""
QUESTIONS_FILE = "questions.csv"


@dataclass(frozen=True)
class Example:
    """What a person would have typed: an image, a question, and noise to corrupt the image."""

    image: Path
    question: str
    noise: tuple[str, ...]

    @property
    def command(self) -> str:
        """The same request as a command line."""
        corrupted = " ".join(f"--noise {noise}" for noise in self.noise)
        return f'imc ask {self.image.name} "{self.question}" {corrupted}'


def ct_example() -> Example:
    """The CT slice that pydicom installs with its own test files, at low dose, with a mistyped
    question. No download.

    Raises InputRefused where the installed pydicom lacks the file.
    """
    from pydicom.data import get_testdata_file

    path = get_testdata_file("CT_small.dcm", download=False)
    if path is None:
        raise InputRefused(
            "the example image CT_small.dcm is missing from the installed pydicom package; "
            "install pydicom again, or ask about an image of your own"
        )
    return Example(Path(str(path)), "Is teh spine visbile in this imgae?", ("low_dose:4",))


def write_example(folder: Path) -> list[Path]:
    """Write the example's image and a file of questions about it into a folder.

    Raises InputRefused where the folder cannot be made or written, or holds another file of such
    a name.
    """
    example = ct_example()
    files = {
        folder / example.image.name: example.image.read_bytes(),
        folder / QUESTIONS_FILE: QUESTIONS.encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            if path.exists() and path.read_bytes() != content:
                raise InputRefused(
                    f"--out {folder}: holds another {path.name}; give another folder"
                )
        for path, content in files.items():
            path.write_bytes(content)
    except OSError as error:
        raise InputRefused(
            f"--out {folder}: cannot be written ({error.strerror}); give a folder that can"
        ) from error
    return list(files)
