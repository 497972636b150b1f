"""Strict matching of short answers: the same words, numbers and signs, or wrong.

Case, layout and the punctuation of a sentence say nothing and are dropped; everything else may be
the finding itself and is kept: signs (ER-, -5), sides of a comparison (> 5 cm), stars and primes
(T2*, e'), decimals, ranges, percentages, arrows. Where a character can be read in both ways, the
reading that calls fewer answers right is taken. An empty answer is never right.
"""

from __future__ import annotations

import re
import unicodedata

_ALIKE = {"+/-": "±", "+-": "±", ">=": "≥", "<=": "≤", "!=": "≠", "<>": "≠", "′′": "″"}
_DASHES = dict.fromkeys(map(ord, "‐‑‒–−﹣"), "-")
_EM_DASHES = dict.fromkeys(map(ord, "—―"), " ")
_QUOTES = dict.fromkeys(map(ord, "‘’‛`´"), "'") | dict.fromkeys(map(ord, "“”„«»"), '"')
_STARS = dict.fromkeys(map(ord, "∗⁎★☆⋆"), "*")
_MICRO = {ord("μ"): "µ"}
_ONE_FORM = _DASHES | _EM_DASHES | _QUOTES | _STARS | _MICRO

_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,3}|_{1,3})(?=\S)(.+?)(?<=\S)\1(?![\w*])")
"""Markdown: the stars or underscores around words, not those of T2* or HLA-B*27."""
_BULLET = re.compile(r"^\s*[-*•]\s+(?=[^\W\d])")
_QUOTED = re.compile(r"""(?<!\w)(["'])(?=\S)([^"']*?)(?<=\S)\1(?!\w)""")
_PRIME = re.compile(r"(?<=\d)['\"]|(?<=\b[a-z])'(?![a-z])", re.IGNORECASE)
"""Left after quotations are opened: minutes and inches, or a single letter's prime (e')."""

_BEFORE_ARTICLE = (
    "to is are was were be been being of in on at by for from with without as into than that this "
    "shows show showing has have had there"
)
_NOT_AFTER_ARTICLE = (
    f"{_BEFORE_ARTICLE} and or nor but vs versus it not no yes "
    "fib flutter line lines wave waves band bands streptococcus strep"
)
"""No noun, or what a letter A before it names: A fib, A lines, A streptococcus."""
_THE = re.compile(r"(?<![\w'/-])(?:the|an)\s+(?=[^\W_]{2}|[-<>≤≥±~+]*\d)", flags=re.IGNORECASE)
_NOUN = (
    rf"(?!(?i:{'|'.join(_NOT_AFTER_ARTICLE.split())})\b)"
    r"(?=[^\W\d_]{2}|\d[\d.,]*\s+[^\W\d_])"
)
_A_FIRST = re.compile(rf"(^\W*|[.,;:!?]\s+)[aA]\s+{_NOUN}")
_A_WITHIN = re.compile(rf"\b((?i:{'|'.join(_BEFORE_ARTICLE.split())}))\s+a\s+{_NOUN}")
"""An article begins a phrase, or follows such a word in lower case, and a noun follows it:
hepatitis A has none, nor has "type is A positive"."""

_TOKEN = re.compile(
    r"""
    (?<![^\s([{,;:=<>≤≥≠±~])-(?=\.?\d)     # minus: -5, (-5, > -5
    (?:\.?\d+(?:[.,:]\d+)*[^\W_]*)          #   with its number
  | (?<!\w)\.\d+(?:[.,]\d+)*[^\W_]*         # .5
  | [^\W_](?:[^\W_]|[\u0300-\u036f]|[.,:](?<=\d.)(?=\d))*   # words and numbers: 1.5, 1:5, 2,5
  | (?<=\d)-(?=\d) | (?<=\d)\s+-\s+(?=\d)  # a range: 1-5
  | [^\w\s]                                 # any other sign
    """,
    re.VERBOSE,
)
_SIGNED = re.compile(r"[+±]|\w-+(?!\w)|-\s*(?:$|[,;])")
"""A text that has signs: a hyphen between blanks may be one of them (ER - PR +)."""
_NUMBERED = re.compile(r"\d|\b(?:[ivx]{1,4}|[a-z])\b")
"""A number, a Roman one, or a letter: two of these make a range or a fraction, not a compound."""
_PUNCTUATION = frozenset(".,;:!?\"'()[]{}…·•¿¡|\\")
_YES_NO = frozenset({"yes", "no"})
_NEAR = 64
"""Characters around a hyphen in which its words are: no word is longer."""


def answer_tokens(answer: str) -> list[str]:
    """The words, numbers and signs of an answer, in lower case and in one form each.

    A hyphen that joins words is dropped (`x-ray` and `x ray` are the same); one between numbers,
    before a number or after a word is a sign. A leading decimal point gets its zero.
    """
    text = _one_form(answer)
    tokens: list[str] = []
    signed = _SIGNED.search(text) is not None
    for match in _TOKEN.finditer(text):
        token = match.group().strip()
        if token in {"-", "/"} and _joins(text, match.start(), match.end(), spaced_is_sign=signed):
            continue
        if token not in _PUNCTUATION:
            tokens.append(re.sub(r"^(-?)\.", r"\g<1>0.", token))
    return tokens


def normalise_answer(answer: str) -> str:
    """`answer_tokens`, joined by single spaces; two answers match where these are equal."""
    return " ".join(answer_tokens(answer))


def is_right(predicted: str, expected: str, *, closed: bool) -> bool:
    """Whether `predicted` is right.

    Closed questions whose answer is yes or no: exactly one of the two words is in the answer, and
    is the right one. All others: `normalise_answer` of both is equal, and not empty.
    """
    given, wanted = answer_tokens(predicted), answer_tokens(expected)
    if closed and len(wanted) == 1 and wanted[0] in _YES_NO:
        return _YES_NO & set(given) == set(wanted)
    return bool(given) and given == wanted


def _one_form(answer: str) -> str:
    """Lower case, one character for each sign, without emphasis, bullets, quotations, articles."""
    visible = "".join(
        unicodedata.normalize("NFKC", c) if unicodedata.category(c)[0] in "PSZ" else c
        for c in unicodedata.normalize("NFC", answer).translate(_ONE_FORM)
        if unicodedata.category(c) != "Cf"
    )
    text = unicodedata.normalize("NFC", visible.translate(_ONE_FORM))
    for written, sign in _ALIKE.items():
        text = text.replace(written, sign)
    text = _QUOTED.sub(r"\2", _EMPHASIS.sub(r"\2", _BULLET.sub("", text)))
    text = _PRIME.sub(lambda mark: "′" if mark.group() == "'" else "″", text)
    if text.isupper():  # a text in capitals alone has no article in lower case
        text = text.lower()
    text = _A_WITHIN.sub(r"\1 ", _A_FIRST.sub(r"\1", _THE.sub("", text)))
    return unicodedata.normalize("NFC", text.lower())


def _joins(text: str, start: int, end: int, *, spaced_is_sign: bool) -> bool:
    """Whether the hyphen or slash at `start` only joins or parts words."""
    before, after = text[max(0, start - _NEAR) : start], text[end : end + _NEAR]
    left, right = re.search(r"[^\W_]+(\s*)$", before), re.match(r"(\s*)[^\W_]+", after)
    if left is None or right is None:
        return False
    if all(_NUMBERED.search(side.group()) for side in (left, right)):
        return False  # L4-L5, 1/2, I-II, A-C
    spaces = bool(left.group(1)), bool(right.group(1))
    return spaces == (False, False) or (spaces == (True, True) and not spaced_is_sign)
