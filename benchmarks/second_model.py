"""The second model beside the embedded one: the same questions, the same draws of noise.

    imc reference pretrained --out second/
    imc prototypes build --model second/ --images CLEAN --out second/prototypes.safetensors
    python benchmarks/second_model.py --data DATA --model second/ --out docs/results/pretrained.md

DATA holds slake/ and vqa-rad/ as published. Both models answer the first LIMIT questions of each
set under the core noises; stores lie under `--work`, so that a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imc_bench.report.table import NOT_SHOWN, percent
from imc_reference import MODEL_DIR

SETS = (("slake", "validate", "SLAKE validation"), ("vqa-rad", "test", "VQA-RAD test"))
GROUPS = (("image", "image"), ("text", "question"), ("both", "both"))
NOISES = "core,low_contrast+typo"

Run = Mapping[str, Any]


def measured(args: argparse.Namespace, model: Path, name: str, split: str, limit: int) -> Run:
    """The report of one run, measured where it was not."""
    store = args.work / f"{name}-{model.name}.sqlite"
    imc = str(Path(sys.executable).with_name("imc"))
    command = [imc, "bench", "run", "--out", str(store), "--jobs", str(args.jobs)]
    command += ["--model", str(model), "--dataset", name, "--split", split, "--noises", NOISES]
    command += ["--severities", args.severities, "--limit", str(limit)]
    environment = {**os.environ, "IMC_DATA": str(args.data)}
    subprocess.run(command, check=True, env=environment)
    report = [imc, "bench", "report", str(store), "--json", "--quiet"]
    shown = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    read: Run = json.loads(shown)
    return read


def spread(part: Mapping[str, Any], key: str) -> str:
    """A share with its interval."""
    if part[key] is None:
        return NOT_SHOWN
    low, high = part[f"{key}_interval"]
    return f"{percent(part[key])} ({percent(low)} to {percent(high)})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def outcome_rows(title: str, runs: Mapping[str, Run]) -> list[list[str]]:
    """Accuracy clean, noisy, with IMC; what is recovered; flips."""
    rows = []
    for model, run in runs.items():
        facts = run["run"]
        for group, carrier in GROUPS:
            if group not in run["summary"]["none"]:
                continue
            bare, imc = run["summary"]["none"], run["summary"]["imc"]
            row = [f"{title} ({facts['items']}, {facts['images']})", model, carrier]
            row += [percent(bare["clean"]["accuracy"]), percent(bare[group]["accuracy"])]
            row += [percent(imc[group]["accuracy"]), spread(imc[group], "recovered")]
            row += [percent(bare[group]["flips"]), percent(imc[group]["flips"])]
            rows.append([*row, percent(imc[group]["flips_removed"])])
    return rows


def kind_rows(title: str, runs: Mapping[str, Run]) -> list[list[str]]:
    """By kind of noise and severity: flips without and with IMC, questions restored exactly."""
    cells: dict[tuple[str, int], dict[str, dict[str, Run]]] = {}
    for model, run in runs.items():
        for cell in run["cells"]:
            noises = [cell[f"{of}_noise"] for of in ("image", "text") if cell[f"{of}_noise"]]
            if len(noises) == 1 and cell["method"] in ("none", "imc"):
                severity = cell["image_severity"] or cell["text_severity"]
                by_model = cells.setdefault((noises[0], severity), {})
                by_model.setdefault(model, {})[cell["method"]] = cell
    rows = []
    for (noise, severity), models in cells.items():
        for model, found in models.items():
            none, imc = found["none"], found["imc"]
            text = percent(imc["restored"]) if imc["text_noise"] else NOT_SHOWN
            row = [title, noise, str(severity), model, percent(none["flips"])]
            rows.append([*row, percent(imc["flips"]), text])
    return rows


def clean_rows(title: str, runs: Mapping[str, Run]) -> list[list[str]]:
    """What IMC does where nothing is to be corrected."""
    rows = []
    for model, run in runs.items():
        clean = run["summary"]["imc"]["clean"]
        row = [title, model, spread(clean, "touched"), spread(clean, "false_edits")]
        rows.append([*row, percent(clean["flips"]), str(clean["violations"])])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--model", type=Path, required=True, help="the second model's folder")
    parser.add_argument("--work", type=Path, default=Path("runs"), help="where the stores lie")
    parser.add_argument("--out", type=Path, help="a page beside what is printed")
    asked = "questions a set; 0: none"
    parser.add_argument("--limit", type=int, nargs=2, default=(200, 100), help=asked)
    parser.add_argument("--severities", default="1,3,5")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    outcomes, kinds, clean = [], [], []
    for (name, split, title), limit in zip(SETS, args.limit, strict=True):
        if not limit:
            continue
        runs = {
            label: measured(args, model, name, split, limit)
            for label, model in (("embedded", MODEL_DIR), ("second", args.model))
        }
        outcomes += outcome_rows(title, runs)
        kinds += kind_rows(title, runs)
        clean += clean_rows(title, runs)
    limits = " ".join(map(str, args.limit))
    outcome_head = ["data set (questions, images)", "model", "noise in", "clean", "noisy", "IMC"]
    outcome_head += ["recovered %", "flips noisy %", "flips IMC %", "flips removed %"]
    kind_head = ["data set", "noise", "severity", "model", "flips noisy %", "flips IMC %"]
    clean_head = ["data set", "model", "images touched %", "questions edited %", "flips %"]
    lines = [
        "# A second model, with a pretrained language half",
        "",
        f"`python benchmarks/second_model.py --data $IMC_DATA --model second/ --limit {limits}",
        f"--severities {args.severities}`, seed 0: the embedded model (3.3 M parameters, its own",
        "prompts) and the second one (136 M, SmolLM2-135M behind the embedded tower, `instruct`",
        "prompts), the same questions and the same draws of noise. Accuracy by strict exact match;",
        "intervals are 95 %, by image.",
        "",
        *table(outcome_head, outcomes),
        "## By noise",
        "",
        "Restored: questions that are the clean one to the letter again.",
        "",
        *table([*kind_head, "restored %"], kinds),
        "## On clean inputs",
        "",
        *table([*clean_head, "protected words changed"], clean),
    ]
    page = "\n".join(lines).rstrip() + "\n"
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
