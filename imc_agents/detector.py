"""The detector: which places of a suspicious question are corrupted, and by which noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imc_agents.agent import RoleAgent
from imc_agents.chat.run_requests import run_requests
from imc_agents.coordinator import Coordinator
from imc_agents.policy import Policy
from imc_agents.requests import RequestSteps
from imc_agents.state import Assessment, Edit, Finding

ASKED_SCORE = 0.5
"""Score of a place that a model without self-assessment named: its word, and no more."""


class NamedPlace(BaseModel):
    """One corrupted place as a model names it."""

    model_config = ConfigDict(extra="ignore")
    text: str = Field(min_length=1)
    kind: Literal["typo", "ocr", "homophone", "distractor"]


class PlacesReply(BaseModel):
    """What a model that can only be asked says of the places."""

    model_config = ConfigDict(extra="ignore")
    findings: list[NamedPlace] = Field(max_length=16)


class Detector(RoleAgent):
    """Names the places whose best alternative gains enough, and the noise that explains it."""

    def __call__(self, question: str, assessment: Assessment | None = None) -> list[Finding]:
        """Findings in order of position, never overlapping; empty where nothing can be named.

        Without an assessment it makes one (a scoring pass). A scored question needs no further
        call of the model; one that was not scored is asked about.
        """
        return run_requests(self.model.chat, self.request_steps(question, assessment))

    def request_steps(
        self, question: str, assessment: Assessment | None = None
    ) -> RequestSteps[list[Finding]]:
        """What a call does, its requests to the model yielded."""
        if assessment is None:
            coordinator = Coordinator(
                self.model.chat, self.prompts, self.lexicon, self.policy, self.protected
            )
            assessment = yield from coordinator.request_steps(question)
            self.model.calls += coordinator.model.calls
        if not assessment.suspicious:
            return []
        if assessment.scored:
            return located(assessment, self.policy)
        return (yield from self._asked(question))

    def _asked(self, question: str) -> RequestSteps[list[Finding]]:
        prompt = self.prompts.detector.ask
        if prompt is None:
            return []
        reply = yield from self.model.ask(prompt, PlacesReply, question=question)
        found = []
        for place in reply.findings:
            start = question.find(place.text)
            if start >= 0:  # a place that is not in the question is the model's invention
                found.append(
                    Finding(
                        start=start,
                        end=start + len(place.text),
                        text=place.text,
                        kind=place.kind,
                        score=ASKED_SCORE,
                    )
                )
        return _apart(found)


def located(assessment: Assessment, policy: Policy) -> list[Finding]:
    """The places of a scored question whose best alternative gains enough."""
    best: dict[tuple[int, int], Edit] = {}
    for alternative in assessment.alternatives:  # best first
        edit = alternative.edits[0]
        if edit.excess > -policy.suspicion_slack:
            best.setdefault((edit.start, edit.end), edit)
    return _apart([_finding(edit) for edit in best.values()])


def _finding(edit: Edit) -> Finding:
    """A place, scored by the logistic of how far its best alternative clears the margin."""
    score = 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, edit.excess))))
    return Finding(
        start=edit.start, end=edit.end, text=edit.before, kind=edit.kind, score=round(score, 4)
    )


def _apart(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that do not overlap, in order; a sentence replaces the words within it."""
    kept: list[Finding] = []
    for finding in sorted(findings, key=lambda finding: finding.start - finding.end):
        if all(finding.end <= other.start or other.end <= finding.start for other in kept):
            kept.append(finding)
    return sorted(kept, key=lambda finding: finding.start)
