"""The words of a report: methods and places of noise, counts, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imc_bench.metrics.scoring import Rule
from imc_bench.report.results import RunResults, severity_of

SIDE_WORDS: Mapping[str, str] = {
    "image": "image",
    "text": "question",
    "both": "image and question",
    "stacked": "image (two noises)",
}
"""Where noise was put, as a table and a title name it."""
METHOD_WORDS: Mapping[str, str] = {
    "none": "the model as it is",
    "pdc": "image corrected",
    "pdc-pixels": "picture corrected",
    "pdc-features": "features corrected",
    "sms": "question corrected",
    "imc": "image and question corrected",
    "median": "median filter",
    "wiener": "Wiener filter",
    "tv": "total-variation filter",
    "nlm": "non-local means filter",
    "symspell": "spell checker",
    "rewrite": "one prompt that rewrites",
}
"""The methods of this package in a few words; a method of a plug-in has its name alone."""


RULE_WORDS: Mapping[Rule, str] = {
    "strict": "strict scores",
    "lmms_eval": "scores by lmms-eval's SLAKE rule",
    "llavamed_compat": "scores by LLaVA-Med's rule, closed answers by the share right of those it "
    "counts, open ones by token recall",
}
"""How the answers of a report were scored."""


def method_label(name: str) -> str:
    """`pdc (image corrected)`, for a legend."""
    return f"{name} ({METHOD_WORDS[name]})" if name in METHOD_WORDS else name


def counted(number: int, noun: str) -> str:
    """`1 image`, `1,053 questions`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def data_name(results: RunResults) -> str:
    """The data set and its split, where it has one."""
    return " ".join(part for part in (results.dataset, results.split) if part)


def data_words(results: RunResults) -> str:
    """`slake validate (1,053 questions on 96 images)`."""
    questions, images = len(results.items), len(results.images)
    return f"{data_name(results)} ({counted(questions, 'question')} on {counted(images, 'image')})"


def setting(results: RunResults) -> str:
    """What a picture was measured on: data, model, place of the noise, severities, methods."""
    severities = sorted({severity_of(one) for one in results.conditions} - {0.0})
    parts = [
        f"data: {data_words(results)}",
        f"model: {model_name(results.facts)}",
        f"image noise at {results.noise_at} resolution",
    ]
    if severities:
        parts.append("severities " + ",\u00a0".join(f"{level:g}" for level in severities))
    return " · ".join([*parts, f"methods: {', '.join(results.methods)}"])


def about(results: RunResults) -> str:
    """What a table was measured on, and how."""
    return (
        f"{data_words(results)}; image noise at {results.noise_at} resolution; "
        f"{RULE_WORDS[results.rule]}; 95 % intervals by paired bootstrap clustered by image."
    )


def model_name(facts: Mapping[str, Any]) -> str:
    """The name of the model that answered."""
    return str(facts["model"]["name"])
