"""The sentence of a changed stream: what was found, and what a person can do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imc_app.baseline import ENOUGH

if TYPE_CHECKING:
    from vision.monitor import DriftMonitor


def action(test: DriftMonitor, *, baseline: bool = False) -> str:
    """What changed, and what a person can do about it; `baseline`: one was given."""
    from vision.monitor import Cause

    since = test.since_change
    if since is None:
        return ""
    images, clean = since.kinds.total(), since.kinds["clean"]
    first = f"images since image {since.start}"
    differ = f"{first} are less clean than {'the baseline' if baseline else 'the references'}"
    if test.cause is Cause.UNDECIDED:
        return (
            f"{differ}; {images} are too few to say whether they are noisy or of a new source: "
            "view some, and monitor more"
        )
    if test.cause is Cause.NOISE:
        return (
            f"{images - clean} of {images} {first} are noisy, {test.main_noise} most often "
            f"({since.kinds[test.main_noise or '']}); view some of them, have the scanner and its "
            "protocol checked, then monitor anew"
        )
    if test.content_is_unlike:
        others = "the baseline" if baseline else f"the first {test.content_images} images"
        found = (
            f"{first} are of a new source: the content of {since.unlike} of {since.compared} is "
            f"unlike that of {others}, and no kind of noise is frequent"
        )
    else:
        found = (
            f"{differ}, but no kind of noise is frequent in them ({clean} of {images} pass one by "
            "one): probably a new source, scanner or protocol; a weak noise is not excluded"
        )
    return (
        f"{found}; view some of them: where they are good, collect {ENOUGH} or more such pictures "
        "and give their folder as --baseline"
    )
