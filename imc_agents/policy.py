"""How far the agents may go: budgets and thresholds, each with its reason, in one frozen model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["none", "pdc", "sms", "imc"]
"""`none`: the bare model; `pdc`: the image is calibrated; `sms`: the question is refined; `imc`:
both."""

Review = Literal["never", "on_change", "always"]


class Margins(BaseModel):
    """Evidence, in nats, that an edit must reach; by the class of the word it would change.

    These are floors: `imc_agents.margin_calibration` raises them for a model on clean questions,
    never lowers them. A field is a class; what is added here is calibrated too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out_of_lexicon: float = Field(default=6.0, ge=0)
    """A word no lexicon holds is itself evidence of an error, so the model must add the least: no
    such word of the clean questions had an alternative that gained 3 nats."""
    obscure: float = Field(default=9.0, ge=0)
    """A word that large dictionaries hold and hardly anybody writes ("maim", "ard"), or that sounds
    like one that questions are made of while it is none of those itself."""
    homophone: float = Field(default=7.5, ge=0)
    """A word that people write and that sounds like one of the clinic's ("plural" for "pleural"):
    chance makes such pairs too ("while" for "will", "wise" for "his")."""
    lost: float = Field(default=9.0, ge=0)
    """A word put in where a question lost the one it asks with: a guess, of something that nobody
    wrote (`imc_agents.corrections.lost_words`)."""
    sentence: float = Field(default=0.2, ge=0)
    """Nats per character by which a sentence must be less likely than the one that asks;
    the distractor rows of `benchmarks/sms.py noisy` print what it restores."""


WordClass = Literal["out_of_lexicon", "obscure", "rare", "common"]
"""How well a word is known: to nobody, to large dictionaries only, to the lexicon, or to those who
ask such questions."""


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
    """Texts scored in one batched pass: about 0.1 s for the embedded model on two cores. What a
    question that does not ask may have lost comes besides, some twenty at most."""
    max_passes: int = Field(default=2, ge=1)
    """Scoring passes of the corrector's first round: several errors need the repaired neighbours
    to be judged. As many again read the words between repaired ones once more. Later rounds have
    one."""
    max_calls: int = Field(default=8, ge=1)
    """Passes through the model for one question, all agents together: what would need another ends
    in the original question. Two more may be spent where a model that can only be asked has to
    reply twice."""
    max_refined_characters: int = Field(default=600, ge=1)
    """Longer questions pass untouched: they are reports, not questions."""
    max_answer_tokens: int = Field(default=64, ge=1)
    """New tokens of an answer."""

    margins: Margins = Margins()
    new_word: float = Field(default=18.0, ge=0)
    """Surprisal, in nats, at which a written word is taken to be new rather than misspelt: no gain
    counts for more than it would over a word of this surprisal; see
    `imc_agents.corrections.edit_log_odds`."""
    knows_words: bool = False
    """The model knows the words that people write, as a pretrained one does: where such a word was
    written, nothing speaks against an edit but what the model gives that word. A small model knows
    its own field's alone, and any other may be new to it. Found by
    `imc_agents.margin_calibration`."""
    near_miss: float = Field(default=3.0, ge=0)
    """Nats that speak besides for a slip that made an unknown word of one of the clinic's, and for
    a word that dictation is known to write for another."""
    detection_slack: float = Field(default=6.0, ge=0)
    """Nats that the coordinator's evidence may lack: it reads a word among unrepaired neighbours,
    the verifier among repaired ones."""
    ambiguity: float = Field(default=1.0, ge=0)
    """Nats by which the best word for a place must lead the second best, in gain or in the cost of
    its slip: a tie in both is a guess."""
    guess_lead: float = Field(default=2.0, ge=0)
    """Nats by which what a question is guessed to ask for must lead all else it might ask for."""
    suspicion_slack: float = Field(default=0.0, ge=0)
    """How far under its margin an alternative may stay and still call the detector: errors near
    one another hide each other's gain."""
    max_edited_share: float = Field(default=0.6, gt=0, le=1)
    """Share of the kept words that may be changed: past it, it is another question. A non-word that
    one slip explains counts half where every word is known afterwards."""
    vote_weight: float = Field(default=0.5, ge=0)
    """Nats that one unit of log-odds of the model's own "same question?" is worth, where its scores
    do not show their tokens. A small model's yes is weak evidence (the embedded one gave .09 to .98
    to repairs that were right): it is one term of the sum, capped by
    `vote_cap`, and never decides alone."""
    vote_cap: float = Field(default=4.0, ge=0)
    """Log-odds beyond which the vote does not grow."""

    trust_clean: bool = True
    """A reply to whether a question is clean counts. `imc_agents.judgements` measures a model's."""
    trust_same: bool = True
    """A reply to whether two questions ask the same counts: the vote above, and the verdict of a
    model that can only be asked. Without both such a model leaves questions alone."""

    def margin(self, known: WordClass, *, homophone: bool) -> float | None:
        """Nats that an edit of a word must gain; None: no gain is enough.

        A word that people write is never respelled, only taken for a homophone: to a small model
        every word that it has not met is unlikely, and "detected" -> "depicted" would gain 15 nats,
        more than most true repairs of such words do.

        Args:
            known: how well the word is known.
            homophone: it sounds like the word put in.
        """
        if known == "out_of_lexicon":
            return self.margins.out_of_lexicon
        if homophone:
            return self.margins.homophone
        return self.margins.obscure if known == "obscure" else None

    @property
    def calibrates(self) -> bool:
        """The image's features may be changed."""
        return self.method in ("pdc", "imc")

    @property
    def refines(self) -> bool:
        """The question may be changed."""
        return self.method in ("sms", "imc")
