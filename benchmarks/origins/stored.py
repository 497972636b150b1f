"""Outcomes kept while they are measured: a stopped measurement goes on after its last picture."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from imc_core.files import replace_file
from origins.outcomes import Outcome


def stored_outcomes(
    file: Path, expected: int, measure: Callable[[frozenset[str]], Iterator[list[Outcome]]]
) -> list[Outcome]:
    """The outcomes in `file`, one JSON object a line, after those that it lacks were measured.

    Args:
        file: named by all that decides the outcomes; created where it is not there.
        expected: outcomes of one whole picture; a picture that has fewer is measured again.
        measure: called with the names of the pictures that are there whole.
    """
    whole = [some for some in _pictures(file) if len(some) == expected]
    if file.is_file():  # a line that was cut off would make the next one unreadable
        replace_file(file, "".join(_line(one) for some in whole for one in some))
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as opened:
        for some in measure(frozenset(picture[0].image for picture in whole)):
            opened.writelines(_line(one) for one in some)
            opened.flush()
            whole.append(some)
    return [one for some in whole for one in some]


def _pictures(file: Path) -> list[list[Outcome]]:
    """The outcomes of each picture; a last line that was cut off is left out."""
    found: dict[str, list[Outcome]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            one = Outcome(**json.loads(line))
        except ValueError:  # json.JSONDecodeError
            continue
        found.setdefault(one.image, []).append(one)
    return list(found.values())


def _line(one: Outcome) -> str:
    return json.dumps(dataclasses.asdict(one)) + "\n"
