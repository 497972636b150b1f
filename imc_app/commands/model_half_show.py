"""What `imc prototypes show` says of a model half, as a document and in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.commands.prototypes_show import (
    describe_judgements,
    describe_thresholds,
    part_sizes,
    restored_table,
    thresholds_of,
)
from imc_app.show import Document, plain

if TYPE_CHECKING:
    from vision.bank.model_half import ModelHalf

_HELD = (
    "means, covariances, regression weights and sorted scores, each over all "
    "references, and means of the thumbnails of five or more: no image, thumbnail or feature of a "
    "single one"
)


def model_half_document(half: ModelHalf, file: Path, *, fits: bool | None) -> Document:
    """Everything a loaded model half says of itself, as `imc prototypes show --json` prints it."""
    from vision.pdc import WITNESS_ALPHA

    densities = half.witness.densities
    own = None if half.domain is None else half.domain.own
    fewest = min(len(density.clean_scores) for density in densities.values())
    return {
        "file": str(file),
        "format": "model half",
        "bytes": file.stat().st_size,
        "parts": part_sizes(file),
        "fingerprint": half.fingerprint,
        "fits": fits,
        "acquisition": half.acquisition,
        "references": half.images,
        "holds": _HELD,
        "seed": half.seed,
        "kinds": list(dict.fromkeys(kind for kind, _ in half.classes[1:])),
        "classes": len(half.classes),
        "taps": list(half.taps),
        "level": WITNESS_ALPHA,
        "witnesses": list(densities),
        "domain": half.domain is not None,
        "corrects": [] if own is None else list(own.restorer.prototypes),
        "clean_scores": fewest,
        "conformal": not half.witness.p_values_are_approximate,
        "maps": {
            stage: {tap: int((maps.ranks > 0).sum()) for tap, maps in by_tap.items()}
            for stage, by_tap in half.maps.items()
        },
        "restored": half.gains,
        "questions": thresholds_of(file),
    }


def _domain(document: Document) -> str:
    """What it does for pictures that show what the references show."""
    if not document["domain"]:
        return "not known: every picture is classified against the acquisition half's origins"
    found = "pictures that show what the references show are classified against them"
    if not document["corrects"]:
        return found
    return f"{found}; corrected by fits on them: {', '.join(map(plain, document['corrects']))}"


def show_model_half(document: Document) -> None:
    """Print it for a person; what a file says of itself is shown, never executed."""
    from rich.text import Text

    from imc_app.refusals import printable
    from imc_app.show import console

    fits = {None: "", True: ": this model's", False: ": another model's"}[document["fits"]]
    how = "" if document["conformal"] else ", from a normal approximation: fewer than 200"
    rows = {
        "model half": f"{document['file']}, {document['bytes'] / 1e6:.2f} MB",
        "model": f"fingerprint {document['fingerprint']}{fits}",
        "fitted with": f"acquisition half {document['acquisition']}"
        if document["acquisition"]
        else "no acquisition half: tokens are the only witness",
        "built from": f"{document['references']} clean images, seed {document['seed']}",
        "holds": document["holds"],
        "noises": ", ".join(plain(kind) for kind in document["kinds"]),
        "noise is found by": f"token statistics at {', '.join(document['taps'])}; p-values against "
        f"{document['clean_scores']} clean scores{how}",
        "its domain": _domain(document),
        **{
            f"maps, {stage}": "; ".join(
                f"{tap}: {count} of {document['classes']} classes"
                for tap, count in document["maps"].get(stage, {}).items()
            )
            or "none: no map explains enough of left-out references"
            for stage in document["restored"]
        },
        "questions": describe_thresholds(document["questions"]),
        "its judgements": describe_judgements(document["questions"]),
        "parts of the file": ", ".join(
            f"{part} {size / 1e6:.2f} MB" for part, size in document["parts"].items()
        ),
    }
    out = console()
    for label, said in rows.items():
        out.print(Text().append(f"{label:20}", "dim").append(printable(said)))
    for stage, by_tap in document["restored"].items():
        out.print()
        out.print(Text(f"maps of {stage} pictures"))
        for line in restored_table({**document, "restored": by_tap}):
            out.print(Text(printable(line)))
