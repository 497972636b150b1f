"""What `imc prototypes show` says of a bank, as a document and in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imc_app.show import Document, plain

if TYPE_CHECKING:
    from vision.bank.prototype_bank import PrototypeBank
    from vision.perceive.noise_classifier import NoiseClassifier

_HEADER_LENGTH = 8
"""Bytes of a safetensors file that say how long its header is (format's own specification)."""


def bank_document(bank: PrototypeBank, file: Path, *, fits: bool | None) -> Document:
    """Everything a loaded bank says of itself, as `imc prototypes show --json` prints it."""
    from vision.pdc import ALPHA
    from vision.report import PIXELS

    residual = bank.residual_classifier
    return {
        "file": str(file),
        "bytes": file.stat().st_size,
        "parts": part_sizes(file),
        "fingerprint": bank.fingerprint,
        "fits": fits,
        "references": bank.images,
        "seed": bank.seed,
        "side": bank.side,
        "kinds": list(bank.kinds),
        "severities": list(bank.severities),
        "classes": len(bank.noise_classifier.classes),
        "perception_tap": bank.perception_tap,
        "taps": list(bank.taps),
        "maps": {tap: int((bank.maps[tap].ranks > 0).sum()) for tap in bank.taps},
        "level": ALPHA,
        "perception": _perception(bank.noise_classifier),
        "second_perception": None if residual is None else _perception(residual),
        "pixel_stage": bank.restorer is not None,
        "restored": {
            stage: bank.restored[stage] for stage in (PIXELS, *bank.taps) if stage in bank.restored
        },
        "questions": _thresholds(file),
    }


def _thresholds(file: Path) -> Document | None:
    """What is kept beside the bank of the agents' margins; None: the shipped ones hold."""
    from imc_agents.thresholds import QuestionThresholds, beside

    path = beside(file)
    if not path.is_file():
        return None
    found: Document = QuestionThresholds.load(path, fingerprint=None).model_dump(mode="json")
    return found


def _perception(classifier: NoiseClassifier) -> Document:
    scores = {name: len(known) for name, known in classifier.clean_scores.items()}
    return {
        "witnesses": list(classifier.scorers),
        "clean_scores": min(scores.values()),
        "smallest_p_value": 1.0 / (min(scores.values()) + 1),
        "conformal": not classifier.p_values_are_approximate,
    }


def part_sizes(file: Path) -> dict[str, int]:
    """Bytes of tensors by part (`perceiver`, `again`, `restorer`, `maps.TAP`), from the header."""
    with file.open("rb") as stored:
        length = int.from_bytes(stored.read(_HEADER_LENGTH), "little")
        header: dict[str, Any] = json.loads(stored.read(length))
    sizes: dict[str, int] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        part = name.split(".")[0]
        if part == "maps":
            part = name.rpartition(".")[0]  # taps have dots in their names too
        begin, end = entry["data_offsets"]
        sizes[part] = sizes.get(part, 0) + end - begin
    return dict(sorted(sizes.items()))


def show_bank(document: Document) -> None:
    """Print it for a person; what a file says of itself is shown, never executed."""
    from rich.text import Text

    from imc_app.refusals import printable
    from imc_app.show import console

    fits = {None: "", True: ": this model's", False: ": another model's"}[document["fits"]]
    residual = document["second_perception"]
    rows = {
        "bank": f"{document['file']}, {_size(document['bytes'])}",
        "model": f"fingerprint {document['fingerprint']}{fits}",
        "built from": f"{document['references']} clean images, seed {document['seed']}; pixel "
        f"statistics at a shorter side of {document['side']}",
        "noises": ", ".join(plain(kind) for kind in document["kinds"]),
        "severities": ", ".join(map(str, document["severities"])),
        "noise is found by": _describe_perception(document["perception"], document),
        "image is restored": "yes" if document["pixel_stage"] else "no: its features alone are",
        "then checked by": _describe_perception(residual, document) if residual else "nothing",
        "features corrected": _describe_taps(document) or "nowhere: no map helped",
        "parts of the file": ", ".join(
            f"{_part_name(part)} {_size(size)}" for part, size in document["parts"].items()
        ),
        "questions": _describe_thresholds(document["questions"]),
    }
    out = console()
    for label, said in rows.items():
        out.print(Text().append(f"{label:20}", "dim").append(printable(said)))
    if document["restored"]:
        out.print()
        for line in restored_table(document):
            out.print(Text(printable(line)))


PARTS = {
    "perceiver": "noise classifier",
    "again": "second classifier",
    "restorer": "image restoration",
}
"""What a person reads for the names that the file gives its parts."""


def _part_name(part: str) -> str:
    return PARTS.get(part, part.replace("maps.", "features at "))


def _describe_taps(document: Document) -> str:
    """At which layers features are corrected, and for how many classes (one is unknown noise)."""
    maps = [
        f"{tap} ({classes})"
        for tap, classes in document["maps"].items()
    ]
    if not maps:
        return ""
    return f"at {', '.join(maps)}: for so many of {document['classes']} kinds and severities"


def _describe_perception(perception: Document, document: Document) -> str:
    names = {"pixels": "pixel statistics", "encoder": "token statistics"}
    witnesses = " and ".join(names.get(name, name) for name in perception["witnesses"])
    tap = f" (read at {document['perception_tap']})" if document["perception_tap"] else ""
    how = "" if perception["conformal"] else ", from a normal approximation: fewer than 200 scores"
    return (
        f"{witnesses}{tap}; an image is called noisy at a p-value of {document['level']:g} or "
        f"less against {perception['clean_scores']} clean scores{how}"
    )


def _describe_thresholds(found: Document | None) -> str:
    if found is None:
        return "shipped margins; build with --questions to measure this model's own"
    margins = ", ".join(f"{name} {value:g}" for name, value in found["margins"].items())
    return (
        f"margins in nats: {margins}; {found['edited']} of {found['questions']} clean questions "
        f"edited, at most {found['upper']:.2%} with {found['confidence']:.0%} confidence"
    )


def restored_table(document: Document) -> list[str]:
    """Lines of a table: the share of the change by noise that each stage takes away."""
    restored: dict[str, dict[str, float]] = document["restored"]
    title = "share of the noise's effect removed, in %, on images left out of the fit"
    first = max(len("noise"), *(len(kind) for kind in document["kinds"]))
    widths = [max(len(stage), 5) for stage in restored]
    lines = [title, "  ".join([f"{'noise':{first}}", *map(str.rjust, restored, widths)])]
    for kind in document["kinds"]:
        shares = [by_kind.get(kind) for by_kind in restored.values()]
        cells = ["" if share is None else f"{100 * share:.0f}" for share in shares]
        lines.append("  ".join([f"{plain(kind):{first}}", *map(str.rjust, cells, widths)]).rstrip())
    return lines


def _size(length: int) -> str:
    return f"{length / 1e6:.2f} MB" if length >= 10_000 else f"{length} bytes"
