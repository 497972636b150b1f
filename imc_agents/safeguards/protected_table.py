"""The protected tables compiled: finding their words, and what is context, in a text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from imc_agents.language.codes import is_code
from imc_agents.language.normal_form import composed
from imc_agents.language.words import WORD, begins_sentence
from imc_agents.safeguards.protected_file import (
    Category,
    ContextWords,
    ProtectedFile,
    read_protected_file,
    read_shipped,
)

CODE = "code"
"""The category of words of letters and digits."""

SHIPPED = "protected.yaml"

Rule = tuple[str, re.Pattern[str], dict[str, str]]
"""A category, what finds its words, and the normal form of each spelling."""


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

    def moved(self, places: Sequence[int]) -> ProtectedToken:
        """The same token with its spans in another form of the text; see `composed`."""
        start, end = places[self.start], places[self.end]
        whole = places[self.whole[0]], places[self.whole[1]]
        return replace(self, start=start, end=end, whole=whole)

    @property
    def key(self) -> tuple[str, str]:
        """What two tokens must share to be the same."""
        return self.category, self.normal


@dataclass(frozen=True, eq=False)
class ProtectedTable:
    """Compiled tables. Two are equal if they are the same one, so that what was found in them can
    be cached."""

    categories: dict[str, Category]
    _rules: tuple[Rule, ...] = field(repr=False)
    _prefixes: re.Pattern[str] | None = field(repr=False)
    _owners: dict[str, str] = field(repr=False)
    _context: tuple[re.Pattern[str], ...] = field(repr=False)
    own_digest: str = ""
    """SHA-256 of a hospital's own files as read; empty where there are none."""

    def find(self, text: str) -> list[ProtectedToken]:
        """Tokens in order, their spans those of `text`, also where its accents are decomposed.

        Where two overlap the earlier and longer one is kept, then that of the category that comes
        first; the prefix of a word is counted beside the word itself.
        """
        plain, places = composed(text)
        found: list[ProtectedToken] = []
        for name, pattern, normals in self._rules:
            for match in pattern.finditer(plain):
                start, end = match.span(match.lastindex or 0)
                spelling = " ".join(plain[start:end].lower().split())
                normal = normals.get(spelling, spelling)
                found.append(ProtectedToken(name, normal, start, end, (start, end)))
        found.sort(key=lambda token: (token.start, -token.end))  # stable: file order breaks ties
        kept: list[ProtectedToken] = []
        for token in found:
            if not kept or token.start >= kept[-1].end:
                kept.append(token)
        kept += _codes(plain, kept)
        kept += self._find_prefixes(plain)
        kept.sort(key=lambda token: (token.start, token.end, token.category))
        return kept if plain == text else [token.moved(places) for token in kept]

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

    def context_in(self, text: str) -> str | None:
        """What makes a sentence context of a question about an image; None: nothing does.

        Returns:
            The category and the normal form of a protected word, or a context word.
        """
        for token in self.find(text):
            category = self.categories.get(token.category)
            if token.is_prefix or (category is not None and not category.context):
                continue
            if category is None or token.normal not in category.incidental:
                return f"{token.category} {token.normal}"
        plain = composed(text)[0]
        for pattern in self._context:
            match = pattern.search(plain)
            if match is not None:
                return match[1].lower()
        return None


def _codes(text: str, taken: Sequence[ProtectedToken]) -> Iterator[ProtectedToken]:
    """Words of letters and digits that are meant as written, where nothing else was found."""
    for match in WORD.finditer(text):
        start, end = match.span()
        if any(token.start < end and start < token.end for token in taken):
            continue
        if is_code(match[0], begins=begins_sentence(text, start)):
            yield ProtectedToken(CODE, match[0].lower(), start, end, (start, end))


def read_table(own: Iterable[Path] = ()) -> ProtectedTable:
    """The shipped table, a hospital's own files merged in.

    Raises:
        ProtectedWordsRefused: one line naming the file and the first fault.
    """
    shipped = files("imc_agents").joinpath("data", SHIPPED).read_text("utf-8")
    table = read_shipped(shipped)
    digest = hashlib.sha256()
    files_of_own = [read_protected_file(path) for path in own]
    for file in files_of_own:
        table = table.merged(file)
        digest.update(file.model_dump_json().encode())
    return _compile(table, digest.hexdigest() if files_of_own else "")


def _compile(table: ProtectedFile, own_digest: str) -> ProtectedTable:
    categories = table.categories
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
    context = tuple(re.compile(one, re.IGNORECASE) for one in _context_patterns(table.context))
    return ProtectedTable(categories, tuple(rules), prefixes, owners, context, own_digest)


def _context_patterns(context: ContextWords) -> Iterator[str]:
    if context.words:
        yield rf"(?<!\w)({_any_of(context.words)})(?!\w)"
    if context.suffixes:
        yield rf"(?<!\w)([^\W\d_]{{3,}}(?:{_any_of(context.suffixes)}))(?!\w)"
    yield from context.patterns


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
