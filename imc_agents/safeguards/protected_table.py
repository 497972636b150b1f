"""The protected tables as data: their schema, their merging, and finding their words in text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

SHIPPED = "protected.yaml"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader in C where PyYAML has it: ten times as fast."""


class Category(BaseModel):
    """One kind of protected word, as written in the YAML file; that file explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repairable: bool = False
    words: dict[str, list[str]] = {}
    prefixes: list[str] = []
    suffixes: list[str] = []
    shortest: int = 3
    exceptions: list[str] = []
    after_number: list[str] = []
    patterns: list[str] = []

    def merged(self, other: Category) -> Category:
        """Both together; a category stays repairable only if both say so."""
        words = {normal: list(spellings) for normal, spellings in self.words.items()}
        for normal, spellings in other.words.items():
            words[normal] = [*words.get(normal, []), *spellings]
        return Category(
            repairable=self.repairable and other.repairable,
            words=words,
            prefixes=[*self.prefixes, *other.prefixes],
            suffixes=[*self.suffixes, *other.suffixes],
            shortest=min(self.shortest, other.shortest),
            exceptions=[*self.exceptions, *other.exceptions],
            after_number=[*self.after_number, *other.after_number],
            patterns=[*self.patterns, *other.patterns],
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    categories: dict[str, Category]


@dataclass(frozen=True)
class ProtectedToken:
    """One protected word or symbol of a text."""

    category: str
    normal: str
    """What it means: "2" for both "two" and "2"; for a prefix, the prefix."""
    start: int
    end: int
    whole: tuple[int, int]
    """Span of the whole word; wider than ``start`` to ``end`` for a prefix."""
    is_prefix: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What two tokens must share to be the same."""
        return self.category, self.normal


@dataclass(frozen=True, eq=False)
class Table:
    """Compiled tables; `find` is all that the rest needs. Two are equal if they are the same one,
    so that what was found in them can be remembered."""

    categories: dict[str, Category]
    _rules: tuple[tuple[str, re.Pattern[str], dict[str, str]], ...] = field(repr=False)
    _prefixes: re.Pattern[str] | None = field(repr=False)
    _owners: dict[str, str] = field(repr=False)

    def find(self, text: str) -> list[ProtectedToken]:
        """Tokens in order. Where two overlap the earlier and longer one stands, then the
        category that comes first; the prefix of a word is counted beside the word itself."""
        found: list[ProtectedToken] = []
        for name, pattern, normals in self._rules:
            for match in pattern.finditer(text):
                start, end = match.span(match.lastindex or 0)
                spelling = " ".join(text[start:end].lower().split())
                normal = normals.get(spelling, spelling)
                found.append(ProtectedToken(name, normal, start, end, (start, end)))
        found.sort(key=lambda token: (token.start, -token.end))  # stable: file order breaks ties
        kept: list[ProtectedToken] = []
        for token in found:
            if not kept or token.start >= kept[-1].end:
                kept.append(token)
        kept += self._find_prefixes(text)
        return sorted(kept, key=lambda token: (token.start, token.end, token.category))

    def _find_prefixes(self, text: str) -> Iterator[ProtectedToken]:
        if self._prefixes is None:
            return
        for match in self._prefixes.finditer(text):
            prefix, word = match[1].lower(), match[0].lower()
            category = self.categories[self._owners[prefix]]
            long_enough = len(word) - len(prefix) >= category.shortest
            if long_enough and word not in category.exceptions:
                start, end = match.span(1)
                yield ProtectedToken(
                    self._owners[prefix], prefix, start, end, match.span(), is_prefix=True
                )


def read_table(own: Iterable[Path] = ()) -> Table:
    """The shipped table, a hospital's own files merged in.

    Raises:
        ValueError: one line naming the file and the first fault.
    """
    categories = _parse(files("imc_agents").joinpath("data", SHIPPED).read_text("utf-8"), SHIPPED)
    for path in own:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError):
            raise ValueError(f"protected table {path}: cannot be read as UTF-8 text") from None
        for name, category in _parse(text, str(path)).items():
            known = categories.get(name)
            categories[name] = category if known is None else known.merged(category)
    return _compile(categories)


def _parse(text: str, name: str) -> dict[str, Category]:
    try:
        content: Any = yaml.load(text, _LOADER)
        categories = _File.model_validate(content).categories
        for category in categories.values():
            for pattern in category.patterns:
                if re.compile(pattern.replace("{units}", "mm")).groups != 1:
                    raise ValueError(f"pattern {pattern!r} needs exactly one group")
    except yaml.YAMLError:
        raise ValueError(f"protected table {name}: not valid YAML") from None
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"protected table {name}: {where}: {first['msg']}") from None
    except re.error as fault:
        raise ValueError(f"protected table {name}: bad pattern: {fault}") from None
    except ValueError as fault:
        raise ValueError(f"protected table {name}: {fault}") from None
    return categories


def _compile(categories: dict[str, Category]) -> Table:
    units = sorted(
        {
            unit
            for category in categories.values()
            if category.after_number
            for unit in [*category.after_number, *_spellings(category)]
        },
        key=lambda unit: (-len(unit), unit),
    )
    any_unit = "|".join(re.escape(unit) for unit in units) or "(?!)"
    rules = []
    for name, category in categories.items():
        normals = {
            spelling.lower(): normal
            for normal, spellings in category.words.items()
            for spelling in spellings
        }
        for pattern in _patterns(category, any_unit):
            rules.append((name, re.compile(pattern, re.IGNORECASE), normals))
    owners = {prefix: name for name, category in categories.items() for prefix in category.prefixes}
    starts = "|".join(sorted(map(re.escape, owners), key=lambda prefix: (-len(prefix), prefix)))
    prefixes = re.compile(rf"(?<!\w)({starts})[^\W\d_]+", re.IGNORECASE) if owners else None
    return Table(categories, tuple(rules), prefixes, owners)


def _patterns(category: Category, any_unit: str) -> Iterator[str]:
    """Words, words behind a number, suffixes, then the file's own patterns."""
    # A unit may touch its number ("5cm"); any other word begins where no letter or digit is.
    begin = r"(?<![^\W\d_])" if category.after_number else r"(?<!\w)"
    if category.words:
        yield rf"{begin}({_any_of(_spellings(category))})(?!\w)"
    if category.after_number:
        # Touching a lone 0 or 1 they are misread letters: "1s", "0f".
        number = r"(?:(?<=[2-9])|(?<=\d\d)|(?<=[.,]\d)|(?<=\d\s))"
        yield rf"{number}({_any_of(category.after_number)})(?!\w)"
    if category.suffixes:
        unlike = "".join(rf"(?!{re.escape(word)}(?!\w))" for word in category.exceptions)
        yield (
            rf"(?<!\w){unlike}([^\W\d_]{{{category.shortest},}}"
            rf"(?:{_any_of(category.suffixes)}))(?!\w)"
        )
    for pattern in category.patterns:
        yield pattern.replace("{units}", any_unit)


def _spellings(category: Category) -> list[str]:
    return [spelling for spellings in category.words.values() for spelling in spellings]


def _any_of(words: Iterable[str]) -> str:
    longest_first = sorted(set(words), key=lambda word: (-len(word), word))
    return "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in longest_first)
