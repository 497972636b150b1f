"""How far the agents may go: budgets and thresholds, each with its reason, in one frozen model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["none", "pdc", "sms", "imc"]
"""`none`: the bare model; `pdc`: the image is calibrated; `sms`: the question is refined; `imc`:
both."""

Review = Literal["never", "on_change", "always"]


class Margins(BaseModel):
    """Gain, in nats, that an edit must reach; by the class of the word it would change.

    Chosen on SLAKE validation questions for a false-edit rate of at most 1 % on clean ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out_of_lexicon: float = Field(default=6.0, ge=0)
    """A word no lexicon holds is itself evidence of an error, so the model must add the least."""
    rare: float = Field(default=6.0, ge=0)
    """A word of the lexicon that questions seldom use may be right."""
    common: float = Field(default=10.0, ge=0)
    """A common word is almost always meant; changing it changes the question."""
    sentence: float = Field(default=0.2, ge=0)
    """Nats per character by which a sentence must be less likely than the one that asks; .2
    removed the right sentence in .95 to .98 of trials on the embedded model's predecessor."""


class Policy(BaseModel):
    """What one run may do. Frozen: a run cannot change its own limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = "imc"
    review: Review = "never"
    """When a person is shown what would change, before the answer."""
    seed: int = 0
    """Recorded with the answer; decoding is greedy, so the same request gives the same bytes."""

    max_rounds: int = Field(default=3, ge=1, le=10)
    """Candidates the verifier may judge before the original question is used."""
    max_alternatives: int = Field(default=24, ge=1)
    """Texts scored in one batched pass: about 0.1 s for the embedded model on two cores."""
    max_passes: int = Field(default=3, ge=1)
    """Scoring passes of the corrector in one round: several errors need the repaired neighbours
    to be judged."""
    max_refined_characters: int = Field(default=600, ge=1)
    """Longer questions pass untouched: they are reports, not questions."""
    max_answer_tokens: int = Field(default=64, ge=1)
    """New tokens of an answer."""

    margins: Margins = Margins()
    ambiguity: float = Field(default=1.0, ge=0)
    """Nats by which the best word for a place must lead the second best: a tie is a guess."""
    suspicion_slack: float = Field(default=0.0, ge=0)
    """How far under its margin an alternative may stay and still call the detector: errors near
    one another hide each other's gain."""
    max_edited_share: float = Field(default=0.6, gt=0, le=1)
    """Share of the kept words that may be changed: past it, it is another question."""
    vote_weight: float = Field(default=0.5, ge=0)
    """Nats that one unit of log-odds of the model's own "same question?" is worth. A small model's
    yes is weak evidence: it is one vote, capped by `vote_cap`, never a veto."""
    vote_cap: float = Field(default=4.0, ge=0)
    """Log-odds beyond which the vote counts no more."""

    @property
    def calibrates(self) -> bool:
        """The image's features may be changed."""
        return self.method in ("pdc", "imc")

    @property
    def refines(self) -> bool:
        """The question may be changed."""
        return self.method in ("sms", "imc")
