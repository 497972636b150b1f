"""The sentence of a drift alarm: what was found, and what a person can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor


def action(test: DriftMonitor) -> str:
    """What a raised alarm found, and what a person can do about it."""
    clean, since = test.since_change["clean"], test.since_change.total()
    if test.main_noise is not None and clean < since / 2:
        found = (
            f"most images since image {test.change_at} are noisy, {test.main_noise} most often "
            f"({test.since_change[test.main_noise]} of {since})"
        )
    else:
        found = (
            f"images since image {test.change_at} differ from the bank's references, although "
            f"most of them pass one by one ({clean} of {since})"
        )
    return (
        f"{found}; view some of them: where they are noisy, have the scanner and its protocol "
        "checked, then monitor anew; where they are good images of another scanner, protocol or "
        "hospital, build a bank from such images (imc prototypes build) and monitor against it"
    )
