"""The coordinator: is anything wrong at all, what comes next, and what is used in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, ConfigDict

from imc_agents.agent import CANNOT_ASSESS, RoleAgent
from imc_agents.chat.run_requests import run_requests
from imc_agents.corrections.edit_log_odds import edit_log_odds, places_after
from imc_agents.corrections.irrelevant_sentences import irrelevant_sentences
from imc_agents.corrections.lost_words import likeliest, lost_words
from imc_agents.corrections.proposals import candidate_of, word_edits
from imc_agents.language.english import why_not_english
from imc_agents.language.sentences import asking_spans, split_sentences
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.protected import context_of
from imc_agents.state import (
    Agent,
    Assessment,
    Candidate,
    Decision,
    Finding,
    NoiseKind,
    Verdict,
)

Next = Agent | Literal["settled"]

ORDER: tuple[NoiseKind, ...] = ("distractor", "ocr", "typo", "homophone", "word_drop", "unknown")
"""A sentence that does not belong is cut before its words are repaired; characters before words
that merely sound alike, whose gain needs repaired neighbours; what is guessed comes last."""

NO_SIGN = "unchanged: no sign of an error"
NOT_ASSESSED = "unchanged: it was not assessed"
SUSPECTED = "unchanged: an error is suspected"
NO_BETTER_THAN_CHANCE = (
    "the model gives no log-likelihoods, and its replies about questions are no better than chance"
)


class CleanReply(BaseModel):
    """What a model that can only be asked says of a question."""

    model_config = ConfigDict(extra="ignore", strict=True)
    clean: bool


@dataclass(frozen=True)
class Transition:
    """Where the coordinator goes next, and what it writes."""

    goto: Next
    """The next agent, or `settled`."""
    plan: list[NoiseKind] = field(default_factory=list)
    refused: list[Verdict] = field(default_factory=list)
    """Rejections so far, the last one included."""
    decision: Decision | None = None
    """Set when `goto` is `settled`."""

    @property
    def rounds(self) -> int:
        """Verdicts so far."""
        return self.decision.rounds if self.decision is not None else len(self.refused)


@dataclass(frozen=True)
class ScoredEdits:
    """What one batched pass over a question and its single edits showed."""

    logprob: float
    """log p(question), in nats."""
    found: list[tuple[Candidate, float]]
    """Every single edit as a candidate, and its log-odds, in nats."""


class Coordinator(RoleAgent):
    """Opens a question with one batched scoring pass, plans, and settles it."""

    def __call__(self, question: str) -> Assessment:
        """Assess a question: one batched pass over it and its best alternatives, or none."""
        return run_requests(self.model.chat, self.request_steps(question))

    def request_steps(self, question: str) -> RequestSteps[Assessment]:
        """What a call does, its requests to the model yielded."""
        excluded = self._why_excluded(question)
        if excluded is not None:
            return Assessment(
                question=question, scored=False, suspicious=False, reason=f"unchanged: {excluded}"
            )
        if not self.model.can_score:
            return (yield from self._asked(question))
        return (yield from self._scored(question))

    def _why_excluded(self, question: str) -> str | None:
        if not self.policy.refines:
            return f"method {self.policy.method} does not change questions"
        if len(question) > self.policy.max_refined_characters:
            return f"it is longer than {self.policy.max_refined_characters} characters"
        return why_not_english(question, self.lexicon)

    def _asked(self, question: str) -> RequestSteps[Assessment]:
        prompt = self.prompts.coordinator.ask
        if prompt is None:
            return Assessment(
                question=question,
                scored=False,
                suspicious=False,
                reason=f"unchanged: {CANNOT_ASSESS}",
            )
        if not (self.policy.trust_clean and self.policy.trust_same):
            return Assessment(
                question=question,
                scored=False,
                suspicious=False,
                reason=f"unchanged: {NO_BETTER_THAN_CHANCE}",
            )
        reply = yield from self.model.ask(prompt, CleanReply, question=question)
        said = "clean" if reply.clean else "corrupted"
        outcome = NO_SIGN if reply.clean else "an error is suspected"
        return Assessment(
            question=question,
            scored=False,
            suspicious=not reply.clean,
            reason=f"{outcome}: the model, which gives no log-likelihoods, called it {said}",
        )

    def _scored(self, question: str) -> RequestSteps[Assessment]:
        weighed = yield from self.score_edits(question)
        if weighed is None:
            return Assessment(
                question=question,
                scored=True,
                suspicious=False,
                reason=f"{NO_SIGN}: every word is known, and there is no alternative to any",
            )
        return self._judged(question, weighed)

    def score_edits(self, question: str) -> RequestSteps[ScoredEdits | None]:
        """Score a question and its best single edits in one batched pass; None: it has none."""
        sentences = split_sentences(question)
        alone = [sentence.text for sentence in sentences] if len(sentences) > 1 else []
        room = max(1, self.policy.max_alternatives - len(alone))
        edits = word_edits(
            question,
            self.lexicon,
            self.policy,
            self.protected,
            limit=room,
            focus=asking_spans(sentences),
        )
        lost = lost_words(question, self.lexicon, self.policy)
        single = (candidate_of(question, [edit], gain=0.0).text for edit in (*edits, *lost))
        texts = [question, *alone, *single]
        if len(texts) == 1:
            return None
        scores = yield from self.model.log_likelihoods(self.prompts.coordinator, texts)
        here = scores[0].logprob
        found = []
        guesses = []
        for edit, score in zip((*edits, *lost), scores[1 + len(alone) :], strict=True):
            gain = score.logprob - here - edit.cost
            scored = edit.model_copy(update={"gain": gain})
            if edit.guess:
                guesses.append(scored)
                continue
            (place,) = places_after([scored])
            worth = edit_log_odds(scored, score, place, self.policy, self.lexicon)
            found.append((candidate_of(question, [scored], gain=gain), worth))
        guess = likeliest(guesses, self.policy.guess_lead)
        if guess is not None and guess.gain is not None:
            found.append((candidate_of(question, [guess], gain=guess.gain), guess.gain))
        per_char = [score.per_char for score in scores[1 : 1 + len(alone)]]
        if per_char:
            for cut in irrelevant_sentences(
                question, sentences, per_char, self.policy, self._is_context
            ):
                gain = cut.gain or 0.0
                found.append((candidate_of(question, [cut], gain=gain, source="sentences"), gain))
        return ScoredEdits(here, found)

    def _is_context(self, sentence: str) -> bool:
        return context_of(sentence, self.protected, self.lexicon) is not None

    def _judged(self, question: str, weighed: ScoredEdits) -> Assessment:
        slack, lacking = self.policy.suspicion_slack, self.policy.detection_slack
        ordered = sorted(
            (candidate for candidate, _ in weighed.found),
            key=lambda candidate: candidate.edits[0].excess,
            reverse=True,
        )
        best = ordered[0].edits[0] if ordered else None
        gains = best is not None and best.excess > -slack
        suspicious = any(
            candidate.edits[0].excess > -slack and worth > candidate.edits[0].margin - lacking
            for candidate, worth in weighed.found
        )
        if best is None or best.gain is None:
            reason = f"{NO_SIGN}: there is no alternative to any word"
        elif gains and not suspicious:
            reason = (
                f"{NO_SIGN}: the best alternative gains {best.gain:.1f} nats, but is itself "
                "unlikely at its place"
            )
        elif suspicious:
            reason = (
                f"an error is suspected: the best alternative gains {best.gain:.1f} nats "
                f"(threshold {best.margin:.1f})"
            )
        else:
            reason = (
                f"{NO_SIGN}: the best alternative gains {best.gain:.1f} nats "
                f"(threshold {best.margin:.1f})"
            )
        return Assessment(
            question=question,
            scored=True,
            suspicious=suspicious,
            logprob=weighed.logprob,
            alternatives=ordered,
            reason=reason,
        )

    def step(
        self,
        question: str,
        assessment: Assessment | None = None,
        findings: Sequence[Finding] | None = None,
        candidate: Candidate | None = None,
        verdict: Verdict | None = None,
        *,
        refused: Sequence[Verdict] = (),
        calls: int = 0,
    ) -> Transition:
        """What comes next, from what is known. A pure function.

        Args:
            question: the original question.
            assessment: the coordinator's; None: there is none, and the question is left alone.
            findings: places to repair; None: they are not located yet. Given ones are repaired
                also where the assessment suspects no error: somebody else found them.
            candidate: the last one; None: there is none yet.
            verdict: the last one. It counts where it is on this candidate.
            refused: rejections of earlier rounds, oldest first.
            calls: of the model, spent on this question so far.
        """
        refused = [one for one in refused if verdict is None or one.candidate != verdict.candidate]
        if assessment is None:
            return _settle(question, refused, NOT_ASSESSED)
        if not assessment.suspicious:
            if not findings:
                return _settle(question, refused, assessment.reason)
            excluded = self._why_excluded(question)
            if excluded is not None:
                return _settle(question, refused, f"unchanged: {excluded}")
        if findings is None:
            return Transition("detector", refused=refused)
        if not findings:
            return _settle(question, refused, f"{SUSPECTED}, but its place was not found")
        plan = plan_of(findings)
        if candidate is None:
            return Transition("corrector", plan, refused)
        if not candidate.edits:
            last = f" (the last one: {refused[-1].reason})" if refused else ""
            unlikely = f"{SUSPECTED}, but no correction is likely enough{last}"
            return _settle(question, refused, unlikely)
        exhausted = f"{SUSPECTED}, but no correction was accepted within {calls} model calls"
        if verdict is None or verdict.candidate != candidate.text:
            if candidate.scores is None and calls >= self.policy.max_calls:
                return _settle(question, refused, exhausted)
            return Transition("verifier", plan, refused)
        if verdict.accepted:
            rounds = len(refused) + 1
            decision = Decision(
                used=candidate.text, accepted=True, rounds=rounds, reason=verdict.reason
            )
            return Transition("settled", plan, refused, decision)
        refused = [*refused, verdict]
        if len(refused) >= self.policy.max_rounds:
            rejected = f"{SUSPECTED}, but {len(refused)} corrections were rejected"
            return _settle(question, refused, f"{rejected}: {verdict.reason}")
        if calls >= self.policy.max_calls:
            return _settle(question, refused, exhausted)
        return Transition("corrector", plan, refused)


def _settle(question: str, refused: list[Verdict], reason: str) -> Transition:
    """The original question is used."""
    decision = Decision(used=question, accepted=False, rounds=len(refused), reason=reason)
    return Transition("settled", refused=refused, decision=decision)


def plan_of(findings: Sequence[Finding]) -> list[NoiseKind]:
    """The kinds found, in the order in which they are repaired."""
    kinds = {finding.kind for finding in findings}
    return [kind for kind in ORDER if kind in kinds]
