"""Measure the embedded model anew and write docs/results: what `make results` runs.

    python benchmarks/results.py --data DATA [--out docs/results] [--jobs 2] [--keep RUN]

Every run is an `imc bench run` whose command stands on its page; stopped at any time, the same
command goes on. `DATA` holds vqa-rad/ and slake/ as published.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from imc_core.workers import usable_cores

IMAGE_METHODS = "none,pdc,pdc-pixels,pdc-features,median,wiener,tv,nlm"
TEXT_METHODS = "none,sms,symspell,rewrite"
CORE = "core,blank,swapped,low_contrast+typo,low_contrast+gaussian"

RUNS: dict[str, dict[str, str]] = {
    "slake-validation": {"dataset": "slake", "split": "validate", "noises": CORE},
    "vqa-rad-test": {"dataset": "vqa-rad", "split": "test", "noises": CORE},
    "phantom": {"dataset": "phantom", "noises": CORE, "limit": "640"},
    "slake-validation-native": {
        "dataset": "slake",
        "split": "validate",
        "noises": "core-image",
        "noise-at": "native",
        "methods": "none,pdc",
    },
    "vqa-rad-test-native": {
        "dataset": "vqa-rad",
        "split": "test",
        "noises": "core-image",
        "noise-at": "native",
        "methods": "none,pdc",
    },
    "slake-validation-image-baselines": {
        "dataset": "slake",
        "split": "validate",
        "noises": "core-image",
        "severities": "3,5",
        "methods": IMAGE_METHODS,
    },
    "vqa-rad-test-text-baselines": {
        "dataset": "vqa-rad",
        "split": "test",
        "noises": "core-text",
        "methods": TEXT_METHODS,
    },
}
"""What is measured; an option that is missing keeps the command's default."""


PAGES = {
    "ablations.md": "Ablations of PDC",
    "agents.md": "Ablations of the agents",
    "gpu.md": "Times and memory of models of 7B size on a GPU",
    "pretrained.md": "A second model, with a pretrained language half",
    "perception.md": "Noise classified from pixels, from tokens, from both; the gate",
    "unmatched.md": "Noise that PDC was not fitted on: SLAKE validation",
    "unmatched-vqa-rad.md": "The same: VQA-RAD test",
}
"""Pages that other benchmarks write into the same folder."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds vqa-rad/ and slake/")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    parser.add_argument("--work", type=Path, default=Path("runs"), help="where the stores lie")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument(
        "--keep",
        nargs="+",
        choices=list(RUNS),
        default=[],
        help="runs whose pages stay as measured earlier: nothing that they measure changed",
    )
    parser.add_argument("--limit", type=int, help="so many questions of each set: a rehearsal")
    args = parser.parse_args()

    args.work.mkdir(parents=True, exist_ok=True)
    kept = _kept(args.out, args.keep)
    names = [name for name in args.only if name not in kept]
    stores = []
    for name in names:
        store = args.work / f"{name}.sqlite"
        options = dict(RUNS[name])
        if args.limit is not None:
            options["limit"] = str(args.limit)
        command = [_imc(), "bench", "run", "--out", str(store), "--jobs", str(args.jobs)]
        for option, value in options.items():
            command += [f"--{option}", value]
        print(f"{name}: {' '.join(command[1:])}", flush=True)
        # the folder goes by the environment: the command on the page names no path of a machine
        subprocess.run(command, check=True, env={**os.environ, "IMC_DATA": str(args.data)})
        stores.append(store)
    _clear(args.out, kept)
    report = [_imc(), "bench", "report", *map(str, stores), "--out", str(args.out)]
    shown = subprocess.run(report, check=True, capture_output=True, text=True).stdout
    print(shown)
    for name in names[1:]:  # the page holds every picture; the first run's stand beside it too
        for picture in (args.out / name).glob("*.png"):
            picture.unlink()
    _add(args.out, kept)
    page = _readme(args.out, [*names, *kept], kept)
    (args.out / "README.md").write_text(page, encoding="utf-8")


def _kept(out: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """The reports of earlier runs that stay, by name."""
    if not names:
        return {}
    earlier = json.loads((out / "report.json").read_text(encoding="utf-8"))
    by_name = {
        name: report
        for report in (earlier if isinstance(earlier, list) else [earlier])
        for name in RUNS
        if f"{name}.sqlite" in report["run"]["command"].replace("/", " ").split()
    }
    return {name: by_name[name] for name in names}


def _add(out: Path, kept: dict[str, dict[str, Any]]) -> None:
    """Put the reports that stay behind those that were written anew."""
    if kept:
        file = out / "report.json"
        written = json.loads(file.read_text(encoding="utf-8"))
        reports = [*(written if isinstance(written, list) else [written]), *kept.values()]
        file.write_text(json.dumps(reports, indent=1) + "\n", encoding="utf-8")


def _clear(out: Path, kept: Collection[str]) -> None:
    """Take away what an earlier run wrote; pages of other commands (`ablations.md`) stay."""
    for name in (*RUNS, "tables"):
        if name not in kept:
            shutil.rmtree(out / name, ignore_errors=True)
    for file in ("README.md", "report.html", "report.json"):
        (out / file).unlink(missing_ok=True)


def _imc() -> str:
    return str(Path(sys.executable).with_name("imc"))


def _readme(folder: Path, names: list[str], kept: Collection[str]) -> str:
    """The folder's front page: the table over all runs, and where the rest lies."""
    read = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    reports = read if isinstance(read, list) else [read]
    overview = (folder / "tables" / "tables.md").read_text(encoding="utf-8").strip()
    lines = [
        "# Results of the embedded model",
        "",
        f"{datetime.date.today().isoformat()}, {platform.machine()}, {usable_cores()} CPU cores,",
        "by `make results` (`IMC_DATA` names the folder of the data sets).",
        "",
        "Answers by the strict rule; intervals are 95 %, bootstrapped by image; a recovered share",
        "is left out where noise costs under 3 points. `report.html` has all on one page;",
        "each run's folder has its tables (CSV, Markdown, LaTeX).",
        "",
        *(
            f"- **{name}**: {report['verdict']['headline']}"
            for name, report in zip(names, reports, strict=True)
            if name not in kept
        ),
        "",
        overview,
        "",
        "## The runs",
        "",
    ]
    for name, report in zip(names, reports, strict=True):
        earlier = f" (measured {report['run']['created'][:10]}, kept)" if name in kept else ""
        lines.append(f"- [`{name}`]({name}/tables/tables.md): {_facts(report)}{earlier}")
    lines += ["", "## Beside them, by commands of their own", ""]
    lines += [f"- [{what}]({page})" for page, what in PAGES.items() if (folder / page).is_file()]
    return "\n".join(lines) + "\n"


def _facts(report: dict[str, object]) -> str:
    run = report.get("run")
    if not isinstance(run, dict):
        return ""
    command = run.get("command", "")
    return f"`{command}`" if command else ""


if __name__ == "__main__":
    main()
