"""The verifier: may this candidate replace the original? If not, why, and which edits are wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from langchain_core.language_models import BaseChatModel
from pydantic import BaseModel, ConfigDict

from imc_agents.agent import CANNOT_ASSESS, RoleAgent
from imc_agents.chat.run_requests import run_requests
from imc_agents.corrections.correction_candidates import ASKING
from imc_agents.corrections.edit_log_odds import (
    TokenScoresLike,
    edit_log_odds,
    haste,
    places_after,
)
from imc_agents.corrections.proposals import apply_edits
from imc_agents.language.english import FUNCTION_WORDS
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.language.noisy_channel import LETTER
from imc_agents.language.sentences import split_sentences
from imc_agents.language.words import words_of
from imc_agents.policy import Policy
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.protected import ProtectedTable, protected_violations
from imc_agents.state import Candidate, Edit, Verdict
from prompts import PromptSet

Violations = Callable[[str, str, Sequence[tuple[int, int]]], Sequence[str]]
"""(original, candidate, spans of whole sentences left out) -> what was added, dropped or changed
among protected tokens."""

FEWEST_EDITED_WORDS = 2
"""Words that may be changed however short the question is."""


BEGINNING = 3
"""Words among which one that asks stands where a sentence begins as a question ("in what plane").
"""


class SameReply(BaseModel):
    """What a model that can only be asked says of two versions."""

    model_config = ConfigDict(extra="ignore", strict=True)
    same: bool
    reason: str = ""


class Verifier(RoleAgent):
    """Checks a candidate: safeguards first, then the evidence for every edit among the others."""

    def __init__(
        self,
        chat: BaseChatModel,
        prompts: PromptSet,
        lexicon: LexiconLike,
        policy: Policy,
        protected: ProtectedTable | None = None,
        *,
        violations: Violations | None = None,
    ) -> None:
        """`violations` None: those of the protected words."""
        super().__init__(chat, prompts, lexicon, policy, protected)
        self.violations = violations if violations is not None else self._protected

    def __call__(self, original: str, candidate: Candidate) -> Verdict:
        """Accept or refuse, with the reason; the model is asked only when every safeguard holds."""
        return run_requests(self.model.chat, self.request_steps(original, candidate))

    def request_steps(self, original: str, candidate: Candidate) -> RequestSteps[Verdict]:
        """What a call does, its requests to the model yielded."""
        refusal = (
            self._text_refusal(original, candidate)
            or self._protected_refusal(original, candidate)
            or self._note_refusal(original, candidate)
            or self._budget_refusal(original, candidate)
        )
        if refusal is not None:
            return refusal
        if all(edit.gain is not None for edit in candidate.edits):
            return (yield from self._weighed(original, candidate))
        return (yield from self._asked(original, candidate))

    def _text_refusal(self, original: str, candidate: Candidate) -> Verdict | None:
        """The candidate is its own edits and nothing else, and it still asks."""
        if not candidate.edits or candidate.text == original:
            return _refuse(candidate, "it changes nothing")
        if apply_edits(original, candidate.edits) != candidate.text:
            return _refuse(candidate, "its text does not follow from its edits")
        asked = any(sentence.asks for sentence in split_sentences(original))
        if asked and not any(sentence.asks for sentence in split_sentences(candidate.text)):
            cuts = [edit for edit in candidate.edits if not edit.after]
            return _refuse(candidate, "it is no question any more", cuts)
        return None

    def _protected(
        self, original: str, candidate: str, irrelevant: Sequence[tuple[int, int]]
    ) -> Sequence[str]:
        return protected_violations(
            original,
            candidate,
            table=self.protected,
            words=self.lexicon,
            irrelevant=irrelevant,
        )

    def _protected_refusal(self, original: str, candidate: Candidate) -> Verdict | None:
        found = self.violations(original, candidate.text, _cuts(candidate.edits))
        if not found:
            return None
        blamed = [
            edit
            for edit in candidate.edits
            if self.violations(original, apply_edits(original, [edit]), _cuts([edit]))
        ]
        return _refuse(candidate, f"a protected word would change ({found[0]})", blamed)

    def _note_refusal(self, original: str, candidate: Candidate) -> Verdict | None:
        """A note without any word that asks ("zn 3+ afb") is made a question, or stays a note: no
        function word is put into it."""
        if not (_is_note(original) and _is_note(candidate.text)):
            return None
        blamed = [edit for edit in candidate.edits if edit.after.lower() in FUNCTION_WORDS]
        reason = "a function word would stand in a note that asks nothing"
        return _refuse(candidate, reason, blamed) if blamed else None

    def _budget_refusal(self, original: str, candidate: Candidate) -> Verdict | None:
        """Too many words would change. Where every word is known afterwards, a non-word that one
        slip explains counts half: a text in haste is full of those, one of another language is not
        made English by them.
        """
        repairs = [edit for edit in candidate.edits if edit.after]
        texts = [word.text for word in words_of(candidate.text)]
        words = len(texts)
        allowed = max(FEWEST_EDITED_WORDS, int(self.policy.max_edited_share * words))
        english = all(text in self.lexicon for text in texts)
        slips = self._slips(repairs) if english else 0
        over = math.ceil(len(repairs) - slips / 2 - allowed)
        if over <= 0:
            return None
        weakest = sorted(repairs, key=lambda edit: edit.excess)[:over]
        return _refuse(
            candidate, f"it changes {len(repairs)} of {words} words (limit {allowed})", weakest
        )

    def _slips(self, edits: Sequence[Edit]) -> int:
        """How many of them one slip in a word explains."""
        return sum(edit.cost <= LETTER and edit.before not in self.lexicon for edit in edits)

    def _weighed(self, original: str, candidate: Candidate) -> RequestSteps[Verdict]:
        """Every edit's evidence among the others must clear its margin.

        A pass is spent only where the corrector's did not score this very text. Where the model's
        scores do not show their tokens, a gain is all there is, and the model's own vote is added
        to it.
        """
        score: object = candidate.scores
        if score is None:
            texts = [candidate.text]
            (score,) = yield from self.model.log_likelihoods(self.prompts.coordinator, texts)
        shown = isinstance(score, TokenScoresLike)
        agreement = None if shown else (yield from self._agreement(original, candidate))
        vote = self._vote(agreement)
        places = places_after(candidate.edits)
        words, slips = len(words_of(candidate.text)), self._slips(candidate.edits)
        weak = []
        for edit, place in zip(candidate.edits, places, strict=True):
            hurried = haste(slips - self._slips([edit]), words - 1)
            odds = edit_log_odds(edit, score, place, self.policy, self.lexicon, hurried)
            if odds + vote <= edit.margin:
                weak.append(edit)
        asked = ""
        if agreement is not None:
            asked = f"; asked, the model called both the same with probability {agreement:.2f}"
        if weak:
            below = "its threshold" if len(weak) == 1 else "their thresholds"
            return _refuse(
                candidate,
                f"{len(weak)} of {len(candidate.edits)} edits below {below}{asked}",
                weak,
                agreement,
            )
        each = "each above its threshold" if len(candidate.edits) > 1 else "above its threshold"
        return Verdict(
            accepted=True,
            candidate=candidate.text,
            agreement=agreement,
            reason=f"accepted: {_counted(candidate.edits)}, log-likelihood gain "
            f"{candidate.gain:.1f} nats, {each}{asked}",
        )

    def _agreement(self, original: str, candidate: Candidate) -> RequestSteps[float | None]:
        if not (self.model.can_choose and self.policy.trust_same):
            return None
        return (
            yield from self.model.agreement(
                self.prompts.verifier, original=original, candidate=candidate.text
            )
        )

    def _vote(self, agreement: float | None) -> float:
        """Nats that the model's own word adds or takes."""
        if agreement is None:
            return 0.0
        p = min(max(agreement, 1e-6), 1 - 1e-6)
        cap = self.policy.vote_cap
        return self.policy.vote_weight * max(-cap, min(cap, math.log(p / (1 - p))))

    def _asked(self, original: str, candidate: Candidate) -> RequestSteps[Verdict]:
        """No gain is known: only unknown words and whole sentences may go, and the model must say
        in so many words that the question is the same."""
        known = [edit for edit in candidate.edits if edit.after and edit.before in self.lexicon]
        if known:
            return _refuse(
                candidate, "it changes a known word, and no log-likelihood supports that", known
            )
        if not self.policy.trust_same:
            return _refuse(candidate, "asked, the model's replies are no better than chance")
        prompt = self.prompts.verifier.ask
        if prompt is None:
            return _refuse(candidate, CANNOT_ASSESS)
        reply = yield from self.model.ask(
            prompt, SameReply, original=original, candidate=candidate.text
        )
        if not reply.same:
            return _refuse(candidate, "asked, the model called it another question")
        return Verdict(
            accepted=True,
            candidate=candidate.text,
            reason=f"accepted: {_counted(candidate.edits)}; asked, the model called both the same",
        )


