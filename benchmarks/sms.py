"""What the agents do to questions: to clean ones, to noisy ones, and what each agent earns.

    python benchmarks/sms.py clean --data DATA [--questions FILE ...] [--half report]
    python benchmarks/sms.py noisy --data DATA [--count 60] [--severities 1 3 5]
    python benchmarks/sms.py agents --data DATA [--count 60] [--out docs/results/agents.md]

Questions are those of VQA-RAD and SLAKE outside every training part, corrupted by `imc_noise` with
a seed. What was measured is kept under `--work`: a stopped run goes on where it was, a change of
model, policy or code begins anew.

`clean` lists every edit of a clean question, by origin. Each FILE is one more origin, a question on
each line, real and public, for their text is printed; `--half calibration|report` takes every
question of the FILEs by the parity of its SHA-256, so that no margin is reported on what it was set
on. An edit corrects a slip of the source where the word it changes is in no dictionary (the shipped
lexicon and the words of the model's questions), the word put in is, and one slip parts them; the
others are false. The interval is Clopper and Pearson's, 95 % two-sided, over the false ones.

`noisy` counts exact restorations by noise and severity. The margins of `imc_agents.policy` were set
with these very clean questions at hand, so their share of false edits is optimistic.

`agents` has cumulative rows: the coordinator's gate edits nothing; with the detector, each place
found takes its best single edit; with the corrector, the candidate of the first round is used as it
is; with the verifier, it is the whole.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.stats import beta
from sms_runs import ROWS, WHOLE, Kept, corrupt, held_out, own_origins

from graphs.context import IMCContext, load_context
from imc_agents.corrections.rewriting import edits_between
from imc_agents.language.noisy_channel import LETTER, slip
from imc_agents.margin_calibration import read_questions, upper_bound
from imc_agents.safeguards.protected import protected_violations
from imc_bench.metrics.bootstrap import ClusterBootstrap, Estimate, share
from imc_bench.metrics.statistics import character_errors
from imc_bench.metrics.text_distance import new_violations
from imc_noise import CORE_TEXT
from imc_reference import MODEL_DIR

HELD_OUT = tuple(
    "transpose word_swap repetition case_punctuation abbreviation ocr_line_breaks redaction".split()
)
"""Kinds that no part of the agents was made for."""
HELD_OUT_SEVERITY = 3
SEVERITIES = (1, 3, 5)
LABELS = dict(
    zip(
        ROWS,
        (
            "as it is",
            "coordinator + detector",
            "+ corrector",
            "+ verifier (the whole)",
            "one-prompt rewriting",
            "dictionary speller",
        ),
        strict=True,
    )
)
TAIL = 0.025
"""Probability beyond either end of a two-sided 95 % interval."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def corrects_a_slip(before: str, after: str, context: IMCContext) -> bool:
    """As far as a rule can tell, the source itself was misspelt."""
    return (
        before not in context.lexicon
        and all(word in context.lexicon for word in after.split())
        and slip(after, before).cost <= LETTER
    )


def judged(question: str, used: str, context: IMCContext) -> tuple[str, bool]:
    """The edits as text, and whether all of them correct slips of the source."""
    edits = edits_between(question, used, context.lexicon, context.policy)
    slips = bool(edits) and all(
        edit.after and corrects_a_slip(edit.before, edit.after, context) for edit in edits
    )
    shown = "; ".join(f"{edit.before!r} -> {edit.after!r}" for edit in edits) or "rewritten"
    return shown, slips


def clean_page(kept: Kept, args: argparse.Namespace) -> list[str]:
    """Every edit, and a row for each origin."""
    origins = own_origins(args.data)
    for path in args.questions:
        lines = read_questions(path.read_text("utf-8"))
        origins[path.stem] = [text for text in lines if args.half in ("all", _half(text))]
    listed, counts = [], dict[str, list[int]]()
    for name, asked in origins.items():
        used = kept(f"clean {name}", asked, rows=(WHOLE,)).used[WHOLE] if asked else []
        slips = false = violations = 0
        for question, text in zip(asked, used, strict=True):
            if text != question:
                edits, slip_of_source = judged(question, text, kept.context)
                slips, false = slips + slip_of_source, false + (not slip_of_source)
                violations += bool(protected_violations(question, text))
                label = "corrects a slip" if slip_of_source else "FALSE"
                listed.append(f"{name}: {label}: {edits} | {question}")
        if asked:
            counts[name] = [len(asked), slips, false, violations]
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    head = ["origin", "questions", "slips corrected", "false edits", "% (95 %)"]
    rows = [
        [name, str(count), str(slips), str(false), _exact(false, count), str(violations)]
        for name, (count, slips, false, violations) in counts.items()
    ]
    return [*listed, "", *table([*head, "protected violations"], rows)]


