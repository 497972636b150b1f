"""The encoder's witness: noise from statistics of its tokens at several taps of one whole pass.

One class scorer per tap; Gaussians over the scores of all taps, concatenated, give the posterior.
Class scores of the acquisition half are one more source of the same kind: then the posterior is
that of the joint density over the scores of both. Every posterior has a conformal p-value of its
own, from clean references that the scorers were not fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vision.perceive.noise_density import NoiseClasses, NoiseDensity, NoisePosterior
from vision.perceive.noise_features import ClassScorer, Labels, fit_class_scorer

Floats = NDArray[np.float64]

ENCODER, ACQUISITION, JOINT = "encoder", "acquisition", "joint"
"""Sources of a posterior: the tokens, the acquisition half, and both together."""

_SHRINK = 0.1
"""Weight of the diagonal in the covariance behind the discriminants: with 120 SLAKE references .03,
.1 and .3 named 89, 87 and 85 % of kinds and found 67, 74 and 69 % at 1 % of clean."""

_FOLDS = 4
"""Folds of the references: the scores behind densities and p-values come from fits that did not
use the reference."""


@dataclass(frozen=True)
class EncoderWitness(NoiseClasses):
    """Token statistics by tap -> posterior over {clean, kind x severity, unknown}."""

    scorers: dict[str, ClassScorer] = field(repr=False)
    """By tap, in order of depth."""
    densities: dict[str, NoiseDensity] = field(repr=False)
    """By source: `encoder`, and where it was fitted with them `acquisition` and `joint`."""

    def scores(self, statistics: Mapping[str, Floats]) -> Floats:
        """(n, taps * classes) class scores from statistics (n, s) of every tap.

        Raises KeyError where a tap is missing.
        """
        return np.concatenate([self.scorers[tap](statistics[tap]) for tap in self.scorers], axis=1)

    def predict(
        self, statistics: Mapping[str, Floats] | None, acquisition: Floats | None = None
    ) -> list[NoisePosterior]:
        """Posteriors of n images, from whatever is given of both sources.

        Args:
            statistics: (n, s) by tap; None: the encoder has not run.
            acquisition: (n, classes) class scores of the acquisition half; None: tokens alone.

        Raises ValueError where both are None, or the witness was fitted without acquisition scores.
        """
        scores: dict[str, Floats] = {}
        if statistics is not None:
            scores[ENCODER] = self.scores(statistics)
        if acquisition is not None:
            scores[ACQUISITION] = acquisition
        if not scores or not scores.keys() <= self.densities.keys():
            raise ValueError("the encoder's witness has no density of these scores")
        alone = {name: self.densities[name].posterior(values) for name, values in scores.items()}
        decisive = JOINT if len(scores) > 1 else next(iter(scores))
        joined = np.concatenate(list(scores.values()), axis=1)
        density = self.densities[decisive]
        fused = density.posterior(joined) if decisive == JOINT else alone[decisive]
        p_values = density.p_values(joined)
        return [
            NoisePosterior(fused[i], float(p_values[i]), {name: alone[name][i] for name in alone})
            for i in range(len(fused))
        ]

    @property
    def p_values_are_approximate(self) -> bool:
        """Whether p-values come from a normal approximation: fewer than 200 clean scores."""
        return any(density.is_approximate for density in self.densities.values())


def fit_encoder_witness(
    statistics: Mapping[str, Floats],
    labels: Labels,
    references: Labels,
    classes: Sequence[tuple[str, int]],
    rng: np.random.Generator,
    acquisition: Floats | None = None,
) -> EncoderWitness:
    """Fit scorers, densities and conformal scores, cross-fitted over references (Vovk 2015).

    Args:
        statistics: (n, s) by tap.
        labels: (n,) class numbers, 0 for clean.
        references: (n,) numbers of the references that the rows are versions of.
        classes: (kind, severity) by class number.
        rng: of the folds and of the scorers' random features.
        acquisition: (n, classes) class scores of the acquisition half, whose fit knows none of the
            references; None: tokens alone.
    """
    folds = rng.permutation(int(references.max()) + 1) % _FOLDS
    fit = partial(fit_class_scorer, shrink=_SHRINK)
    scorers: dict[str, ClassScorer] = {}
    held_out: list[Floats] = []
    for tap, values in statistics.items():
        scores = np.zeros((len(values), len(classes)))
        for fold in range(_FOLDS):
            held = folds[references] == fold
            part = fit(values[~held], labels[~held], len(classes), rng)
            scores[held] = part(values[held])
        scorers[tap] = fit(values, labels, len(classes), rng)
        held_out.append(scores)
    sources = {ENCODER: np.concatenate(held_out, axis=1)} if held_out else {}
    if acquisition is not None:
        sources[ACQUISITION] = acquisition
    if len(sources) > 1:
        sources[JOINT] = np.concatenate(list(sources.values()), axis=1)
    count = int(labels.max()) + 1
    densities = {
        name: NoiseDensity.fit(scores, labels, count) for name, scores in sources.items()
    }
    return EncoderWitness(tuple(classes), scorers, densities)
