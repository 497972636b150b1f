"""The model card, written from what was measured; no figure in it is typed by hand."""

import json
from importlib.resources import files
from pathlib import Path

from imc_reference.evaluation import EvaluationReport, report_lines


def card_text(name: str) -> str:
    """A paragraph of a card, from `imc_reference/data`."""
    return (files("imc_reference") / "data" / name).read_text(encoding="utf-8")


def write_card(
    folder: Path, report: EvaluationReport, *, parameters: int, rad_pairs: int, slake_pairs: int
) -> Path:
    """Write `README.md` in the model folder from the report and the training curve beside it."""
    head = card_text("card_head.md").format(
        millions=parameters / 1e6, rad_pairs=rad_pairs, slake_pairs=slake_pairs
    )
    rest = ["", *_curve(folder), "", *_run_notes(folder), card_text("card_limits.md")]
    return write_lines(folder, [head, *results_section(report), *rest])


def results_section(report: EvaluationReport) -> list[str]:
    """What was measured, with how."""
    return [
        "## Results",
        "Greedy answers, strict exact match, 95 % intervals by bootstrap over images "
        f"(seed {report.config['bootstrap_seed']}); phantoms drawn with seed "
        f"{report.config['phantom_seed']}. Printed by `imc reference evaluate`.",
        "",
        *report_lines(report),
    ]


def write_lines(folder: Path, lines: list[str]) -> Path:
    """Write the card."""
    card = folder / "README.md"
    card.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    return card


def _run_notes(folder: Path) -> list[str]:
    """What whoever trained these weights has to say of the run (`run_notes.md`), if anything."""
    file = folder / "run_notes.md"
    return [file.read_text(encoding="utf-8").rstrip()] if file.is_file() else []


def _curve(folder: Path) -> list[str]:
    file = folder / "curve.jsonl"
    if not file.is_file():
        return []
    points = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    columns = ["minutes", "step", "slake_val", "closed", "open", "other", "ph_count", "train"]
    names = [c for c in columns if c in points[0]]
    titles = {
        "slake_val": "SLAKE validation",
        "other": "other patient",
        "ph_count": "phantom count",
        "train": "training subset",
    }
    rows = [
        "## Learning curve",
        "Joint stage; teacher-forced exact match of the averaged weights, written while training; "
        "the other patient here is the image seven places on in the split.",
        "",
        "| " + " | ".join(titles.get(n, n) for n in names) + " |",
        "| " + " | ".join("---" for _ in names) + " |",
    ]
    rows += ["| " + " | ".join(str(point[n]) for n in names) + " |" for point in points]
    return rows
