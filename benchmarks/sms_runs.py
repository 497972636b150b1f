"""What the agents make of questions, measured once and kept: shared by the pages of `sms.py`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from graphs.context import IMCContext
from graphs.refining import TOGETHER, refine_batch
from imc_agents.chat.run_requests import run_requests_together
from imc_agents.coordinator import Coordinator
from imc_agents.corrections.proposals import apply_edits
from imc_agents.corrector import Corrector
from imc_agents.detector import Detector
from imc_agents.state import Assessment, Edit, Finding
from imc_bench.methods import Tools, get_methods
from imc_core.sources import sources_digest
from imc_data.vqa_rad import FILE as VQA_RAD_FILE
from imc_noise import apply_text, noise_rng
from imc_reference.real_data import RealImage, load_slake, load_vqa_rad

WHOLE = "whole"
ROWS = ("nothing", "detector", "corrector", WHOLE, "rewrite", "symspell")
NO_ALTERNATIVE = -40.0
"""Nats: the evidence of a question without any alternative."""


@dataclass(frozen=True)
class Refined:
    """What was made of some questions."""

    asked: list[str]
    used: dict[str, list[str]]
    """By row of `ROWS` the question that it would use, in the order of the questions."""
    calls: list[int]
    """Passes through the model that the whole took for each."""
    evidence: list[float]
    """How far the coordinator's best alternative clears its margin, in nats; empty where only the
    whole was measured."""
    flagged: list[bool]
    """The coordinator calls the detector; likewise."""


class Kept:
    """Refined questions, one set a line of a file; those of another model, policy or code are
    measured again."""

    def __init__(self, path: Path, context: IMCContext, model: Path) -> None:
        weights = model / "model.safetensors"
        made = hashlib.sha256(weights.read_bytes() if weights.is_file() else str(model).encode())
        made.update(context.policy.model_dump_json().encode())
        made.update(sources_digest("imc_agents", "imc_noise", "graphs").encode())
        self.path, self.context, self.key = path, context, made.hexdigest()[:16]
        self._found: dict[tuple[str, ...], Refined] = {}
        for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
            row = json.loads(line)
            if row["key"] == self.key:
                self._hold(Refined(**row["refined"]))

    def _hold(self, refined: Refined) -> None:
        self._found[(*refined.used, *refined.asked)] = refined

    def __call__(self, name: str, asked: Sequence[str], *, rows: Sequence[str] = ROWS) -> Refined:
        """What was made of `asked`, measured where it was not."""
        for measured in (tuple(rows), ROWS):
            if found := self._found.get((*measured, *asked)):
                return found
        made = self._agents(asked) if rows == ROWS else self._whole(asked)
        self._hold(made)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "key": self.key, "refined": asdict(made)}) + "\n")
        print(f"{name}: {len(asked)} questions", flush=True)
        return made

    def _whole(self, asked: Sequence[str]) -> Refined:
        states = refine_batch(asked, self.context)
        used = [
            question if (decision := state["decision"]) is None else decision.used
            for question, state in zip(asked, states, strict=True)
        ]
        calls = [sum(step.calls for step in state["trace"]) for state in states]
        return Refined(list(asked), {WHOLE: used}, calls, [], [])

    def _agents(self, asked: Sequence[str]) -> Refined:
        used: dict[str, list[str]] = {row: [] for row in ROWS}
        calls: list[int] = []
        evidence: list[float] = []
        flagged: list[bool] = []
        for start in range(0, len(asked), TOGETHER):
            some = asked[start : start + TOGETHER]
            assessed, found, corrected = self._agents_apart(some)
            used["detector"] += [single(*one) for one in zip(some, assessed, found, strict=True)]
            used["corrector"] += corrected
            whole = self._whole(some)
            used[WHOLE] += whole.used[WHOLE]
            calls += whole.calls
            flagged += [one.suspicious for one in assessed]
            evidence += [
                max((other.edits[0].excess for other in one.alternatives), default=NO_ALTERNATIVE)
                for one in assessed
            ]
        used["nothing"] = list(asked)
        for method in get_methods(["rewrite", "symspell"]):
            used[method.name] = [
                one.text for one in method.prepare_questions(asked, Tools(self.context))
            ]
        return Refined(list(asked), used, calls, evidence, flagged)

    def _agents_apart(
        self, asked: Sequence[str]
    ) -> tuple[list[Assessment], list[list[Finding]], list[str]]:
        """What coordinator, detector and corrector make of questions, each after the other."""
        context = self.context
        parts = (context.agents, context.prompts, context.lexicon, context.policy)
        chat, faults = context.agents, context.faults
        coordinator, detector, corrector = Coordinator(*parts), Detector(*parts), Corrector(*parts)
        steps = [coordinator.request_steps(question) for question in asked]
        assessed = run_requests_together(chat, steps, faults)
        found = run_requests_together(
            chat,
            [detector.request_steps(*one) for one in zip(asked, assessed, strict=True)],
            faults,
        )
        candidates = run_requests_together(
            chat,
            [corrector.request_steps(*one) for one in zip(asked, found, assessed, strict=True)],
            faults,
        )
        return assessed, found, [candidate.text for candidate in candidates]


def single(question: str, assessed: Assessment, found: Sequence[Finding]) -> str:
    """The question with the best single edit of every place that was found."""
    best: dict[tuple[int, int], Edit] = {}
    for alternative in assessed.alternatives:  # best first
        edit = alternative.edits[0]
        best.setdefault((edit.start, edit.end), edit)
    places = [(finding.start, finding.end) for finding in found]
    return apply_edits(question, [best[place] for place in places if place in best])


def corrupt(
    clean: Sequence[str], kind: str, severity: int, seed: int
) -> tuple[list[str], list[str]]:
    """The questions that the noise changes, and what it makes of them."""
    made = {
        one: apply_text(kind, one, severity, noise_rng(one, kind, severity, seed)) for one in clean
    }
    changed = [one for one in clean if made[one] != one]
    return changed, [made[one] for one in changed]


def _asked(images: Sequence[RealImage]) -> set[str]:
    return {pair.question for image in images for pair in image.pairs}


def _trained(data: Path) -> set[str]:
    return _asked(load_slake(data / "slake", "train") + load_vqa_rad(data / "vqa-rad", "train"))


def held_out(data: Path, *, slake: bool, seed: int) -> list[str]:
    """Distinct questions of VQA-RAD's test split, and of SLAKE validation where asked for, that are
    in no training part; drawn by a seed."""
    held = _asked(load_vqa_rad(data / "vqa-rad", "test"))
    if slake:
        held |= _asked(load_slake(data / "slake", "validate"))
    known = sorted(held - _trained(data))
    order = noise_rng("questions", "order", 1, seed).permutation(len(known))
    return [known[int(index)] for index in order]


def own_origins(data: Path) -> dict[str, list[str]]:
    """Distinct questions of the published sets that the embedded model was not trained on."""
    rad = data / "vqa-rad"
    records = json.loads((rad / VQA_RAD_FILE).read_text("utf-8"))
    rephrased = {
        " ".join(str(record.get("question_rephrase", "NULL")).split())
        for record in records
        if not record["phrase_type"].startswith("test")
    }
    found = {
        "vqa-rad test": _asked(load_vqa_rad(rad, "test")),
        "slake validation": _asked(load_slake(data / "slake", "validate")),
        "vqa-rad rephrased": {text for text in rephrased if text and text.upper() != "NULL"},
    }
    seen = {text.lower() for text in _trained(data)}
    origins = {}
    for name, texts in found.items():
        origins[name] = sorted(text for text in texts if text.lower() not in seen)
        seen |= {text.lower() for text in origins[name]}
    return origins
