"""The tables of README.md and docs/ that follow from files of this repository, and the plot.

    python scripts/docs_tables.py            print them
    python scripts/docs_tables.py --write    put them between their markers, draw the plot

Results come from `docs/results/report.json` (`make results` writes it and calls this), noises from
`imc_noise`, columns from `imc_bench`. A test compares the tables in the files with these.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imc_bench.report.glossary import glossary_markdown
from imc_noise import CORE_IMAGE, CORE_TEXT, NOISES

REPOSITORY = Path(__file__).resolve().parent.parent
REPORT = REPOSITORY / "docs" / "results" / "report.json"
PLOT = REPOSITORY / "docs" / "img" / "robustness.png"

SETS = (
    ("slake", "validate", "SLAKE validation"),
    ("vqa-rad", "test", "VQA-RAD test"),
    ("phantom", "test", "phantoms"),
)
"""Data set, split and its title, in the order of the tables."""
GROUPS = (("image", "image"), ("text", "question"), ("both", "both"))
"""Group of conditions in the report, and what carries the noise."""
CONTROLS = frozenset(("blank", "swapped"))
"""Conditions that are controls and no noise."""

Run = Mapping[str, Any]


def read_runs(report: Path = REPORT) -> list[Run]:
    """Every run of a report."""
    runs: list[Run] = json.loads(report.read_text("utf-8"))
    return runs


def main_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """By title, the run with noise in image, question and both at the model's input size.

    Raises KeyError where the report lacks one.
    """
    found = {
        (run["run"]["data_set"], run["run"]["split"]): run
        for run in runs
        if run["run"]["noise_at"] == "input" and "both" in run["summary"]["none"]
    }
    return {title: found[name, split] for name, split, title in SETS}


def percent(share: float) -> str:
    """`82.5` for .825."""
    return f"{100 * share:.1f}"


def with_interval(part: Mapping[str, Any], key: str) -> str:
    """A share and its interval in percent; `-` where it is withheld."""
    if part[key] is None:
        return "-"
    low, high = part[f"{key}_interval"]
    return f"{percent(part[key])} ({percent(low)} to {percent(high)})"


def table(head: str, align: str, rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table. `align`: one letter a column, `l` or `r`."""
    rule = " | ".join({"l": "---", "r": "---:"}[letter] for letter in align)
    lines = [head, f"| {rule} |", *("| " + " | ".join(map(str, row)) + " |" for row in rows)]
    return "\n".join(lines) + "\n"


def results_table(runs: Sequence[Run]) -> str:
    """Accuracy clean, noisy and with IMC; what is recovered; flips."""
    rows = []
    for title, run in main_runs(runs).items():
        about, clean = run["run"], percent(run["summary"]["none"]["clean"]["accuracy"])
        name = f"{title} ({about['items']:,}, {about['images']})"
        for group, carrier in GROUPS:
            noisy, imc = run["summary"]["none"][group], run["summary"]["imc"][group]
            gained = f"**{percent(imc['accuracy'])}**"
            flips = percent(noisy["flips"]), percent(imc["flips"])
            recovered = with_interval(imc, "recovered")
            rows.append(
                (name, carrier, clean, percent(noisy["accuracy"]), gained, recovered, *flips)
            )
            name = ""
    head = (
        "| data set (questions, images) | noise in | clean | noisy | IMC | recovered % "
        "| flips noisy % | flips IMC % |"
    )
    return table(head, "llrrrrrr", rows)


def clean_table(runs: Sequence[Run]) -> str:
    """What IMC does to clean inputs."""
    rows = []
    for title, run in main_runs(runs).items():
        clean = run["summary"]["imc"]["clean"]
        rows.append(
            (
                f"{title} ({run['run']['items']:,}, {run['run']['images']})",
                with_interval(clean, "touched"),
                with_interval(clean, "false_edits"),
                with_interval(clean, "accuracy_change"),
                percent(clean["flips"]),
                clean["violations"],
            )
        )
    head = (
        "| data set (questions, images) | images touched % | questions edited % "
        "| change of accuracy, points | answers flipped % | protected words changed |"
    )
    return table(head, "lrrrrr", rows)


def others_table(runs: Sequence[Run]) -> str:
    """Every method of the runs that hold baselines."""
    rows = []
    for run in runs:
        if "imc" in run["summary"] or len(run["summary"]) < 3:
            continue
        about = run["run"]
        for method, summary in run["summary"].items():
            for group, carrier in GROUPS:
                if group in summary:
                    part, clean = summary[group], summary["clean"]
                    rows.append(
                        (
                            f"{about['data_set']} {about['split']}",
                            carrier,
                            f"`{method}`",
                            percent(part["accuracy"]),
                            with_interval(part, "recovered"),
                            percent(part["flips"]),
                            percent(clean["touched"]),
                            percent(clean["false_edits"]),
                        )
                    )
    head = (
        "| data set | noise in | method | accuracy % | recovered % | flips % "
        "| clean images touched % | clean questions edited % |"
    )
    return table(head, "lllrrrrr", rows)


