"""The fit of one domain, step by step: densities, restorer, trials, benefit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vision.acquisition.domain import Domain, OwnRestorer
from vision.acquisition.parts import HalfParts
from vision.acquisition.second_opinion import UsualOpinion
from vision.build.acquisition.benefit_fit import fit_benefit
from vision.build.acquisition.members import single, without_two
from vision.build.domain.draws import DomainDrawer
from vision.build.domain.restorer_fit import (
    FOLDS,
    PAIRS,
    Tensors,
    assembled,
    fit_kind,
    fold_of,
    restored_kinds,
)
from vision.build.domain.trials import trial_restorations
from vision.build.workers import IN_PROCESS, Shared, Task, Workers
from vision.perceive.content import KnownContent
from vision.perceive.noise_density import NoiseDensity
from vision.reading.medical_image import MedicalImage

CONTENT_IMAGES = 512
"""Most references whose content is described: Gaussians of 22 statistics."""


class Steps(Protocol):
    """Makes each step, or loads it where it is finished."""

    @property
    def workers(self) -> Workers:
        """For work that needs no model."""

    def step(self, name: str, make: Callable[[], Tensors]) -> Tensors:
        """One step: arrays by name."""

    def side_by_side(
        self,
        work: Callable[[Shared, Task], Tensors],
        shared: Shared,
        tasks: Mapping[str, Task],
    ) -> dict[str, Tensors]:
        """`work(shared, task)` of several steps by name, by the workers."""


@dataclass(frozen=True)
class DomainFit:
    """A domain, and the same by restorers that have not met one fold of its references."""

    domain: Domain
    apart: tuple[Domain, ...] = ()
    """By fold; empty where the domain has no restorer."""

    @staticmethod
    def count(drawer: DomainDrawer) -> int:
        """How many steps `of` takes."""
        return len(restored_kinds(drawer.classes)) + 1

    @classmethod
    def of(cls, parts: HalfParts, known: Domain, drawer: DomainDrawer, steps: Steps) -> DomainFit:
        """Fit what corrects the noise of a domain.

        Args:
            parts: the acquisition half's.
            known: the domain without it.
            drawer: of the references.
            steps: makes or loads each step.
        """
        kinds = {f"restorer of {kind}": kind for kind in restored_kinds(drawer.classes)}
        made = steps.side_by_side(fit_kind, drawer, kinds)
        by_kind = {kind: made[name] for name, kind in kinds.items()}
        if not by_kind:
            return cls(known)
        restorer = assembled(drawer, by_kind)
        # what lies on a GPU is not sent to other processes
        workers = IN_PROCESS if parts.on_gpu else steps.workers
        rows = steps.step(
            "trial restorations",
            partial(trial_restorations, known.beside(parts), restorer, drawer, workers),
        )
        labels = rows["labels"].numpy().astype(np.int64)
        residual = NoiseDensity.fit(rows["scores"].numpy(), labels, len(drawer.classes))
        known = replace(known, residual=residual)
        if len(rows["errors"]) < FOLDS:
            return cls(known)
        benefit = fit_benefit(
            rows["evidence"].numpy(),
            rows["errors"].numpy(),
            np.zeros(len(rows["errors"])),  # all of them were found noisy
            np.full(len(rows["errors"]), "domain"),
            rows["folds"].numpy().astype(np.int64),
            drawer.seed,
        )
        usual = _usual_opinion(rows, restored_kinds(drawer.classes))

        def domain(members: Tensor) -> Domain:
            own = OwnRestorer(restorer.of_members(members), benefit, usual)
            return replace(known, own=own)

        apart = tuple(domain(without_two(PAIRS, fold)) for fold in range(FOLDS))
        return cls(domain(single(PAIRS)), apart)

    def not_met(self, numbers: Sequence[int]) -> list[tuple[Domain, list[int]]]:
        """Domains whose restorer has not met references, with the positions of their numbers."""
        if not self.apart:
            return [(self.domain, list(range(len(numbers))))]
        return [
            (domain, [i for i, number in enumerate(numbers) if fold_of(number) == fold])
            for fold, domain in enumerate(self.apart)
        ]


def _usual_opinion(rows: Tensors, kinds: Sequence[str]) -> UsualOpinion:
    """Of trials that came nearer to clean, of one noise or of the last of two; of all, where none
    did."""
    before, after = rows["errors"].T
    again, nearer = rows["again"].bool(), after < before
    chosen = nearer & (again | rows["alone"].bool())
    chosen = chosen if bool(chosen.any()) else torch.ones_like(chosen)
    opinions, found, restored = rows["opinions"][chosen], rows["found"][chosen], again[chosen]
    return UsualOpinion.fit(
        opinions.numpy(), found.numpy().astype(np.int64), restored.numpy(), kinds
    )


def acquisition_density(scores: dict[str, Tensor], classes: int) -> NoiseDensity:
    """Of class scores by class number, as strings, over versions of the references."""
    labels = np.concatenate([np.full(len(one), int(label)) for label, one in scores.items()])
    return NoiseDensity.fit(torch.cat(list(scores.values())).numpy(), labels, classes)


def content_of(references: Sequence[MedicalImage], seed: int) -> KnownContent:
    """What the references show, from `CONTENT_IMAGES` of them at most."""
    order = np.random.default_rng(seed).permutation(len(references))[:CONTENT_IMAGES]
    return KnownContent.of([references[i] for i in order.tolist()])
