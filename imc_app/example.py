"""The example of `imc ask --example` and `make ask`: a real CT slice, corrupted, and a typo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """What a person would have typed: an image, a question, and the noise to corrupt them with."""

    image: Path
    question: str
    noise: tuple[str, ...]

    @property
    def command(self) -> str:
        """The same request as a command line."""
        corrupted = " ".join(f"--noise {noise}" for noise in self.noise)
        return f'imc ask {self.image.name} "{self.question}" {corrupted}'


def ct_example() -> Example:
    """The CT slice that pydicom carries in its own package, at low dose, with a mistyped question.

    No download: the file is installed with pydicom.
    """
    from pydicom.data import get_testdata_file

    path = get_testdata_file("CT_small.dcm", download=False)
    if path is None:
        raise FileNotFoundError("CT_small.dcm is missing from the installed pydicom package")
    return Example(Path(str(path)), "Is teh spine visbile in this imgae?", ("low_dose:4",))
