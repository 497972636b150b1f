"""How well the severity of image noise was perceived, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imc_bench.metrics.bootstrap import Estimate, share
from vision.report import CLEAN

PREDICTED_SEVERITIES = (1, 2, 3, 4, 5)
"""What PDC can predict; the true severity may lie between two of them."""


class SeverityCase(NamedTuple):
    """One image: the noise put on it, and the noise perceived."""

    kind: str
    severity: float
    predicted_kind: str
    predicted_severity: float


@dataclass(frozen=True)
class SeverityConfusion:
    """Perceived severity against true severity, of images of one kind."""

    kind: str
    """`all` for every kind together."""
    true: tuple[float, ...]
    """The severities put on, rising."""
    images: tuple[int, ...]
    """Images of the kind at each of them."""
    counts: NDArray[np.int64]
    """(true, PREDICTED_SEVERITIES): images whose kind was named rightly, by predicted severity."""
    missed: tuple[int, ...]
    """Images called clean, at each true severity."""
    other: tuple[int, ...]
    """Images given another kind, or called unknown, at each true severity."""
    exact: Estimate | None
    """Share of the images named rightly whose severity was; None where no image was."""
    within_one: Estimate | None
    """The same, off by one at most."""


def severity_confusions(cases: Sequence[SeverityCase]) -> tuple[SeverityConfusion, ...]:
    """One for each kind, by name, and one for all of them where there are several."""
    kinds = sorted({one.kind for one in cases})
    found = [_confusion(kind, [one for one in cases if one.kind == kind]) for kind in kinds]
    return (*found, _confusion("all", cases)) if len(kinds) > 1 else tuple(found)


def _confusion(kind: str, cases: Sequence[SeverityCase]) -> SeverityConfusion:
    true = sorted({one.severity for one in cases})
    named = [one for one in cases if one.predicted_kind == one.kind]
    counts = np.zeros((len(true), len(PREDICTED_SEVERITIES)), dtype=np.int64)
    for one in named:
        counts[
            true.index(one.severity), PREDICTED_SEVERITIES.index(int(one.predicted_severity))
        ] += 1
    missed = [one for one in cases if one.predicted_kind == CLEAN]
    images, named_at, missed_at = (
        [sum(one.severity == level for one in some) for level in true]
        for some in (cases, named, missed)
    )
    off = [abs(one.predicted_severity - one.severity) for one in named]
    return SeverityConfusion(
        kind,
        tuple(true),
        tuple(images),
        counts,
        tuple(missed_at),
        tuple(
            all_ - right - lost
            for all_, right, lost in zip(images, named_at, missed_at, strict=True)
        ),
        share(sum(gap == 0 for gap in off), len(off)) if off else None,
        share(sum(gap <= 1 for gap in off), len(off)) if off else None,
    )
