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
        """The policy with these margins; thresholds that its maker set stay as they are."""
        given = policy.model_fields_set
        changes = {
            name: value
            for name, value in (("margins", self.margins), ("new_word", self.new_word))
            if name not in given
        }
        return policy.model_copy(update=changes)

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
        remedy = "build them again with `imc prototypes build --questions`"
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
