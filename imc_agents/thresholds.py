"""The thresholds of one model's questions: measured once, kept beside its model half of PDC."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from imc_agents.errors import MarginsRefused
from imc_agents.policy import Margins, Policy
from imc_core.files import replace_file

SUFFIX = ".questions.json"
"""What a model half's name ends in instead of `.safetensors`: `my-half.questions.json`."""

FORMER_NAMES = {"dictated": "homophone"}
"""Classes of edits by the names that older files give them."""

SAMPLED = 64
"""Weights of each tensor that the fingerprint reads."""


class JudgementTest(BaseModel):
    """How well the model's replies separate what is from what is not, on known questions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    auc: float = Field(ge=0, le=1)
    """Chance that a right case is agreed to more than a wrong one; .5: the words say nothing."""
    p_value: float = Field(ge=0, le=1)
    """Of the test that it is chance, one-sided."""
    questions: int = Field(ge=0)
    """Questions asked, each in a right and a wrong form."""
    used: bool
    """Better than chance: what the model replies counts."""


class AskedJudgements(BaseModel):
    """What `imc_agents.judgements` found of a model that is asked; None: not measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clean: JudgementTest | None = None
    """"Is this question clean?", on clean and misspelt ones."""
    same: JudgementTest | None = None
    """"Do both ask the same?", on pairs that do and pairs that differ in one protected word."""

    def applied(self, policy: Policy) -> Policy:
        """The policy without the judgements that are no better than chance."""
        failed = {
            f"trust_{name}": False
            for name, test in (("clean", self.clean), ("same", self.same))
            if test is not None and not test.used and f"trust_{name}" not in policy.model_fields_set
        }
        return policy.model_copy(update=failed)


class QuestionThresholds(BaseModel):
    """What `imc_agents.margin_calibration` found for one model. Numbers only: no text of a
    question."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fingerprint: str
    """Of the model that was measured."""
    margins: Margins
    """Evidence, in nats, that an edit of each class must reach."""
    new_word: float = Field(ge=0)
    """Surprisal of a new word, in nats, that the margins were measured with."""
    knows_words: bool = False
    """The share holds as well where the model is taken to know the words that people write."""
    calibrated: bool
    """The share holds with the confidence; false: too few questions, or it was out of reach."""
    questions: int = Field(ge=0)
    """Distinct clean questions read."""
    edited: int = Field(ge=0)
    """Those of them in which some edit clears its margin."""
    share: float = Field(gt=0, lt=1)
    """Of clean questions that may be edited."""
    confidence: float = Field(gt=0, lt=1)
    upper: float = Field(ge=0, le=1)
    """Clopper-Pearson bound on the share edited, at that confidence."""
    shown: dict[str, int] = {}
    """Questions in which an edit of each class was to be weighed at all."""
    judgements: AskedJudgements | None = None
    """Whether the model's replies say anything where it is asked; None: not measured."""
    over_floors: tuple[int, ...] = Field(default=(), exclude=True)
    """Places, from 0, of the questions in which an edit clears the least margins: misspelt ones, or
    words that the lexicon lacks. They raise the margins; for who measures, and not saved."""

    @model_validator(mode="before")
    @classmethod
    def _read_former_names(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        renamed = dict(content)
        for key in ("margins", "shown"):
            classes = content.get(key)
            if isinstance(classes, dict):
                renamed[key] = {FORMER_NAMES.get(str(k), k): v for k, v in classes.items()}
        return renamed

    def applied(self, policy: Policy) -> Policy:
        """The policy with these margins, and without judgements that say nothing; what its maker
        set stays as it is."""
        given = policy.model_fields_set
        changes = {
            name: value
            for name, value in (
                ("margins", self.margins),
                ("new_word", self.new_word),
                ("knows_words", self.knows_words),
            )
            if name not in given
        }
        changed = policy.model_copy(update=changes)
        return changed if self.judgements is None else self.judgements.applied(changed)

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        replace_file(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def load(cls, path: Path, *, fingerprint: str | None) -> QuestionThresholds:
        """Read them.

        Args:
            path: the JSON file.
            fingerprint: of the model they are for; None: any model's.

        Raises:
            MarginsRefused: unreadable, not of this form, or another model's.
        """
        remedy = "measure them again with `imc prototypes questions`"
        try:
            found = cls.model_validate_json(path.read_bytes())
        except OSError:
            raise MarginsRefused(f"thresholds {path.name}: cannot be read; {remedy}") from None
        except ValidationError as fault:
            where = ".".join(str(part) for part in fault.errors()[0]["loc"]) or "it"
            raise MarginsRefused(
                f"thresholds {path.name}: {where} is not as it was written; {remedy}"
            ) from None
        if fingerprint is not None and found.fingerprint != fingerprint:
            raise MarginsRefused(
                f"thresholds {path.name}: they were measured on another model; {remedy}"
            )
        return found


def beside(bank: Path) -> Path:
    """Where the thresholds of a bank's model are kept."""
    if bank.name == "prototypes.safetensors":  # a model folder's own bank
        return bank.with_name("questions.json")
    return bank.with_name(bank.name.removesuffix(".safetensors") + SUFFIX)


def language_fingerprint(model: Any) -> str:
    """Digest of how a model judges text: its text configuration and a sample of all its weights.

    A model half knows its model by the vision side alone, which models of one tower share;
    thresholds belong to the language side. Weights are sampled in bfloat16, so that a float32 and a
    bfloat16 copy agree.
    """
    config = model.config.get_text_config()
    shape = (config.model_type, config.vocab_size, config.hidden_size, config.num_hidden_layers)
    digest = hashlib.sha256(repr(shape).encode())
    for name, parameter in sorted(model.named_parameters()):
        flat = parameter.detach().flatten()
        step = max(1, flat.numel() // SAMPLED)
        sample = flat[::step][:SAMPLED].bfloat16().float().cpu().numpy()
        digest.update(name.encode())
        digest.update(sample.tobytes())
    return digest.hexdigest()[:32]
