"""Several errors at once: the best edit of every place, each judged among its repaired neighbours.

Iterated conditional modes (Besag 1986) over the places of a question: with all other places held
at their present choice, a place takes the edit whose gain clears its margin and leads the next
best. All texts that one sweep needs are scored in one batched pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imc_agents.corrections.edit_log_odds import TokenScoresLike
from imc_agents.corrections.proposals import apply_edits, candidate_of
from imc_agents.policy import Policy
from imc_agents.requests import RequestSteps
from imc_agents.self_assessment import SelfAssessment
from imc_agents.state import Candidate, Edit, TokenScores
from prompts import RolePrompt

Place = tuple[int, int]
Choices = dict[Place, Edit]

THE_OVER_THERE = 6.0
"""Nats by which "the" must lead "there": "is the LVH on the ECG?" and "is there LVH on the ECG?"
are both questions, and different ones. Where "there" makes none ("is there lung normal?") the
embedded model gives it 6 nats less, or more."""
RESCORE_WITHIN = 10.0
"""Nats under its margin from which an edit that was once scored is not scored again: repaired
neighbours raise a gain by a few nats."""


class JointSearch:
    """Finds the joint choice of edits for one question."""

    def __init__(
        self,
        model: SelfAssessment,
        prompt: RolePrompt,
        policy: Policy,
        known: Mapping[str, float] | None = None,
        *,
        passes: int | None = None,
    ) -> None:
        """`passes`: at most so many; None: the policy's."""
        self.model = model
        self.prompt = prompt
        self.policy = policy
        self.passes = policy.max_passes if passes is None else passes
        self._logprobs = dict(known or {})
        """log p of every text scored so far, in nats."""
        self._shown: dict[str, TokenScores] = {}
        """Of those that were scored here, token by token."""

    def __call__(
        self,
        question: str,
        cuts: Sequence[Edit],
        pool: Sequence[Edit],
        start: Sequence[Edit] = (),
    ) -> RequestSteps[Candidate]:
        """The candidate of all cuts and of the edits that hold among one another.

        Args:
            question: the original question.
            cuts: sentences to leave out, already judged.
            pool: word edits, the likeliest first; gains they carry start the search. Of several
                with the same place and word the first counts.
            start: edits of the pool that do not overlap, to begin with; none: the best of each
                place.
        """
        places = _by_place(pool, cuts)
        best = {
            place: max(edits, key=lambda edit: edit.excess)
            for place, edits in places.items()
            if any(edit.excess > 0 for edit in edits)
        }
        chosen = {(edit.start, edit.end): edit for edit in start} or _apart(best)
        for _ in range(self.passes):
            yield from self._score(question, cuts, chosen, places)
            better = self._sweep(question, cuts, chosen, places)
            settled = better.keys() == chosen.keys() and all(
                better[place].after == chosen[place].after for place in better
            )
            chosen = better
            if settled:
                break
        edits = [*cuts, *chosen.values()]
        candidate = candidate_of(question, edits, gain=sum(edit.gain or 0.0 for edit in edits))
        return candidate.model_copy(update={"scores": self._shown.get(candidate.text)})

    def _text(self, question: str, cuts: Sequence[Edit], choices: Choices) -> str:
        return apply_edits(question, [*cuts, *choices.values()])

    def _score(
        self,
        question: str,
        cuts: Sequence[Edit],
        chosen: Choices,
        places: dict[Place, list[Edit]],
    ) -> RequestSteps[None]:
        """Score what a sweep needs and was not scored yet, in one batched pass or none."""
        wanted = [self._text(question, cuts, chosen)]
        wanted += [self._text(question, cuts, _set(chosen, place, None)) for place in chosen]
        ranked = sorted(places, key=lambda place: place not in chosen)
        for place in ranked:
            for edit in places[place]:
                if edit.gain is None or edit.excess > -RESCORE_WITHIN:
                    wanted.append(self._text(question, cuts, _set(chosen, place, edit)))
        fresh = [text for text in dict.fromkeys(wanted) if text not in self._logprobs]
        fresh = fresh[: self.policy.max_alternatives]
        if not fresh:
            return
        scores = yield from self.model.log_likelihoods(self.prompt, fresh)
        for text, score in zip(fresh, scores, strict=True):
            self._logprobs[text] = score.logprob
            if isinstance(score, TokenScoresLike):
                spans, logprobs = tuple(score.spans), tuple(score.logprobs)
                self._shown[text] = TokenScores(spans=spans, logprobs=logprobs)

    def _sweep(
        self,
        question: str,
        cuts: Sequence[Edit],
        chosen: Choices,
        places: dict[Place, list[Edit]],
    ) -> Choices:
        """Every place's best edit, the other places held at their present choice."""
        better: Choices = {}
        for place, edits in places.items():
            plain = self._logprobs.get(self._text(question, cuts, _set(chosen, place, None)))
            if plain is None:
                if place in chosen:
                    better[place] = chosen[place]
                continue
            weighed = []
            for edit in edits:
                text = self._text(question, cuts, _set(chosen, place, edit))
                if text in self._logprobs:
                    gain = self._logprobs[text] - plain - edit.cost
                    weighed.append((gain, edit.model_copy(update={"gain": gain})))
            weighed.sort(key=_gain, reverse=True)
            winner = self._winner([edit for _, edit in weighed])
            if winner is not None and winner.excess > 0:
                better[place] = winner
        return _apart(better)

    def _winner(self, ranked: Sequence[Edit]) -> Edit | None:
        """The best edit of a place; None where its lead is a guess.

        Of edits that the model finds about as good, the one that needs the lesser slip.
        """
        if not ranked:
            return None
        best = ranked[0]
        close = sorted((edit for edit in ranked if self._about_as_good(best, edit)), key=_cost)
        if len(close) > 1 and close[1].cost - close[0].cost < self.policy.ambiguity:
            return None
        return close[0]

    def _about_as_good(self, best: Edit, other: Edit) -> bool:
        pair = best.after.lower(), other.after.lower()
        lead = THE_OVER_THERE if pair == ("the", "there") else self.policy.ambiguity
        return other is best or (best.gain or 0.0) - (other.gain or 0.0) < lead


def _gain(weighed: tuple[float, Edit]) -> float:
    return weighed[0]


def _by_place(pool: Sequence[Edit], cuts: Sequence[Edit]) -> dict[Place, list[Edit]]:
    """The pool by place, without repeats and without words of sentences that are cut."""
    places: dict[Place, list[Edit]] = {}
    for edit in pool:
        if any(cut.start <= edit.start and edit.end <= cut.end for cut in cuts):
            continue
        here = places.setdefault((edit.start, edit.end), [])
        if all(edit.after != other.after for other in here):
            here.append(edit)
    return places


def _cost(edit: Edit) -> float:
    return edit.cost


def _overlap(a: Place, b: Place) -> bool:
    return a[0] < b[1] and b[0] < a[1]


def _apart(choices: Choices) -> Choices:
    """Of choices that overlap, the one that clears its margin furthest."""
    kept: Choices = {}
    for place, edit in sorted(choices.items(), key=lambda one: one[1].excess, reverse=True):
        if not any(_overlap(place, other) for other in kept):
            kept[place] = edit
    return kept


def _set(choices: Choices, place: Place, edit: Edit | None) -> Choices:
    """The choices with one place changed; a new edit replaces those it overlaps."""
    if edit is None:
        return {where: choice for where, choice in choices.items() if where != place}
    others = {where: choice for where, choice in choices.items() if not _overlap(where, place)}
    return {**others, place: edit}