def _half(text: str) -> str:
    return ("calibration", "report")[hashlib.sha256(text.encode()).digest()[0] % 2]


def _exact(false: int, count: int) -> str:
    """A share with its Clopper-Pearson interval."""
    low = float(beta.ppf(TAIL, false, count - false + 1)) if false else 0.0
    high = upper_bound(false, count, 1.0 - TAIL)
    return f"{100 * false / count:.2f} ({100 * low:.2f}-{100 * high:.2f})"


def noisy_page(kept: Kept, args: argparse.Namespace) -> list[str]:
    """False edits of clean questions, and restorations by noise and severity."""
    drawn = held_out(args.data, slake=True, seed=args.seed)
    clean = sorted(drawn)
    bare = kept("clean, both sets", clean, rows=(WHOLE,))
    pairs = zip(clean, bare.used[WHOLE], strict=True)
    edits = [f"  {one!r} -> {used!r}" for one, used in pairs if used != one]
    pool = [one for one in drawn if len(one.split()) >= 3][: args.count]
    rows = []
    for kind in CORE_TEXT:
        for severity in args.severities:
            meant, given = corrupt(pool, kind, severity, args.seed)
            if not meant:
                continue
            found = kept(f"{kind} {severity}, both sets", given, rows=(WHOLE,))
            used, count = found.used[WHOLE], len(meant)
            right = sum(one == other for one, other in zip(used, meant, strict=True))
            same = sum(one == other for one, other in zip(used, given, strict=True))
            left = character_errors(meant, used).mean() / character_errors(meant, given).mean()
            shares = (right / count, same / count, (count - right - same) / count, left)
            calls = f"{statistics.mean(found.calls):.1f}"
            rows.append([kind, str(severity), str(count), *(f"{x:.2f}" for x in shares), calls])
    ends = ["restored exactly", "left alone", "made other", "character error left", "calls"]
    return [
        f"clean questions outside training: {len(clean)}, edited: {len(edits)}",
        *edits,
        f"calls on a clean question: median {statistics.median(bare.calls)}",
        "",
        *table(["noise", "severity", "corrupted", *ends], rows),
    ]


def auc(clean: Sequence[float], noisy: Sequence[float]) -> float:
    """Chance that a corrupted question shows more evidence than a clean one, ties by half."""
    a, b = np.asarray(clean)[:, None], np.asarray(noisy)[None, :]
    return float(((b > a) + 0.5 * (a == b)).mean())


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def figures(clean: Sequence[str], given: Sequence[str], used: Sequence[str]) -> list[str]:
    """Exact restoration, character error left of the noise's, and how many became worse."""
    draw = ClusterBootstrap(clean)
    before, after = character_errors(clean, given), character_errors(clean, used)
    left = after.mean() / before.mean() if before.any() else float("nan")
    exact = draw.mean([one == meant for one, meant in zip(used, clean, strict=True)])
    return [shown(exact), f"{left:.2f}", shown(share(int((after > before).sum()), len(clean)))]


def broken(clean: Sequence[str], given: Sequence[str], used: Sequence[str]) -> str:
    """In how many a row changed a protected word that the noise had not changed."""
    rows = zip(clean, given, used, strict=True)
    return str(sum(bool(new_violations(*row)) for row in rows))


