"""What each agent earns: the agents one after the other, a speller and one-prompt rewriting.

    python benchmarks/sms_ablations.py --data DATA [--questions 60] [--out docs/results/agents.md]

The same questions of VQA-RAD's test split that stand in no training part, corrupted by `imc_noise`
with a seed; clean, every question of both sets outside training (`sms_clean.own_origins`). Rows of
agents are cumulative: the coordinator's gate edits nothing; with the detector, each place found
takes its best single edit; with the corrector, the candidate of the first round is used as it
stands; with the verifier, it is the whole. Every condition is kept under `--work`: a stopped run
goes on where it was, a change of model, policy or code begins anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from ablations.banks import sources_digest
from sms_clean import own_origins

from graphs.context import IMCContext, load_context
from graphs.refining import TOGETHER, refine_batch
from imc_agents.chat.run_requests import run_requests_together
from imc_agents.coordinator import Coordinator
from imc_agents.corrections.proposals import apply_edits
from imc_agents.corrector import Corrector
from imc_agents.detector import Detector
from imc_agents.requests import RequestSteps
from imc_agents.state import Assessment, Candidate, Edit, Finding
from imc_bench.bootstrap import ClusterBootstrap, Estimate, share
from imc_bench.methods.catalogue import get_methods
from imc_bench.methods.protocol import Tools
from imc_bench.statistics import character_errors
from imc_bench.text_distance import new_violations
from imc_noise import CORE_TEXT, apply_text, noise_rng
from imc_reference import MODEL_DIR
from imc_reference.real_data import load_slake, load_vqa_rad

SEVERITIES = (1, 3, 5)
HELD_OUT = tuple(
    "transpose word_swap repetition case_punctuation abbreviation ocr_line_breaks redaction".split()
)
"""Kinds that no part of the agents was made for."""
HELD_OUT_SEVERITY = 3
AGENTS = {
    "nothing": "as it is",
    "detector": "coordinator + detector",
    "corrector": "+ corrector",
    "whole": "+ verifier (the whole)",
    "rewrite": "one-prompt rewriting",
    "symspell": "dictionary speller",
}

Told = dict[str, list[str]]
"""For each row of the table, the question that it would use, in the order of the questions."""


@dataclass(frozen=True)
class Condition:
    """What was measured of some questions under one noise, or none."""

    asked: list[str]
    evidence: list[float]
    """How far the coordinator's best alternative clears its margin, in nats."""
    flagged: list[bool]
    """The coordinator calls the detector."""
    told: Told


def questions(data: Path, count: int, seed: int) -> list[str]:
    """Distinct questions of VQA-RAD's test split outside every training part, drawn by a seed."""
    slake, rad = data / "slake", data / "vqa-rad"
    trained = {
        pair.question
        for image in load_slake(slake, "train") + load_vqa_rad(rad, "train")
        for pair in image.pairs
    }
    held = {pair.question for image in load_vqa_rad(rad, "test") for pair in image.pairs}
    known = sorted(held - trained)
    order = noise_rng("questions", "order", 1, seed).permutation(len(known))
    return [known[int(index)] for index in order[:count]]


def agents(asked: Sequence[str], context: IMCContext) -> tuple[list[float], list[bool], Told]:
    """What the coordinator measures, whether it calls the detector, and what each agent leaves."""
    parts = (context.agents, context.prompts, context.lexicon, context.policy)

    def assess(question: str) -> RequestSteps[Assessment]:
        return Coordinator(*parts).request_steps(question)

    def look(question: str, assessment: Assessment) -> RequestSteps[list[Finding]]:
        return Detector(*parts).request_steps(question, assessment)

    def mend(question: str, found: Sequence[Finding], said: Assessment) -> RequestSteps[Candidate]:
        return Corrector(*parts).request_steps(question, found, said)

    chat, faults = context.agents, context.faults
    said = run_requests_together(chat, [assess(question) for question in asked], faults)
    found = run_requests_together(
        chat, [look(*one) for one in zip(asked, said, strict=True)], faults
    )
    walks = [mend(*one) for one in zip(asked, found, said, strict=True)]
    candidates = run_requests_together(chat, walks, faults)
    decisions = [state["decision"] for state in refine_batch(asked, context)]
    whole = [
        question if decision is None else decision.used
        for question, decision in zip(asked, decisions, strict=True)
    ]
    evidence = [
        max((one.edits[0].excess for one in assessment.alternatives), default=-40.0)
        for assessment in said
    ]
    told = {
        "detector": [single(*one) for one in zip(asked, said, found, strict=True)],
        "corrector": [candidate.text for candidate in candidates],
        "whole": whole,
    }
    return evidence, [assessment.suspicious for assessment in said], told


