"""What the agents know and hand to one another: plain values that survive JSON and msgpack."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imc_core.html import html_rows, html_text

NoiseKind = Literal["typo", "ocr", "homophone", "word_drop", "distractor", "unknown"]
"""The text noises of `imc_noise`, and `unknown` for an edit that none of them explains."""

Agent = Literal["detector", "corrector", "verifier"]


class Plain(BaseModel):
    """A frozen value of plain Python types."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Finding(Plain):
    """A place of the question that is likely corrupted."""

    start: int = Field(ge=0)
    """Offset of its first character in the original question."""
    end: int = Field(ge=0)
    """Offset after its last character."""
    text: str
    """`question[start:end]`."""
    kind: NoiseKind
    """The noise that best explains it."""
    score: float = Field(ge=0, le=1)
    """How sure the detector is, 0 to 1."""


class Edit(Plain):
    """One change: `question[start:end]` becomes `after`."""

    start: int = Field(ge=0)
    end: int = Field(ge=0)
    before: str
    after: str
    kind: NoiseKind
    cost: float = Field(ge=0)
    """-log p(before | after) under the noise channel, in nats."""
    gain: float | None = None
    """log p(edited) - log p(unedited) - cost, in nats; None: it was not scored."""
    margin: float = 0.0
    """The gain this edit must reach, in nats: its span's class decides."""
    guess: bool = False
    """It puts in a word that nobody wrote, not even misspelt."""

    @property
    def excess(self) -> float:
        """How far the gain clears its margin, in nats; negative: it does not, or nobody knows."""
        return -math.inf if self.gain is None else self.gain - self.margin


class TokenScores(Plain):
    """The log-probability of a text token by token, as a scoring pass showed it."""

    spans: tuple[tuple[int, int], ...]
    """First character, and one past the last, of each token."""
    logprobs: tuple[float, ...]
    """Of each token, in nats."""


class Candidate(Plain):
    """A question that might be what was meant, with the edits that lead to it."""

    text: str
    edits: list[Edit]
    """In order of position in the original; empty: the original itself."""
    kind: NoiseKind
    """The kind of its heaviest edit."""
    gain: float
    """Total gain over the original, in nats, edit costs paid."""
    source: Literal["lexicon", "generation", "sentences", "asked", "original"] = "lexicon"
    """Who proposed it."""
    scores: TokenScores | None = None
    """Of its text, where the corrector's passes scored it: nobody needs to score it again."""


class Assessment(Plain):
    """What one scoring pass showed of a question."""

    question: str
    """The question it is about."""
    scored: bool
    """False: the model can only be asked, so no gain is known."""
    suspicious: bool
    """Some alternative gains enough, or the model said that the question is corrupted."""
    logprob: float | None = None
    """log p(question), in nats."""
    alternatives: list[Candidate] = Field(default_factory=list)
    """Single-edit alternatives, best first."""
    reason: str
    """One sentence: why it is, or is not, suspicious."""


class Verdict(Plain):
    """The verifier's decision on one candidate."""

    accepted: bool
    reason: str
    candidate: str
    """The text that was judged."""
    blamed: list[Edit] = Field(default_factory=list)
    """The edits to blame: their places are left alone from now on."""
    agreement: float | None = None
    """The model's probability that both versions ask the same; None: it was not to be had."""


class Decision(Plain):
    """How the question was settled."""

    used: str
    """The question that will be answered."""
    accepted: bool
    """A candidate was accepted. False: the original is used."""
    rounds: int
    """Candidates that the verifier judged."""
    reason: str

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        rows = [
            ("question used", html_text(self.used)),
            ("corrected", "yes" if self.accepted else "no"),
            ("rounds", str(self.rounds)),
            ("reason", html_text(self.reason)),
        ]
        return html_rows("Question", rows)


class TraceStep(Plain):
    """One node's run."""

    node: str
    ms: float
    calls: int = 0
    """Passes through the model (a batched pass counts once)."""
    note: str = ""
    """What went otherwise than usual: a fallback, a failure, a step left out."""
    opens: bool = False
    """The node's first step on a new question."""
    failed: bool = False
    """The node could not do its work; `note` says why."""


class Answer(Plain):
    """The answer to the accepted question."""

    text: str
    confidence: float = Field(ge=0, le=1)
    """Geometric mean of the answer's token probabilities; 0 where nothing was generated."""
    evidence: list[str]
    """What it is based on, one sentence each."""
    failure: str | None = None
    """Why there is no answer; None where there is one."""

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        evidence = "<br>".join(html_text(one) for one in self.evidence)
        rows = [
            ("answer", f"<strong>{html_text(self.text)}</strong>" if self.text else ""),
            ("no answer", html_text(self.failure or "")),
            ("confidence", f"{self.confidence:.2f}" if self.text else ""),
            ("evidence", evidence),
        ]
        return html_rows("Answer", rows)
