"""The words of a report, each explained once: a page shows them where they are first used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from imc_bench.metrics.bootstrap import LEAST_DROP
from imc_bench.report.shares import LEAST_COUNT, NO_FLIPS, NO_LOSS, NOTHING_ADDED

_POINTS = f"{100 * LEAST_DROP:.0f} points"

GLOSSARY: Mapping[str, str] = {
    "none, pdc, sms, imc": "The methods: the model as it is; with the image corrected "
    "(perturbation-aware denoising calibration); with the question corrected (self-instantiated "
    "multi-agent system); with both.",
    "severity": "Strength of a noise, from 1 (mild) to 5 (strong).",
    "accuracy": "Share of questions answered correctly by the scoring rule of the report.",
    "drop": "Accuracy of the model as it is on clean inputs, less the accuracy of the row.",
    "gain": "Accuracy of the row, less that of the model as it is under the same noise.",
    "interval": "In brackets: 95 % interval by paired bootstrap over images (1,000 draws); of "
    "shares near 0, Wilson's. A difference is claimed only where its interval leaves out 0.",
    "recovered": "Share of the accuracy lost to noise that a method restores: (with the method - "
    "noisy) / (clean - noisy). 100 %: as good as on clean inputs; over 100: more right answers "
    "than on clean inputs, which chance alone can do; under 0: fewer than without the method. "
    f"{NO_LOSS}: noise costs under {_POINTS}, so that there is nothing to divide by; few (n): only "
    f"n answers were lost, under {LEAST_COUNT}; inf: the data do not bound the share.",
    "flips": "Share of answers that differ from the model's own answer to the clean input, right "
    "or wrong: what noise changes even where accuracy stays.",
    "flips removed": "Share of the flips caused by noise that are gone with a method; under 0: it "
    f"causes more than it removes. {NO_FLIPS}: noise changes no answer; few (n): only n answers "
    f"were flipped, under {LEAST_COUNT}.",
    "worst noise": "The kind of noise with the lowest accuracy, mean over its severities.",
    "BE": "Balanced corruption error of MedMNIST-C, here without the balance over classes, which "
    "answers do not have: the error (1 - accuracy) summed over the severities of a kind, divided "
    "by that of the baseline, mean over kinds. Under 1: fewer errors than the baseline.",
    "rBE": "Relative corruption error of MedMNIST-C: the same of the error that noise adds to the "
    "error on clean inputs. 0: noise adds nothing; 1: as much as to the baseline. Where noise "
    "adds under 1 % to the baseline, 1 % is taken. "
    f"{NOTHING_ADDED}: under noise no more errors than on clean inputs.",
    "destroyed, corrected": "Share of answers made wrong, and made right, by the method on the "
    "same inputs; for the model as it is, by the noise.",
    "touched": "Share of clean images that a method changed: each is a false alarm.",
    "false edits": "Share of clean questions that a method changed.",
    "protected violations": "Changes of words that must never change (numbers, sides, negations, "
    "dosing), over all questions.",
    "calls, ms": "Passes through the model and milliseconds for a question, mean.",
    "ECE": "Expected calibration error: mean distance of confidence from accuracy over bins of "
    "confidence, weighted by cases. 0 %: a confidence of 80 % is right 8 times in 10.",
    "CER": "Character error rate: edits from the question to the clean one, a share of its length.",
    "p-value": "For “no noise”: the share of clean references, this image among them, "
    "that are at least as unlike clean as this image. It is not the probability that the image is "
    "clean.",
    "gate": "The decision whether an image is noisy: where its p-value is at or under a threshold. "
    "An image called clean is not changed.",
    "false alarm": "A clean image that is called noisy.",
    "noise at": "Resolution at which noise is put on the image: input, the model's own; native, "
    "that of the file, before it is shrunk.",
    "claimed": "yes: the 95 % interval of the difference leaves out 0.",
}
"""By term, as tables head their columns."""


def explain(terms: Iterable[str]) -> dict[str, str]:
    """The terms that have an explanation, each once, in this order."""
    return {term: GLOSSARY[term] for term in dict.fromkeys(terms)}


def glossary_markdown(terms: Iterable[str] = GLOSSARY) -> str:
    """A list for a Markdown page."""
    return "".join(f"- **{term}**: {meaning}\n" for term, meaning in explain(terms).items())
