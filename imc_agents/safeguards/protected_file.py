"""The file of protected words: its schema, and reading it with the line of the first fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from imc_agents.errors import ProtectedWordsRefused
from imc_agents.language.normal_form import composed

MAX_BYTES = 1_000_000
"""A hospital's words fill some kilobytes; a larger file is another one, given by mistake."""
MAX_DEPTH = 16
"""The documented form has five levels."""
EXAMPLE = "examples/protected_words.yaml"
"""The documented example."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C where PyYAML has it: ten times as fast."""


class Category(BaseModel):
    """One kind of protected word, as written in the YAML file; that file explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repairable: bool = False
    context: bool = False
    incidental: list[str] = []
    words: dict[str, list[str]] = {}
    prefixes: list[str] = []
    suffixes: list[str] = []
    shortest: int = 3
    exceptions: list[str] = []
    after_number: list[str] = []
    patterns: list[str] = []

    @field_validator("words", mode="before")
    @classmethod
    def _list_is_its_own_spellings(cls, words: Any) -> Any:
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return {word: [word] for word in words}
        return words

    @field_validator("patterns")
    @classmethod
    def _one_group_each(cls, patterns: list[str]) -> list[str]:
        return check_patterns(patterns)

    def merged(self, other: Category) -> Category:
        """Both together; a category stays repairable only if both say so."""
        words = {normal: list(spellings) for normal, spellings in self.words.items()}
        for normal, spellings in other.words.items():
            words[normal] = [*words.get(normal, []), *spellings]
        return Category(
            repairable=self.repairable and other.repairable,
            context=self.context or other.context,
            incidental=[*self.incidental, *other.incidental],
            words=words,
            prefixes=[*self.prefixes, *other.prefixes],
            suffixes=[*self.suffixes, *other.suffixes],
            shortest=min(self.shortest, other.shortest),
            exceptions=[*self.exceptions, *other.exceptions],
            after_number=[*self.after_number, *other.after_number],
            patterns=[*self.patterns, *other.patterns],
        )


class ContextWords(BaseModel):
    """Words whose sentence is never cut although they are not protected themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: list[str] = []
    suffixes: list[str] = []
    patterns: list[str] = []

    @field_validator("patterns")
    @classmethod
    def _one_group_each(cls, patterns: list[str]) -> list[str]:
        return check_patterns(patterns)

    def merged(self, other: ContextWords) -> ContextWords:
        """Both together."""
        return ContextWords(
            words=[*self.words, *other.words],
            suffixes=[*self.suffixes, *other.suffixes],
            patterns=[*self.patterns, *other.patterns],
        )


class ProtectedFile(BaseModel):
    """All that one file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    categories: dict[str, Category] = {}
    context: ContextWords = ContextWords()

    def merged(self, other: ProtectedFile) -> ProtectedFile:
        """Both together: nothing that one of them protects is lost."""
        categories = dict(self.categories)
        for name, category in other.categories.items():
            known = categories.get(name)
            categories[name] = category if known is None else known.merged(category)
        return ProtectedFile(categories=categories, context=self.context.merged(other.context))


def check_patterns(patterns: list[str]) -> list[str]:
    """The patterns, if each is a regular expression of one group.

    Raises:
        ValueError: one of them is not.
    """
    for pattern in patterns:
        try:
            groups = re.compile(pattern.replace("{units}", "mm")).groups
        except re.error as fault:
            raise ValueError(f"bad pattern: {fault}") from None
        if groups != 1:
            raise ValueError(f"pattern {pattern!r} needs exactly one group")
    return patterns


def read_shipped(text: str) -> ProtectedFile:
    """The shipped file, which is of the documented form."""
    return ProtectedFile.model_validate(yaml.load(text, _LOADER))


def read_protected_file(path: Path) -> ProtectedFile:
    """A hospital's own file.

    Raises:
        ProtectedWordsRefused: one line naming the file, the line of the first fault, and the fault.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProtectedWordsRefused(
                f"protected words {path.name}: over {MAX_BYTES} bytes; see {EXAMPLE}"
            )
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise ProtectedWordsRefused(
            f"protected words {path.name}: cannot be read as UTF-8 text; see {EXAMPLE}"
        ) from None
    return parse_protected_file(text, path.name)


def parse_protected_file(text: str, name: str) -> ProtectedFile:
    """The content of a file; see `read_protected_file`."""

    def refused(line: int, why: str) -> ProtectedWordsRefused:
        return ProtectedWordsRefused(f"protected words {name}, line {line}: {why}; see {EXAMPLE}")

    text = composed(text)[0]
    try:
        for line, depth in _depths(text):
            if depth > MAX_DEPTH:
                raise refused(line, f"nested deeper than {MAX_DEPTH} levels")
        root = yaml.compose(text, _LOADER)
        if root is None:
            raise refused(1, "the file is empty")
        for key in _repeated_keys(root):
            raise refused(key.start_mark.line + 1, f"{key.value!r} is there twice")
        content = yaml.load(text, _LOADER)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        last = max(1, len(text.splitlines()))  # what is not closed is missed behind the end
        raise refused(min(mark.line + 1, last) if mark else 1, "not valid YAML") from None
    try:
        return ProtectedFile.model_validate(content)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part != "[key]") or "the file"
        why = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            why = "there is no such field"
        raise refused(_line_of(root, first["loc"]), f"{where}: {why}") from None


def _depths(text: str) -> Iterator[tuple[int, int]]:
    """The line of each beginning of a list or mapping, and how deep it is: composing a file of any
    depth would end the process."""
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            yield event.start_mark.line + 1 if event.start_mark else 1, depth
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _repeated_keys(node: yaml.Node) -> Iterator[yaml.Node]:
    """Keys that a mapping has twice: YAML would keep the last and lose the words of the first."""
    waiting, seen = [node], set()
    while waiting:
        here = waiting.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in here.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in keys:
                        yield key
                    keys.add(key.value)
                waiting.append(value)
        elif isinstance(here, yaml.SequenceNode):
            waiting += here.value


def _line_of(root: yaml.Node, place: tuple[int | str, ...]) -> int:
    """The line of a fault's place, or of the nearest that the file has around it."""
    node = root
    line = root.start_mark.line
    for part in place:
        following = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, following = key.start_mark.line, value
        elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
            following = node.value[int(part)]
            line = following.start_mark.line
        if following is None:
            break
        node = following
    return int(line) + 1
