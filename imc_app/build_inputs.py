"""What either half of PDC is fitted on, read and checked before hours are spent on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.image_files import images_in
from imc_app.notices import notice
from imc_app.refusals import InputRefused, refusal_line

if TYPE_CHECKING:
    from vision.reading.medical_image import MedicalImage


def parse_kinds(text: str) -> tuple[str, ...]:
    """Names of noises; `core` stands for the six core kinds. UnknownNoise is a refusal."""
    from imc_noise import CORE_IMAGE, get_noise

    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputRefused("--kinds: names no noise; give names, comma-separated, or `core`")
    every = [one for name in names for one in (CORE_IMAGE if name == "core" else (name,))]
    for name in every:
        get_noise(name, "image")
    return tuple(dict.fromkeys(every))


def read_references(folder: Path, limit: int, seed: int) -> list[MedicalImage]:
    """Images of a folder, at most `limit`, drawn by `seed`; unreadable ones are named and skipped.

    Raises InputRefused for no folder and no image, BankRefused for too few or too similar ones.
    """
    import numpy as np

    from vision.build.draws import check_references
    from vision.reading.medical_image import read_image

    if not folder.is_dir():
        raise InputRefused(f"--images {folder}: not a folder; give one that holds clean images")
    paths = images_in(folder, place="--images ")
    if len(paths) > limit:
        chosen = np.random.default_rng(seed).choice(len(paths), size=limit, replace=False)
        paths = [paths[index] for index in sorted(chosen)]
    read: list[MedicalImage] = []
    for path in paths:
        try:
            read.append(read_image(path))
        except ValueError as error:
            notice(f"skipped: {refusal_line(error)}")
    check_references(read)
    return read


def warn_if_coloured(images: list[MedicalImage]) -> None:
    """Photographs are no references for scans; colour alone does not make a photograph."""
    from vision.build.reference_checks import coloured_share

    share = coloured_share(images)
    if share > 0.5:
        notice(
            f"{share:.0%} of the images are strongly coloured: if they are photographs, they "
            "say nothing of scans; give images of the domain to be served"
        )


def read_clean_questions(file: Path) -> dict[str, int]:
    """The different clean questions of a file, one a line, as many as margins need; with the number
    of the line, from 1, that each stands on first."""
    from imc_agents.errors import QuestionRefused
    from imc_agents.margin_calibration import (
        CONFIDENCE,
        FEWEST,
        SHARE,
        fewest_questions,
        read_questions,
    )
    from imc_agents.safeguards.question_checks import check_question

    try:
        found = read_questions(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        raise InputRefused(
            f"--questions {file}: cannot be read as UTF-8 text; give a file with one on each line"
        ) from None
    if not found:
        raise InputRefused(f"--questions {file}: holds no question; write one on each line")
    for question, number in found.items():
        try:
            check_question(question)
        except QuestionRefused as refusal:
            raise InputRefused(f"--questions {file}, line {number}: {refusal}") from None
    fewest = max(FEWEST, fewest_questions(SHARE, CONFIDENCE))
    if len(found) < fewest:
        raise InputRefused(
            f"--questions {file}: {len(found)} different questions, and margins need {fewest} "
            "(so that at most "
            f"{SHARE:.1%} of clean questions are edited, at {CONFIDENCE:.0%} confidence); take "
            "them from your own records or the training part of a public set such as VQA-RAD or "
            "SLAKE, or leave --questions out: the shipped margins then hold"
        )
    return found
