"""Rebuild ``imc_agents/data/dicom_terms.txt`` from the DICOM dictionary that pydicom carries.

`imc_agents` does not import pydicom: this is run by hand when pydicom moves, and the result is
committed. Only words are kept that neither symspellpy's dictionary nor our own list has. Also
puts our own lists in order (lower case, sorted, no word twice).

    python scripts/build_lexicon.py
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from pydicom._dicom_dict import DicomDictionary
from pydicom._uid_dict import UID_dictionary

DATA = Path(__file__).resolve().parent.parent / "imc_agents" / "data"
DICTIONARY = "frequency_dictionary_en_82_765.txt"
JOINED = re.compile(r"[a-z][A-Z]")
"""Keywords such as "PatientName" inside a name are not words."""


def dicom_words() -> set[str]:
    """Lower-case words of four letters or more in the names of elements and objects."""
    names = [entry[2] for entry in DicomDictionary.values() if entry[3] != "Retired"]
    names += [entry[0] for entry in UID_dictionary.values()]
    words = {word for name in names for word in re.findall(r"[A-Za-z]{4,}", name)}
    return {word.lower() for word in words if not JOINED.search(word) and not word.isupper()}


def main() -> None:
    """Write both files."""
    own: set[str] = set()
    for name in ("medical_terms.txt", "general_terms.txt", "question_words.txt"):
        words = sorted({word.lower() for word in (DATA / name).read_text("utf-8").split()})
        (DATA / name).write_text("\n".join(words) + "\n", "utf-8")
        own.update(words)
    english = files("symspellpy").joinpath(DICTIONARY).read_text("utf-8-sig").split()[::2]
    new = sorted(dicom_words() - own - set(english))
    (DATA / "dicom_terms.txt").write_text("\n".join(new) + "\n", "utf-8")
    print(f"{len(own)} terms of our own, {len(new)} words of the DICOM dictionary")


if __name__ == "__main__":
    main()
