"""Outcomes kept while they are measured: a stopped measurement goes on after its last picture."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from measurement import say

from imc_core.files import replace_file
from origins.outcomes import SEED, Corruption, Half, Outcome, measure_origin
from vision.encoder.vision_encoder import VisionEncoder


def measured(
    half_for: Callable[[str], Half],
    origin: str,
    files: Mapping[str, Path],
    side: int,
    corruptions: Sequence[Corruption],
    encoder: VisionEncoder | None,
    work: Path,
    code: str,
) -> list[Outcome]:
    """The outcomes of one origin at one size, from `work` as far as they are there.

    Args:
        half_for: name of an origin -> a half that was fitted without it; called where a picture is
            to be measured.
        origin: the pictures' origin.
        files: by the name of each picture.
        side: shorter side in pixels.
        corruptions: of each picture.
        encoder: for the features' ratio.
        work: folder of the stored outcomes.
        code: names the code and the fit that give them.
    """
    cases = [(one.kind, one.severity) for one in corruptions]
    model = encoder.fingerprint if encoder else None
    identity = json.dumps([code, origin, side, cases, model, SEED])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]

    def measure(there: frozenset[str]) -> Iterator[list[Outcome]]:
        left = [(name, file) for name, file in files.items() if name not in there]
        if left:
            say(f"{origin} at {side} px: {len(left)} of {len(files)} images")
            yield from measure_origin(half_for(origin), origin, left, side, corruptions, encoder)

    file = work / f"{origin}-{side}-{digest}.jsonl"
    found = stored_outcomes(file, len(cases) + 1, measure)
    return [one for one in found if one.image in files]


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
