"""Read a profile, one YAML file per role, and check it before anything is asked of a model."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from prompts.role import PromptRefused, Role, RolePrompt, places

Profile = Literal["instruct", "reference"]
PROFILES: tuple[str, ...] = get_args(Profile)
ROLES: tuple[str, ...] = get_args(Role)

REQUIRED: dict[str, frozenset[str]] = {
    "answer": frozenset({"question"}),
    "coordinator": frozenset(),  # scored: its prompt asks for a question, it is not shown one
    "detector": frozenset(),
    "corrector": frozenset({"question"}),
    "verifier": frozenset({"original", "candidate"}),
}
"""The data a role's prompt is useless without."""


class PromptSet(BaseModel):
    """The five role prompts of one profile."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: str
    """Name of the profile: a folder of this package, or the name of the reader's own folder."""
    answer: RolePrompt
    """Shown the image and the question; replies with the answer."""
    coordinator: RolePrompt
    """Under it the question is scored: how likely is this model to ask exactly this?"""
    detector: RolePrompt
    """Under it spans and sentences are scored, or noise is asked for."""
    corrector: RolePrompt
    """Shown the question; replies with a corrected one."""
    verifier: RolePrompt
    """Shown original and candidate; chooses whether they ask the same."""


def load_prompts(profile: Profile | str | Path = "instruct") -> PromptSet:
    """The prompts of a profile of ours by name, or of a folder with the same five files.

    Raises PromptRefused, in one line, for an unknown profile, a missing or unreadable file, or a
    template that names data its role is not given.
    """
    if isinstance(profile, str) and profile in PROFILES:
        folder = resources.files("prompts").joinpath(profile)
        texts = {role: folder.joinpath(f"{role}.yaml").read_text("utf-8") for role in ROLES}
        name = profile
    else:
        path = Path(profile)
        if not path.is_dir():
            raise PromptRefused(
                f"prompt profile {str(profile)!r} is not known and is not a folder; "
                f"use one of {', '.join(PROFILES)} or a folder with {', '.join(ROLES)}.yaml"
            )
        texts = {role: _read(path / f"{role}.yaml") for role in ROLES}
        name = path.name
    roles = {role: _parse(role, text, f"{name}/{role}.yaml") for role, text in texts.items()}
    return PromptSet.model_validate({"profile": name, **roles})


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptRefused(
            f"prompt file {path.name} cannot be read ({type(error).__name__}); "
            f"a profile folder holds {', '.join(ROLES)}.yaml in UTF-8"
        ) from error


def _parse(role: str, text: str, where: str) -> RolePrompt:
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PromptRefused(f"{where} is not YAML; check its indentation") from error
    if not isinstance(raw, dict):
        raise PromptRefused(f"{where} must be a YAML mapping with role, purpose and user")
    try:
        prompt = RolePrompt.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise PromptRefused(f"{where}: {field}: {first['msg']}") from error
    if prompt.role != role:
        raise PromptRefused(f"{where} says role {prompt.role!r}; it must say {role!r}")
    missing = REQUIRED[role] - places(prompt.user)
    if missing:
        raise PromptRefused(f"{where}: user does not show {{{min(missing)}}}; put it in")
    if role == "verifier" and len(prompt.options) != 2:
        raise PromptRefused(f"{where}: options must be two replies, the agreeing one first")
    return prompt