def agents_page(kept: Kept, args: argparse.Namespace) -> list[str]:
    """All tables; the questions of `--count` are corrupted, those of every origin left clean."""
    clean = held_out(args.data, slake=False, seed=args.seed)[: args.count]
    untouched = [one for origin in own_origins(args.data).values() for one in origin]
    bare = kept("clean", untouched)
    gate, parts, harm, held = ([] for _ in range(4))
    for kind in CORE_TEXT:
        meant: list[str] = []
        used: dict[str, list[str]] = {row: [] for row in ROWS}
        for severity in SEVERITIES:
            here, given = corrupt(clean, kind, severity, args.seed)
            if here:
                found = kept(f"{kind} {severity}", given)
                meant += here
                for row, texts in found.used.items():
                    used[row] += texts
                called = shown(share(sum(found.flagged), len(here)))
                area = f"{auc(bare.evidence, found.evidence):.3f}"
                whole = figures(here, given, found.used[WHOLE])
                gate.append([kind, str(severity), str(len(here)), area, called, *whole])
        for row, label in LABELS.items():
            three = (meant, used["nothing"], used[row])
            parts.append([kind, label, *figures(*three), broken(*three)])
    for row, label in LABELS.items():
        edited = sum(one != two for one, two in zip(untouched, bare.used[row], strict=True))
        rate = share(edited, len(untouched))
        value, low, high = (f"{100 * x:.2f}" for x in (rate.value, rate.low, rate.high))
        changed = broken(untouched, untouched, bare.used[row])
        harm.append([label, str(edited), f"{value} [{low}, {high}]", changed])
    for kind in HELD_OUT:
        here, given = corrupt(clean, kind, HELD_OUT_SEVERITY, args.seed)
        if here:
            found = kept(f"{kind} {HELD_OUT_SEVERITY}", given)
            for row in (WHOLE, "symspell"):
                held.append([kind, LABELS[row], *figures(here, given, found.used[row])])
    safe, ends = "protected words changed", ["restored exactly", "character error left"]
    ends.append("made worse")
    return [
        "# What each agent earns",
        "",
        f"{len(clean)} questions of VQA-RAD's test split outside training, seed {args.seed}, and",
        f"{len(untouched)} clean ones of VQA-RAD and of SLAKE validation outside training:",
        f"`python benchmarks/sms.py agents --data DATA --count {args.count}`.",
        "Rows of agents are cumulative; intervals are 95 %, by question. Character error left: of",
        "the noise's, 0 is an exact repair, 1 is untouched. Made worse: further from the clean.",
        "",
        "## Clean questions",
        "",
        f"The coordinator calls the detector for {shown(share(sum(bare.flagged), len(untouched)))} "
        f"of {len(untouched)}. Slips of the source that were corrected count as edits here; "
        "`benchmarks/sms.py clean` tells them apart.",
        "",
        *table(["agents", "edited", "%", safe], harm),
        "## What each agent adds",
        "",
        f"Severities {', '.join(map(str, SEVERITIES))} together.",
        "",
        *table(["noise", "agents", *ends, safe], parts),
        "## Detection, and the whole by severity",
        "",
        "AUC of the coordinator's evidence, corrupted against clean questions.",
        "",
        *table(["noise", "severity", "questions", "AUC", "called", *ends], gate),
        "## Kinds that no agent was made for",
        "",
        f"Severity {HELD_OUT_SEVERITY}.",
        "",
        *table(["noise", "agents", *ends], held),
    ]


PAGES = {"clean": clean_page, "noisy": noisy_page, "agents": agents_page}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", choices=list(PAGES))
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--work", type=Path, default=Path("runs/sms.jsonl"))
    parser.add_argument("--out", type=Path, help="a page beside what is printed")
    parser.add_argument("--count", type=int, default=60, help="questions that are corrupted")
    parser.add_argument("--severities", type=int, nargs="+", default=SEVERITIES, help="of noisy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--questions", type=Path, nargs="*", default=[], help="of clean: more")
    parser.add_argument("--half", choices=["all", "calibration", "report"], default="all")
    args = parser.parse_args()
    torch.set_num_threads(1)  # texts are short: a second thread only waits
    kept = Kept(args.work, load_context(args.model, method="sms"), args.model)
    page = "\n".join(PAGES[args.page](kept, args)).rstrip() + "\n"
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(page, "utf-8")
    print(page)


if __name__ == "__main__":
    main()
