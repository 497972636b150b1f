"""How often the agents edit a clean question, by the origin of the questions, every edit listed.

    python benchmarks/sms_clean.py --data DATA [--questions FILE ...] [--half report]

DATA holds slake/ and vqa-rad/: their questions outside training (SLAKE validation, the rephrasings
of VQA-RAD's training records, VQA-RAD test). Each FILE is one more origin, a question on each line,
real and public, for their text is printed. `--half calibration` or `--half report` takes every
question of the FILEs by the parity of its SHA-256, so that no margin is reported on what it was set
on.

An edit mends a slip of the source where the word it changes stands in no dictionary (the shipped
lexicon and the words of the model's questions), the word put in does, and one slip parts them; the
others are false. The interval is Clopper and Pearson's, 95 % two-sided, over the false ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import torch

from graphs.context import IMCContext, load_context
from graphs.refining import refine_batch
from imc_agents.corrections.rewriting import edits_between
from imc_agents.language.noisy_channel import LETTER, slip
from imc_agents.margin_calibration import at_most, read_questions, upper_bound
from imc_agents.safeguards.protected import protected_violations
from imc_reference import MODEL_DIR
from imc_reference.real_data import VQA_RAD_FILE, load_slake, load_vqa_rad, tidy_question


def own_origins(data: Path) -> dict[str, list[str]]:
    """Distinct questions of the published sets that the embedded model was not trained on."""
    rad, slake = data / "vqa-rad", data / "slake"
    trained = {
        pair.question.lower()
        for image in load_slake(slake, "train") + load_vqa_rad(rad, "train")
        for pair in image.pairs
    }
    records = json.loads((rad / VQA_RAD_FILE).read_text("utf-8"))
    said = {
        tidy_question(str(record.get("question_rephrase", "NULL")))
        for record in records
        if not record["phrase_type"].startswith("test")
    }
    found = {
        "slake validation": {p.question for i in load_slake(slake, "validate") for p in i.pairs},
        "vqa-rad rephrased": {text for text in said if text and text.upper() != "NULL"},
        "vqa-rad test": {p.question for i in load_vqa_rad(rad, "test") for p in i.pairs},
    }
    seen: set[str] = set(trained)
    origins = {}
    for name in ("vqa-rad test", "slake validation", "vqa-rad rephrased"):
        fresh = sorted(text for text in found[name] if text.lower() not in seen)
        seen |= {text.lower() for text in fresh}
        origins[name] = fresh
    return origins


def half_of(questions: list[str], half: str) -> list[str]:
    """All questions, or those of one half by the parity of their hash."""
    if half == "all":
        return questions
    wanted = 0 if half == "calibration" else 1
    return [text for text in questions if hashlib.sha256(text.encode()).digest()[0] % 2 == wanted]


def mends_a_slip(before: str, after: str, context: IMCContext) -> bool:
    """As far as a rule can tell, the source itself was misspelt."""
    return (
        before not in context.lexicon
        and all(word in context.lexicon for word in after.split())
        and slip(after, before).cost <= LETTER
    )


def judged(question: str, used: str, context: IMCContext) -> tuple[str, bool]:
    """The edits as text, and whether all of them mend slips of the source."""
    edits = edits_between(question, used, context.lexicon, context.policy)
    slips = bool(edits) and all(
        edit.after and mends_a_slip(edit.before, edit.after, context) for edit in edits
    )
    shown = "; ".join(f"{edit.before!r} -> {edit.after!r}" for edit in edits) or "rewritten"
    return shown, slips


def lower_bound(count: int, of: int, confidence: float) -> float:
    """The one-sided Clopper-Pearson bound from below, 0 to 1."""
    if count == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if 1.0 - at_most(count - 1, of, middle) < 1.0 - confidence:
            low = middle
        else:
            high = middle
    return low


def row(name: str, count: int, mended: int, false: int, violations: int) -> str:
    low, high = lower_bound(false, count, 0.975), upper_bound(false, count, 0.975)
    return (
        f"| {name} | {count} | {mended} | {false} | {100 * false / count:.2f} "
        f"({100 * low:.2f}-{100 * high:.2f}) | {violations} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="holds slake/ and vqa-rad/")
    parser.add_argument("--questions", type=Path, nargs="*", default=[], help="one a line")
    parser.add_argument("--model", type=Path, default=MODEL_DIR)
    parser.add_argument("--half", choices=["all", "calibration", "report"], default="all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    context = load_context(args.model, method="sms")
    origins = own_origins(args.data)
    for path in args.questions:
        lines = read_questions(path.read_text("utf-8").splitlines())
        origins[path.stem] = half_of(lines, args.half)

    rows, total = [], [0, 0, 0, 0]
    for name, questions in origins.items():
        counts = [len(questions), 0, 0, 0]
        states = refine_batch(questions, context)
        for question, state in zip(questions, states, strict=True):
            decision = state["decision"]
            if decision is None or decision.used == question:
                continue
            edits, slips = judged(question, decision.used, context)
            counts[1 if slips else 2] += 1
            counts[3] += bool(protected_violations(question, decision.used))
            print(f"{name}: {'mends a slip' if slips else 'FALSE'}: {edits} | {question}")
        if questions:
            rows.append(row(name, *counts))
        total = [a + b for a, b in zip(total, counts, strict=True)]
    print("| origin | questions | slips mended | false edits | % (95 %) | protected violations |")
    print("| --- | --- | --- | --- | --- | --- |")
    print("\n".join([*rows, row("all", *total)]))


if __name__ == "__main__":
    main()