def single(question: str, said: Assessment, found: Sequence[Finding]) -> str:
    """The question with the best single edit of every place that was found."""
    best: dict[tuple[int, int], Edit] = {}
    for alternative in said.alternatives:  # best first
        edit = alternative.edits[0]
        best.setdefault((edit.start, edit.end), edit)
    places = [(finding.start, finding.end) for finding in found]
    return apply_edits(question, [best[place] for place in places if place in best])


def measure(asked: Sequence[str], context: IMCContext) -> Condition:
    """Put questions to every row of the table."""
    evidence: list[float] = []
    flagged: list[bool] = []
    told: Told = {"nothing": list(asked), "detector": [], "corrector": [], "whole": []}
    for start in range(0, len(asked), TOGETHER):
        some, calls, rows = agents(asked[start : start + TOGETHER], context)
        evidence += some
        flagged += calls
        for name, texts in rows.items():
            told[name] += texts
    for method in get_methods(["rewrite", "symspell"]):
        told[method.name] = [one.text for one in method.read(asked, Tools(context))]
    return Condition(list(asked), evidence, flagged, told)


class Kept:
    """Measured conditions, one a line of a file; those of another model or policy are measured
    again."""

    def __init__(self, path: Path, context: IMCContext, model: Path) -> None:
        weights = model / "model.safetensors"
        made = hashlib.sha256(weights.read_bytes() if weights.is_file() else str(model).encode())
        made.update(context.policy.model_dump_json().encode())
        made.update(sources_digest("imc_agents", "imc_noise", "graphs").encode())
        self.path, self.context, self.key = path, context, made.hexdigest()[:16]
        self.found: dict[str, Condition] = {}
        for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
            row = json.loads(line)
            if row["key"] == self.key:
                self.found[row["name"]] = Condition(**row["condition"])

    def __call__(self, name: str, asked: Sequence[str]) -> Condition:
        """The condition, measured where it was not."""
        found = self.found.get(name)
        if found is None or found.asked != list(asked):
            found = self.found[name] = measure(asked, self.context)
            row = {"name": name, "key": self.key, "condition": asdict(found)}
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{name}: {len(asked)} questions", flush=True)
        return found


def auc(clean: Sequence[float], noisy: Sequence[float]) -> float:
    """Chance that a corrupted question shows more evidence than a clean one, ties by half."""
    a, b = np.asarray(clean)[:, None], np.asarray(noisy)[None, :]
    return float(((b > a) + 0.5 * (a == b)).mean())


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def figures(clean: Sequence[str], corrupted: Sequence[str], told: Sequence[str]) -> list[str]:
    """Exact restoration, character error left of the noise's, and how many became worse."""
    draw = ClusterBootstrap(clean)
    before, after = character_errors(clean, corrupted), character_errors(clean, told)
    left = after.mean() / before.mean() if before.any() else float("nan")
    exact = draw.mean([one == meant for one, meant in zip(told, clean, strict=True)])
    return [shown(exact), f"{left:.2f}", shown(share(int((after > before).sum()), len(clean)))]