def noise_table(_: Sequence[Run]) -> str:
    """The registry of noises."""
    core = {*CORE_IMAGE, *CORE_TEXT}
    rows = [
        (
            f"`{noise.name}`",
            "question" if noise.modality == "text" else "image",
            "core" if noise.name in core else "extended",
            noise.meaning,
            "yes" if noise.recoverable else "no",
        )
        for noise in sorted(NOISES.values(), key=lambda one: (one.modality, one.name not in core))
    ]
    return table("| noise | of | suite | what happened | recoverable |", "lllll", rows)


def column_list(_: Sequence[Run]) -> str:
    """The words of reports, as the reports explain them."""
    return glossary_markdown()


BLOCKS = (
    ("README.md", "results", results_table),
    ("docs/results.md", "results", results_table),
    ("docs/results.md", "clean", clean_table),
    ("docs/results.md", "others", others_table),
    ("docs/design/noises.md", "noises", noise_table),
    ("docs/glossary.md", "columns", column_list),
)
"""File, name of its markers, and what stands between them."""


def with_block(text: str, name: str, new: str) -> str:
    """`text` with what stands between the markers of `name` replaced.

    Raises ValueError where a marker is missing.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"the lines {begin.strip()!r} and {end.strip()!r} are missing")
    return f"{before}{begin}\n{new}\n{end}{after}"


def group_of(cell: Mapping[str, Any]) -> str:
    """What carries a cell's noise: `clean`, `image`, `text`, `both`, or `stacked` noises."""
    image, text = cell["image_noise"], cell["text_noise"]
    if "+" in image:
        return "stacked"
    if image and text:
        return "both"
    return "image" if image else "text" if text else "clean"


def by_severity(run: Run, group: str, method: str) -> tuple[list[float], list[float]]:
    """Severities and accuracies in percent, mean over the kinds of a group; severity 0 is clean."""
    found: dict[float, list[float]] = {}
    for cell in run["cells"]:
        if (
            cell["method"] == method
            and cell["image_noise"] not in CONTROLS
            and group_of(cell) in (group, "clean")
        ):
            severity = max(cell["image_severity"], cell["text_severity"])
            found.setdefault(severity, []).append(100 * cell["accuracy"])
    severities = sorted(found)
    return severities, [sum(found[one]) / len(found[one]) for one in severities]


def verdict(run: Run) -> str:
    """One sentence of what the plot shows: means over kinds, then severities."""
    parts = [
        f"{carrier} {percent(run['summary']['none'][group]['accuracy'])} to "
        f"{percent(run['summary']['imc'][group]['accuracy'])}"
        for group, carrier in GROUPS
    ]
    clean = percent(run["summary"]["none"]["clean"]["accuracy"])
    return f"Mean accuracy under noise, without and with IMC: {', '.join(parts)}; clean {clean}."


def draw(run: Run, title: str, out: Path) -> None:
    """One panel for each carrier of noise: accuracy against severity, without and with IMC."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    about = run["run"]
    figure, axes = plt.subplots(1, len(GROUPS), figsize=(9.5, 3.7), sharey=True, dpi=110)
    for axis, (group, carrier) in zip(axes, GROUPS, strict=True):
        for method, label, color, marker, line, offset in (
            ("imc", "with IMC", "#1b6ca8", "o", "-", 8),
            ("none", "without", "#c44e00", "s", "--", -14),
        ):
            points = list(zip(*by_severity(run, group, method), strict=True))
            axis.plot(*zip(*points, strict=True), line, label=label, color=color, marker=marker)
            for x, y in points[1:]:
                axis.annotate(
                    f"{y:.0f}",
                    (x, y),
                    (0, offset),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=color,
                )
            axis.set_xticks([x for x, _ in points])
        where = "image and question" if group == "both" else f"the {carrier}"
        axis.set_title(f"noise in {where}", fontsize=10)
        axis.set_xlabel("severity (0: clean)")
        axis.set_ylim(0, 100)
        axis.grid(axis="y", color="#dddddd")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy, %")
    axes[0].legend(loc="lower left", frameon=False)
    figure.suptitle(
        f"{title}: {about['items']:,} questions about {about['images']} images, "
        f"model {about['model']['name']}, strict exact match",
        fontsize=11,
    )
    figure.text(0.5, 0.01, verdict(run), ha="center", fontsize=9)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Print the tables, or write tables and plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="change the files and the plot")
    write = parser.parse_args().write
    runs = read_runs()
    for name, block, make in BLOCKS:
        if write:
            file = REPOSITORY / name
            file.write_text(with_block(file.read_text("utf-8"), block, make(runs)), "utf-8")
        else:
            print(f"{name}, {block}:\n\n{make(runs)}")
    if write:
        title, run = next(iter(main_runs(runs).items()))
        draw(run, title, PLOT)


if __name__ == "__main__":
    main()
