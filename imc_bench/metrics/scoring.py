"""Three ways to score an answer: `strict`, `llavamed_compat`, `lmms_eval`.

`strict` is this project's own and its default. The other two reproduce published evaluations,
quirks and all, so that a number can be set beside the literature; they are not recommendations.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from imc_bench.errors import ScoreRefused
from imc_data.items import VQAItem
from imc_data.strict_match import is_right, normalise_answer

Rule = Literal["strict", "llavamed_compat", "lmms_eval"]
RULES: tuple[Rule, ...] = get_args(Rule)


@dataclass(frozen=True)
class Score:
    """What one rule makes of one answer; all floats are 0 to 1."""

    correct: bool
    value: float
    """What the rule averages: 1 or 0 for right or wrong, token recall where the rule says so."""
    recall: float
    precision: float
    f1: float
    counted: bool = True
    """False where the rule leaves the answer out of its denominator (`llavamed_compat` only)."""
    exact: float = 0.0
    """What the rule itself calls exact match; in `llavamed_compat` that is token precision."""


def score(rule: Rule, predicted: str, item: VQAItem) -> Score:
    """Score `predicted` as the answer to `item`.

    Raises:
        ScoreRefused: `rule` is none of `RULES`.
    """
    return score_answer(rule, predicted, item.answer, item.closed)


def score_answer(rule: Rule, predicted: str, expected: str, closed: bool) -> Score:
    """Score `predicted` where `expected` is the answer to a closed or an open question.

    Raises:
        ScoreRefused: `rule` is none of `RULES`.
    """
    scorer = _SCORERS.get(rule)
    if scorer is None:
        raise ScoreRefused(f"unknown scoring rule {rule!r}; choose from {', '.join(RULES)}")
    return scorer(predicted, expected, closed)


def strict(predicted: str, expected: str, closed: bool) -> Score:
    """The same words, numbers and signs; every answer stays in the denominator.

    Case, articles and the punctuation of a sentence are dropped, signs, sides of a comparison,
    decimals and the like are kept (`imc_data.strict_match`). Closed yes/no: exactly one of the two
    is in the answer, at word boundaries, and is the right one. All others: the whole answer
    matches. Recall, precision and F1 count tokens as multisets.
    """
    correct = is_right(predicted, expected, closed=closed)
    given, truth = normalise_answer(predicted), normalise_answer(expected)
    precision, recall, f1 = _overlap(Counter(given.split()), Counter(truth.split()))
    return Score(correct, float(correct), recall, precision, f1, exact=float(given == truth))


def lmms_eval(predicted: str, expected: str, closed: bool) -> Score:
    """SLAKE in lmms-eval: the same rule for open and closed, exact match of normalised answers.

    Normalised: lower-case, round brackets dropped with what they hold, punctuation turned into
    blanks; then an answer that as a whole is a word for yes or no (`yeah`, `true`, `false`...)
    becomes it, and `x ray` becomes `xray`. Articles stay. Token measures are ours, on the same
    normalised text.
    """
    given, truth = lmms_normalise(predicted), lmms_normalise(expected)
    correct = given == truth
    precision, recall, f1 = _overlap(Counter(given.split()), Counter(truth.split()))
    return Score(correct, float(correct), recall, precision, f1, exact=float(correct))


_BRACKETS = re.compile(r"\([^)]*\)|（[^）]*）")
_WIDE_PUNCTUATION = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～、《》【】"
_TO_BLANK = str.maketrans(dict.fromkeys(string.punctuation + _WIDE_PUNCTUATION, " "))
_YES = frozenset("yes yeah yep true 是 是的 有 包含 可以 能 会 正常".split())
_NO = frozenset("no nope false 否 不是 没有 无 不包含 不能 不会 不可以 不正常 异常".split())


def lmms_normalise(answer: str) -> str:
    """An answer as lmms-eval compares it on SLAKE."""
    bare = _BRACKETS.sub(" ", answer.strip().lower()).translate(_TO_BLANK)
    text = " ".join(bare.split())
    if text in ("x ray", "xray"):
        return "xray"
    if text in _YES:
        return "yes"
    return "no" if text in _NO else text


def llavamed_compat(predicted: str, expected: str, closed: bool) -> Score:
    """LLaVA-Med's published evaluation (`llava/eval/run_eval.py`), with its quirks:

    - closed: yes and no are searched as substrings, so `normal` and `unknown` hold a "no";
    - closed: with either found, the answer counts as right when it holds the expected answer
      anywhere (`abnormal` is right for `no`, an answer with both is right for both), and when it
      does not, it is left out of the denominator: a wrong yes/no costs nothing (`counted` False);
    - closed: only an answer with neither is counted as wrong, also where yes/no was not asked for;
    - open: the figure its tables report is token recall (`value`), here as there with words counted
      as often as the *prediction* repeats them;
    - open: "exact match" (`exact`) is the number of different expected words found, over the
      number of predicted words: token precision;
    - normalisation turns number words into digits (`none` into 0) and treats a punctuation mark
      differently when one of its kind is beside a blank anywhere in the answer.

    Not reproduced: the "open accuracy" against a file of candidate answers, BLEU, and a handful of
    double contractions (`couldn't've`) in its glossary. `correct` for open answers is full recall.
    """
    given, truth = llavamed_normalise(predicted.lower()), llavamed_normalise(expected.lower())
    # open answers are normalised a second time there, inside each measure
    words = Counter(llavamed_normalise(given).split())
    wanted = Counter(llavamed_normalise(truth).split())
    precision, recall, f1 = _llavamed_overlap(words, wanted)
    exact = len(words.keys() & wanted.keys()) / words.total() if words else 0.0
    if not closed:
        return Score(recall == 1.0, recall, recall, precision, f1, exact=exact)
    found = "yes" in given or "no" in given
    correct = found and truth in given
    counted = correct or not found
    return Score(correct, float(correct), recall, precision, f1, counted, exact)


_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA = re.compile(r"\d,\d")
_STOP = re.compile(r"\.(?!\d)")
_STOPS_REMOVED = 32
"""The published code passes a flag where a count belongs: so many full stops go, no more."""
_NUMBER_WORDS = {"none": "0"} | {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
}
_ARTICLES = ("a", "an", "the")
_CONTRACTED = {
    # ending: the stems that the VQA glossary knows with it, written without their apostrophe
    "n't": "ai are ca could did does do had has have is might must need sha should was were wo "
    "would",
    "'ve": "could might must not should they we what where who would you",
    "'ll": "how it somebody someone something they what who why you",
    "'re": "there they what why you",
    "'d": "he how it someone there they where who you",
    "'s": "he how somebody someone that there what when where who why",
}
_CONTRACTIONS = {
    stem + ending.replace("'", ""): stem + ending
    for ending, stems in _CONTRACTED.items()
    for stem in stems.split()
} | {"oclock": "o'clock", "maam": "ma'am", "twas": "'twas", "yall": "y'all"}


def llavamed_normalise(answer: str) -> str:
    """An answer as LLaVA-Med compares it: marks, stops, number words, articles, contractions."""
    joined = _DIGIT_COMMA.search(answer) is not None
    text = answer
    for mark in _MARKS:
        beside_blank = f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if joined or beside_blank else " ")
    text = _STOP.sub("", text, count=_STOPS_REMOVED)
    words = (_NUMBER_WORDS.get(word, word) for word in text.lower().split())
    kept = (_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
    return " ".join(kept)


def _overlap(given: Counter[str], truth: Counter[str]) -> tuple[float, float, float]:
    """Precision, recall and F1 over multisets of tokens; all 1 when both are empty."""
    if not given or not truth:
        return (float(given == truth),) * 3
    common = (given & truth).total()
    return (
        common / given.total(),
        common / truth.total(),
        2 * common / (given.total() + truth.total()),
    )


def _llavamed_overlap(given: Counter[str], truth: Counter[str]) -> tuple[float, float, float]:
    """The same as LLaVA-Med counts: hits as often as predicted, misses as often as expected."""
    hit = sum(count for word, count in given.items() if word in truth)
    if hit == 0:
        return 0.0, 0.0, 0.0
    precision = hit / given.total()
    recall = hit / (hit + sum(count for word, count in truth.items() if word not in given))
    return precision, recall, 2 * precision * recall / (precision + recall)


_SCORERS: dict[str, Callable[[str, str, bool], Score]] = {
    "strict": strict,
    "llavamed_compat": llavamed_compat,
    "lmms_eval": lmms_eval,
}
