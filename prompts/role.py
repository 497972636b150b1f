"""One role's prompt: what is said to the model, with named places for the data it is given."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imc_core.errors import IMCError

Role = Literal["answer", "coordinator", "detector", "corrector", "verifier"]
Message = dict[str, str]

KNOWN_FIELDS: Mapping[str, frozenset[str]] = {
    "answer": frozenset({"question"}),
    "coordinator": frozenset({"question"}),
    "detector": frozenset({"question"}),
    "corrector": frozenset({"question", "findings", "rejection"}),
    "verifier": frozenset({"original", "candidate"}),
}
"""The data each role can be given. A template that names anything else is refused at load."""

_PLACE = re.compile(r"\{([A-Za-z_]+)\}")


class PromptRefused(IMCError):
    """A profile cannot be used: it is missing, incomplete, or names unknown data."""


def places(template: str) -> frozenset[str]:
    """Names of the data a template asks for: every `{name}`; other braces are plain text."""
    return frozenset(_PLACE.findall(template))


def fill(template: str, fields: Mapping[str, str], *, quote: bool = False) -> str:
    """Put the data in its places, in one pass.

    A value is never read as a template, so braces in a question stay braces. With `quote` each
    value is written as a JSON string with its angle brackets escaped: it cannot close the fence
    around it, start a new line of the prompt, or pass for a turn of the chat template.
    """

    def value(place: re.Match[str]) -> str:
        text = fields[place.group(1)]
        if not quote:
            return text
        encoded = json.dumps(text, ensure_ascii=False)
        return encoded.replace("<", "\\u003c").replace(">", "\\u003e")

    return _PLACE.sub(value, template)


class AskPrompt(BaseModel):
    """The same role, put as a question that ends in one JSON object.

    For chat models that cannot score or choose, and for what must be generated anyway.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    system: str | None = None
    """The system turn, or none."""
    user: str = Field(min_length=1)
    """The user turn, with `{name}` places."""
    output: dict[str, object] = Field(alias="schema")
    """JSON schema of the object the model must reply with."""
    quote: bool = True
    """Write the data as JSON strings, so that it cannot leave its fence."""

    @model_validator(mode="after")
    def _schema_describes_an_object(self) -> AskPrompt:
        if self.output.get("type") != "object" or not self.output.get("properties"):
            raise ValueError("ask.schema must describe an object with properties")
        return self

    def messages(self, **fields: str) -> list[Message]:
        """Role/content messages; every value is a plain string of any content."""
        return _messages(self.system, self.user, fields, quote=self.quote)


class RolePrompt(BaseModel):
    """What one role says to the model, under one profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Role
    """Which of the five roles speaks."""
    purpose: str = Field(min_length=1)
    """One line for the reader: what the reply is used for."""
    system: str | None = None
    """The system turn, or none."""
    user: str = Field(min_length=1)
    """The user turn, with `{name}` places."""
    prefix: str | None = Field(default=None, min_length=1)
    """Texts are scored as what follows this text, without a chat template, in place of the turns;
    the coordinator's alone. A few clean questions, one a line and ended by a line break, tell a
    model that was trained to converse what a question looks like."""
    quote: bool = False
    """Write the data as JSON strings, so that it cannot leave its fence."""
    options: tuple[str, ...] = ()
    """The fixed replies among which the model chooses, the agreeing one first."""
    ask: AskPrompt | None = None
    """The same, put as a question that ends in a JSON object."""

    @model_validator(mode="after")
    def _places_are_known(self) -> RolePrompt:
        known = KNOWN_FIELDS[self.role]
        if self.prefix is not None and self.role != "coordinator":
            raise ValueError("a prefix is for the coordinator, under whose prompt texts are scored")
        asked = [self.ask.user, self.ask.system or ""] if self.ask is not None else []
        for template in (self.user, self.system or "", *asked):
            unknown = places(template) - known
            if unknown:
                raise ValueError(
                    f"unknown field {{{min(unknown)}}}; {self.role} is given {sorted(known)}"
                )
        return self

    def messages(self, **fields: str) -> list[Message]:
        """Role/content messages; every value is a plain string of any content.

        Raises PromptRefused when a field the template needs is not given.
        """
        missing = places(self.user + (self.system or "")) - fields.keys()
        if missing:
            raise PromptRefused(
                f"prompt of {self.role}: field {min(missing)!r} is not given; "
                f"call messages({min(missing)}=...)"
            )
        return _messages(self.system, self.user, fields, quote=self.quote)


def _messages(
    system: str | None, user: str, fields: Mapping[str, str], *, quote: bool
) -> list[Message]:
    turns: list[Message] = []
    if system:
        turns.append({"role": "system", "content": fill(system, fields, quote=quote)})
    turns.append({"role": "user", "content": fill(user, fields, quote=quote)})
    return turns