def corrupt(
    clean: Sequence[str], kind: str, severity: int, seed: int
) -> tuple[list[str], list[str]]:
    """The questions that the noise changes, and what it makes of them."""
    made = {
        one: apply_text(kind, one, severity, noise_rng(one, kind, severity, seed)) for one in clean
    }
    changed = [one for one in clean if made[one] != one]
    return changed, [made[one] for one in changed]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def broken(clean: Sequence[str], given: Sequence[str], told: Sequence[str]) -> str:
    """In how many a row changed a protected word that the noise had not changed."""
    rows = zip(clean, given, told, strict=True)
    return str(sum(bool(new_violations(*row)) for row in rows))


def page(kept: Kept, clean: Sequence[str], untouched: Sequence[str], seed: int) -> list[str]:
    """All tables, measured where missing: `clean` is corrupted, `untouched` shown as it is."""
    bare = kept("clean", untouched)
    gate: list[list[str]] = []
    parts: list[list[str]] = []
    for kind in CORE_TEXT:
        meant: list[str] = []
        told: Told = {name: [] for name in AGENTS}
        for severity in SEVERITIES:
            here, corrupted = corrupt(clean, kind, severity, seed)
            if not here:
                continue
            row = kept(f"{kind} {severity}", corrupted)
            meant += here
            for name in AGENTS:
                told[name] += row.told[name]
            found = f"{auc(bare.evidence, row.evidence):.3f}"
            called = shown(share(sum(row.flagged), len(here)))
            whole = figures(here, corrupted, row.told["whole"])
            gate.append([kind, str(severity), str(len(here)), found, called, *whole])
        for name, label in AGENTS.items():
            given = told["nothing"]
            changed = broken(meant, given, told[name])
            parts.append([kind, label, *figures(meant, given, told[name]), changed])
    harm = []
    for name, label in AGENTS.items():
        edited = sum(one != two for one, two in zip(untouched, bare.told[name], strict=True))
        rate = share(edited, len(untouched))
        value, low, high = (f"{100 * x:.2f}" for x in (rate.value, rate.low, rate.high))
        changed = broken(untouched, untouched, bare.told[name])
        harm.append([label, str(edited), f"{value} [{low}, {high}]", changed])
    held = []
    for kind in HELD_OUT:
        here, corrupted = corrupt(clean, kind, HELD_OUT_SEVERITY, seed)
        if here:
            row = kept(f"{kind} {HELD_OUT_SEVERITY}", corrupted)
            for name in ("whole", "symspell"):
                held.append([kind, AGENTS[name], *figures(here, corrupted, row.told[name])])
    flagged = shown(share(sum(bare.flagged), len(untouched)))
    safe = "protected words changed"
    ends = ["restored exactly", "character error left", "made worse"]
    return [
        "## Clean questions",
        "",
        f"The coordinator calls the detector for {flagged} of {len(untouched)}. Slips of the "
        "source that were mended count as edits here; `benchmarks/sms_clean.py` tells them apart.",
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("runs/sms-ablations.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/agents.md"))
    args = parser.parse_args()
    torch.set_num_threads(1)  # texts are short: a second thread only waits

    context = load_context(args.model, method="sms")
    clean = questions(args.data, args.questions, args.seed)
    untouched = [one for origin in own_origins(args.data).values() for one in origin]
    lines = page(Kept(args.work, context, args.model), clean, untouched, args.seed)
    head = [
        "# What each agent earns",
        "",
        f"{len(clean)} questions of VQA-RAD's test split outside training, seed {args.seed}, and",
        f"{len(untouched)} clean ones of VQA-RAD and of SLAKE validation outside training:",
        f"`python benchmarks/sms_ablations.py --data DATA --questions {args.questions}`.",
        "Rows of agents are cumulative; intervals are 95 %, by question. Character error left: of",
        "the noise's, 0 is an exact repair, 1 is untouched. Made worse: further from the clean.",
        "",
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("\n".join([*head, *lines]).rstrip() + "\n", "utf-8")
    print(f"{args.out} is written")


if __name__ == "__main__":
    main()
