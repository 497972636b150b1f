"""The corrector: what was probably meant, weighed by the model and the noisy channel."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pydantic import BaseModel, ConfigDict, Field

from imc_agents.agent import RoleAgent
from imc_agents.chat.run_requests import run_requests
from imc_agents.coordinator import Coordinator
from imc_agents.corrections.joint_search import JointSearch
from imc_agents.corrections.proposals import before_edits, candidate_of, word_edits
from imc_agents.corrections.rewriting import edits_between
from imc_agents.detector import Detector, located
from imc_agents.language.sentences import asking_spans, split_sentences
from imc_agents.requests import RequestSteps
from imc_agents.state import Assessment, Candidate, Edit, Finding, Verdict


class RestoredReply(BaseModel):
    """A restored question as a model that can only be asked gives it."""

    model_config = ConfigDict(extra="ignore")
    question: str = Field(min_length=1)


class Corrector(RoleAgent):
    """Joins the best edits of a question into one candidate, by noisy channel where it can."""

    def __call__(
        self,
        question: str,
        findings: Sequence[Finding] | None = None,
        assessment: Assessment | None = None,
        refused: Sequence[Verdict] = (),
    ) -> Candidate:
        """The best candidate that was not refused; one without edits where there is none.

        Args:
            question: the original question.
            findings: places to repair; None: they are looked for. Where they are others than the
                detector's, nothing outside them is repaired: somebody has chosen them.
            assessment: the coordinator's; None: it is made.
            refused: earlier verdicts on this question: the places they blame are left alone.
        """
        return run_requests(
            self.model.chat, self.request_steps(question, findings, assessment, refused)
        )

    def request_steps(
        self,
        question: str,
        findings: Sequence[Finding] | None = None,
        assessment: Assessment | None = None,
        refused: Sequence[Verdict] = (),
    ) -> RequestSteps[Candidate]:
        """What a call does, its requests to the model yielded."""
        if assessment is None:
            coordinator = Coordinator(
                self.model.chat, self.prompts, self.lexicon, self.policy, self.protected
            )
            assessment = yield from coordinator.request_steps(question)
            self.model.calls += coordinator.model.calls
        if findings is None:
            detector = Detector(
                self.model.chat, self.prompts, self.lexicon, self.policy, self.protected
            )
            findings = yield from detector.request_steps(question, assessment)
            self.model.calls += detector.model.calls
        if not findings:
            return candidate_of(question, [], gain=0.0)
        # A blamed place is left alone: if "lift" may not become "left", it must not become "cleft".
        banned = {(edit.start, edit.end) for verdict in refused for edit in verdict.blamed}
        if assessment.scored:
            candidate = yield from self._weighed(question, findings, assessment, refused, banned)
        else:
            candidate = yield from self._asked(question, findings, refused, banned)
        if any(candidate.text == verdict.candidate for verdict in refused):
            return candidate_of(question, [], gain=0.0)
        return candidate

    def _weighed(
        self,
        question: str,
        findings: Sequence[Finding],
        assessment: Assessment,
        refused: Sequence[Verdict],
        banned: set[tuple[int, int]],
    ) -> RequestSteps[Candidate]:
        scored = [
            alternative.edits[0]
            for alternative in assessment.alternatives
            if not _touches(alternative.edits[0], banned)
        ]
        cuts = [
            edit
            for edit in scored
            if edit.kind == "distractor" and edit.excess > 0 and _within(edit, findings)
        ]
        others = self._proposed(question, without=banned)
        said = [] if refused else (yield from self._generated(question))
        pool = [edit for edit in (*scored, *said, *others) if edit.after]
        search = JointSearch(
            self.model,
            self.prompts.coordinator,
            self.policy,
            _known(assessment),
            passes=1 if refused else None,
        )
        chosen = list(findings) != located(assessment, self.policy)

        def may_be_made(edit: Edit) -> bool:
            return not _touches(edit, banned) and (not chosen or _within(edit, findings))

        open_pool = [edit for edit in pool if may_be_made(edit)]
        first = yield from search(question, cuts, open_pool)
        repaired = [edit for edit in first.edits if edit.after]
        if refused or not repaired:
            return first
        # Among repaired neighbours a word may be read otherwise than among misspelt ones.
        fresh = [
            edit
            for edit in before_edits(self._proposed(first.text), first.edits)
            if may_be_made(edit)
        ]
        if not fresh:
            return first
        return (yield from search(question, cuts, [*fresh, *repaired, *open_pool], repaired))

    def _proposed(self, text: str, without: Collection[tuple[int, int]] = ()) -> list[Edit]:
        return word_edits(
            text,
            self.lexicon,
            self.policy,
            self.protected,
            without=without,
            limit=4 * self.policy.max_alternatives,
            focus=asking_spans(split_sentences(text)),
        )

    def _generated(self, question: str) -> RequestSteps[list[Edit]]:
        """Word repairs in the model's own correction; they are weighed like any other."""
        said = yield from self.model.say(
            self.prompts.corrector.messages(question=question), like=question
        )
        edits = edits_between(question, said, self.lexicon, self.policy)
        return [edit for edit in edits if edit.after]

    def _asked(
        self,
        question: str,
        findings: Sequence[Finding],
        refused: Sequence[Verdict],
        banned: set[tuple[int, int]],
    ) -> RequestSteps[Candidate]:
        prompt = self.prompts.corrector.ask
        if prompt is None:
            return candidate_of(question, [], gain=0.0)
        reply = yield from self.model.ask(
            prompt,
            RestoredReply,
            question=question,
            findings="; ".join(f"{finding.text} ({finding.kind})" for finding in findings),
            rejection="; ".join(verdict.reason for verdict in refused),
        )
        edits = [
            edit
            for edit in edits_between(question, reply.question, self.lexicon, self.policy)
            if not _touches(edit, banned) and _within(edit, findings)
        ]
        return candidate_of(question, edits, gain=0.0, source="asked")


def _known(assessment: Assessment) -> dict[str, float]:
    """log p of the texts that the coordinator's pass scored."""
    if assessment.logprob is None:
        return {}
    known = {assessment.question: assessment.logprob}
    for alternative in assessment.alternatives:
        edit = alternative.edits[0]
        if edit.after and edit.gain is not None:
            known[alternative.text] = assessment.logprob + edit.gain + edit.cost
    return known


def _touches(edit: Edit, places: Collection[tuple[int, int]]) -> bool:
    return any(start < edit.end and edit.start < end for start, end in places)


def _within(edit: Edit, findings: Sequence[Finding]) -> bool:
    return any(f.start < edit.end and edit.start < f.end for f in findings)
