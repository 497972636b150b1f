"""The methods that are compared, and the tables that show them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from measurement import CalibratedBy

from ablations.cells import CLEAN, NOISY, Cell
from ablations.variants import Halves
from imc_bench.conditions import Condition
from imc_bench.methods import BaselineMethod, Method, OneStage
from vision.acquisition.half import ALPHA, DOMAIN_ALPHA, MAX_ROUNDS
from vision.encoder.vision_encoder import VisionEncoder
from vision.pdc import WITNESS_ALPHA, Calibrator

NONE, SHIPPED = "none", "as shipped"
PIXELS, FEATURES = "pdc-pixels", "pdc-features"

_CELLS = {cell.name: cell for cell in (CLEAN, *NOISY)}


@dataclass(frozen=True)
class Part:
    """One table."""

    letter: str
    title: str
    note: str
    rows: tuple[str, ...]
    """Names of methods."""


@dataclass(frozen=True)
class Variant:
    """The shipped calibrator, changed in one thing."""

    name: str
    change: Callable[[Halves, Cell], Halves] = lambda halves, cell: halves
    alpha: float | None = None
    max_rounds: int = MAX_ROUNDS

    def method(self, encoder: VisionEncoder, halves: Halves) -> CalibratedBy:
        """PDC by this variant."""

        def make(condition: Condition | None) -> Calibrator:
            cell = _CELLS[condition.image_noise if condition else ""]
            changed = self.change(halves, cell)
            return Calibrator(
                encoder,
                changed.model,
                acquisition=changed.acquisition,
                alpha=self.alpha,
                max_rounds=self.max_rounds,
            )

        return CalibratedBy(self.name, make)


def _variants() -> tuple[Variant, ...]:
    return (
        Variant(SHIPPED),
        Variant("gate: no image counts as clean", lambda halves, _: halves.never_gated()),
        Variant("gate at .01", alpha=0.01),
        Variant("gate at .1", alpha=0.1),
        Variant("every restoration kept", lambda halves, _: halves.with_most_harm(math.inf)),
        Variant("half of the allowed risk", lambda halves, _: halves.with_most_harm(0.5)),
        Variant("one round", max_rounds=1),
        Variant("two rounds", max_rounds=2),
        Variant("true classes", lambda halves, cell: halves.true_classes(cell, gated=True)),
        Variant(
            "true classes, gate never wrong",
            lambda halves, cell: halves.true_classes(cell, gated=False),
        ),
        Variant("wrong kind", lambda halves, _: halves.wrong_kind()),
        Variant("one member", lambda halves, _: halves.with_member(0)),
    )


def make_methods(shipped: Calibrator) -> list[Method]:
    """Every method, the plain model first."""
    variants = _variants()
    halves = Halves(shipped.acquisition, shipped.model_half).remembering()
    return [
        BaselineMethod(),
        OneStage("pixels"),
        OneStage("features"),
        *(variant.method(shipped.encoder, halves) for variant in variants),
    ]


def make_parts(shipped: Calibrator) -> list[Part]:
    """Every table, over the methods of `make_methods`."""
    half = shipped.acquisition
    domain = None if shipped.model_half is None else shipped.model_half.domain
    known = None if domain is None else domain.own
    own = "the same" if known is None else f"{known.benefit.most_harm:.2f}"
    allowed, members = half.benefit.most_harm, half.restorer.maps.shape[1]
    return [
        Part(
            "a",
            "Stages",
            "Features alone: the paper's own form, in which the encoder's witness classifies the "
            f"noise (gate at {WITNESS_ALPHA:g}) and maps of the model half calibrate features.",
            (NONE, PIXELS, FEATURES, SHIPPED),
        ),
        Part(
            "b",
            "Gate",
            f"The significance level of \"this picture is clean\"; as shipped {ALPHA:g}, and "
            f"{DOMAIN_ALPHA:g} for pictures of the model half's domain, as most are here. What "
            "passes the gate is still declined where a restoration is not surely better.",
            (NONE, "gate at .01", SHIPPED, "gate at .1", "gate: no image counts as clean"),
        ),
        Part(
            "c",
            "Decision and rounds",
            f"As shipped, a restoration is kept up to an estimated risk of harm of {allowed:.2f} "
            f"({own} in the domain), in at most {MAX_ROUNDS} rounds. \"Every restoration kept\": "
            "those with an estimated benefit above zero, whatever their risk.",
            (
                NONE,
                "every restoration kept",
                SHIPPED,
                "half of the allowed risk",
                "one round",
                "two rounds",
            ),
        ),
        Part(
            "d",
            "Class weights",
            "True classes: in the first round the weights are those of the noise that was added, "
            "half each for two noises; the gate is as perceived, or never wrong. Wrong kind: in "
            "every round the probability of each kind goes to another one at the same severity "
            "(gaussian, low_dose, motion change places with ghosting, bias_field, low_contrast).",
            (NONE, SHIPPED, "true classes", "true classes, gate never wrong", "wrong kind"),
        ),
        Part(
            "e",
            "Members",
            f"The first of {members} members' change instead of the mean of all; their "
            "disagreement, and so the decision, is computed from all of them in both rows.",
            (NONE, SHIPPED, "one member"),
        ),
    ]


def chosen_methods(shipped: Calibrator, parts: Sequence[Part]) -> list[Method]:
    """The methods of some tables."""
    wanted = {NONE, *(row for part in parts for row in part.rows)}
    return [method for method in make_methods(shipped) if method.name in wanted]
