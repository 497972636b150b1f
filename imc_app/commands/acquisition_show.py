"""What `imc prototypes show` says of an acquisition half, as a document and in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from imc_app.commands.prototypes_show import part_sizes
from imc_app.show import Document, plain

if TYPE_CHECKING:
    from vision.acquisition import AcquisitionHalf

_HELD = (
    "regression weights, means over at least five pictures each, and sorted scores: no image, "
    "thumbnail or statistic of a single one"
)


def acquisition_document(half: AcquisitionHalf, file: Path) -> Document:
    """Everything an acquisition half says of itself, as `imc prototypes show --json` prints it."""
    from vision.acquisition.half import ALPHA
    from vision.acquisition.scales import SCALES

    return {
        "file": str(file),
        "format": "acquisition half",
        "bytes": file.stat().st_size,
        "parts": part_sizes(file),
        "digest": half.digest,
        "origins": half.origins,
        "references": sum(half.origins.values()),
        "holds": _HELD,
        "seed": half.seed,
        "scales": list(SCALES),
        "kinds": list(half.kinds),
        "classes": len(half.classes),
        "members": int(half.restorer.maps.shape[1]),
        "level": ALPHA,
        "most_harm": half.benefit.most_harm,
        "clean_scores": len(half.classifier.density.clean_scores),
    }


def show_acquisition(document: Document) -> None:
    """Print it for a person."""
    from rich.text import Text

    from imc_app.refusals import printable
    from imc_app.show import console

    origins = ", ".join(f"{name} ({count})" for name, count in document["origins"].items())
    rows = {
        "acquisition half": f"{document['file']}, {document['bytes'] / 1e6:.2f} MB",
        "digest": document["digest"],
        "fitted on": f"{document['references']} clean images, seed {document['seed']}: {origins}",
        "holds": document["holds"],
        "noises": ", ".join(plain(kind) for kind in document["kinds"]),
        "noise is found by": f"pixel statistics at a p-value of {document['level']:g} or less "
        f"against {document['clean_scores']} clean scores of every origin",
        "image is restored": f"at shorter sides of {', '.join(map(str, document['scales']))} "
        f"pixels, by {document['members']} restorers fitted on different origins, where the "
        f"estimated risk of harm is below {document['most_harm']:.2f}",
        "parts of the file": ", ".join(
            f"{part} {size / 1e6:.2f} MB" for part, size in document["parts"].items()
        ),
    }
    out = console()
    for label, said in rows.items():
        out.print(Text().append(f"{label:20}", "dim").append(printable(said)))
