"""What `imc prototypes show` says of either half: parts of the file, thresholds, a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from imc_app.show import Document, plain

_HEADER_LENGTH = 8
"""Bytes of a safetensors file that say how long its header is (format's own specification)."""


def thresholds_of(file: Path) -> Document | None:
    """What is kept beside a model half of the agents' margins; None: the shipped ones hold."""
    from imc_agents.thresholds import QuestionThresholds, beside

    path = beside(file)
    if not path.is_file():
        return None
    found: Document = QuestionThresholds.load(path, fingerprint=None).model_dump(mode="json")
    return found


def part_sizes(file: Path) -> dict[str, int]:
    """Bytes of tensors by part, the first word of their names, from the header."""
    with file.open("rb") as stored:
        length = int.from_bytes(stored.read(_HEADER_LENGTH), "little")
        header: dict[str, Any] = json.loads(stored.read(length))
    sizes: dict[str, int] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        part = name.split(".")[0]
        begin, end = entry["data_offsets"]
        sizes[part] = sizes.get(part, 0) + end - begin
    return dict(sorted(sizes.items()))


def describe_thresholds(found: Document | None) -> str:
    """A sentence about the agents' margins."""
    if found is None:
        return "shipped margins; imc prototypes questions measures this model's own"
    margins = ", ".join(f"{name} {value:g}" for name, value in found["margins"].items())
    knows = "it knows the words that people write; " if found["knows_words"] else ""
    return (
        f"margins in nats: {margins}; {knows}{found['edited']} of {found['questions']} clean "
        f"questions edited, at most {found['upper']:.2%} with {found['confidence']:.0%} confidence"
    )


def describe_judgements(found: Document | None) -> str:
    """A sentence about what the model's replies are worth where it is asked."""
    measured: dict[str, Any] = (found or {}).get("judgements") or {}
    asked = {"clean": "whether a question is clean", "same": "whether two questions ask the same"}
    said = [
        f"asked {what}, its replies are {'' if test['used'] else 'no '}better than chance "
        f"(AUC {test['auc']:.2f} on {test['questions']} questions in two forms) and "
        f"{'are used' if test['used'] else 'are not used'}"
        for name, what in asked.items()
        if (test := measured.get(name)) is not None
    ]
    return "; ".join(said) or "not measured; imc prototypes questions does"


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