def _is_note(text: str) -> bool:
    """None of its sentences begins as a question, nor points to anything ("there", "the")."""
    words = [word.text.lower() for word in words_of(text)]
    starts = (words_of(sentence.text)[:BEGINNING] for sentence in split_sentences(text))
    asks = any(word.text.lower() in ASKING for some in starts for word in some)
    return not asks and not {"the", "there"} & set(words)


def _counted(edits: Sequence[Edit]) -> str:
    """How many edits there are, by what they do."""
    kinds = (
        ("correction", [edit for edit in edits if edit.after and not edit.guess]),
        ("inferred word", [edit for edit in edits if edit.guess]),
        ("removed sentence", [edit for edit in edits if not edit.after]),
    )
    named = [f"{len(some)} {name}{'s' * (len(some) > 1)}" for name, some in kinds if some]
    return " and ".join(named)


def _cuts(edits: Sequence[Edit]) -> list[tuple[int, int]]:
    """Spans of the sentences that edits leave out."""
    return [(edit.start, edit.end) for edit in edits if not edit.after]


def _refuse(
    candidate: Candidate,
    reason: str,
    blamed: Sequence[Edit] = (),
    agreement: float | None = None,
) -> Verdict:
    return Verdict(
        accepted=False,
        reason=reason,
        candidate=candidate.text,
        blamed=list(blamed) or list(candidate.edits),
        agreement=agreement,
    )
