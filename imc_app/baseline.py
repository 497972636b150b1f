"""`--baseline FOLDER`: the operator's own clean pictures, with which a stream is compared.

Their non-conformity scores, by the same classifier as the stream's, are the reference of conformal
p-values: no other origin's pictures take part, and none of the baseline took part in a fit.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imc_app.image_files import BATCH, images_in
from imc_app.notices import notice
from imc_app.perceiving import RefusedFile, perceive_files
from imc_app.progress import progress_bar
from imc_app.refusals import InputRefused, one_line

if TYPE_CHECKING:
    from vision.pdc import Calibrator
    from vision.perceive.content import ContentReferences
    from vision.sequential_test import Floats

MIN_BASELINE = 30
"""With 20 a change of a stream from its beginning is found after 20 images, with 30 after 9."""
ENOUGH = 50
"""Where every image is less clean than the baseline, 30 find it after 9 images and 50 after 6;
where every second one is, 50 after 22, 30 hardly ever (medians, `benchmarks/drift_streams.py`)."""
_NOISY_SHARE = 0.1
"""A notice is given where more pictures of a baseline are called noisy one by one."""


@dataclass(frozen=True)
class Baseline:
    """What is kept of a baseline's pictures."""

    scores: Floats
    """(pictures,) non-conformity to clean."""
    content: ContentReferences
    digests: frozenset[str] = field(repr=False)
    """SHA-256 of their pixels: a picture of the stream that is among them tells nothing."""


def read_baseline(
    folder: Path, open_calibrator: Callable[[], Calibrator], frame: int | None
) -> Baseline:
    """Perceive every picture in a folder; one that is refused gets its line on stderr.

    Raises InputRefused for no folder, and for fewer than `MIN_BASELINE` different pictures.
    """
    if not folder.is_dir():
        raise InputRefused(f"--baseline {folder}: no such folder; give a folder of clean images")
    paths = images_in(folder, place="--baseline ")
    # in a random order, so that the first pictures, whose content is kept, are of the whole folder
    random.Random(0).shuffle(paths)
    batches = (paths[start : start + BATCH] for start in range(0, len(paths), BATCH))
    from vision.perceive.content import ContentReferences

    content = ContentReferences()
    scores: dict[str, float] = {}
    kinds: Counter[str] = Counter()
    with progress_bar() as advance:
        for done, result in enumerate(perceive_files(batches, open_calibrator, frame), start=1):
            if isinstance(result, RefusedFile):
                typer.echo(f"imc: {one_line(result.why)}", err=True)
            elif result.image.sha256 not in scores:
                scores[result.image.sha256] = result.noise.nonconformity
                kinds[result.noise.kind] += 1
                content.add(result.image)
            advance("baseline", done, len(paths))
    if len(scores) < MIN_BASELINE:
        raise InputRefused(
            f"--baseline {folder}: {len(scores)} different readable pictures; give at least "
            f"{MIN_BASELINE}, better {ENOUGH} or more: with fewer a change is found late or never"
        )
    if not content.is_complete:
        content.complete()
    noisy = kinds.total() - kinds["clean"]
    if noisy > _NOISY_SHARE * kinds.total():
        notice(
            f"--baseline {folder}: {noisy} of {kinds.total()} pictures are called noisy one by "
            "one; view them: the stream is compared with them as they are"
        )
    import numpy as np

    return Baseline(np.array(list(scores.values())), content, frozenset(scores))
