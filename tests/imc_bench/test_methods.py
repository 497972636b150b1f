"""The methods: baselines that do what their names say, and a registry that takes one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphs.context import IMCContext
from imc_bench.conditions import RunRefused
from imc_bench.methods import (
    PDC,
    BaselineMethod,
    PreparedQuestion,
    Rewritten,
    Tools,
    get_methods,
    register,
    registry,
)
from imc_bench.methods.denoisers import Denoiser, median, non_local_means, total_variation, wiener
from imc_bench.methods.spell_checker import SpellChecker
from imc_bench.metrics.text_distance import character_error, new_violations
from imc_noise import apply_image, noise_rng
from imc_reference.corpus import as_rgb
from imc_reference.phantoms import make_phantom
from vision.reading.medical_image import MedicalImage

DENOISERS = [median, wiener, total_variation, non_local_means]


@pytest.fixture(scope="module")
def phantom() -> MedicalImage:
    """A clean grey phantom."""
    drawn = (make_phantom(np.random.default_rng(seed), size=112) for seed in range(20))
    return MedicalImage.from_rgb(as_rgb(next(p for p in drawn if p.modality == "ct").image))


@pytest.mark.parametrize("denoise", DENOISERS)
def test_a_denoiser_brings_a_noisy_image_nearer_to_clean(
    denoise: Denoiser, phantom: MedicalImage
) -> None:
    noisy = apply_image("gaussian", phantom.rgb, 4, noise_rng("phantom", "gaussian", 4))

    def error(pixels: np.ndarray) -> float:
        return float(np.square(pixels.astype(float) - phantom.rgb).mean())

    repaired = denoise(noisy)
    assert repaired.shape == noisy.shape and repaired.dtype == np.uint8
    assert error(repaired) < error(noisy)


@pytest.mark.parametrize("denoise", DENOISERS)
@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 40, 3)])
def test_a_flat_image_of_any_size_is_left_alone(
    denoise: Denoiser, shape: tuple[int, int, int]
) -> None:
    flat = np.full(shape, 90, np.uint8)
    assert (denoise(flat) == flat).all()


def test_the_spell_checker_repairs_words_and_keeps_the_rest() -> None:
    checker = SpellChecker()
    assert checker("Is thier a fracture, at T2?") == "Is their a fracture, at T2?"


def test_an_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RunRefused, match="unknown method 'bm3d'.*none, pdc, sms, imc, median"):
        get_methods(["none", "bm3d"])
    with pytest.raises(RunRefused, match="no method"):
        get_methods([])


@pytest.fixture
def own_methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry to write into, put back afterwards."""
    monkeypatch.setattr("imc_bench.methods.catalogue._OWN", {})
    yield


def test_a_method_of_ones_own_is_one_small_class(own_methods: None) -> None:
    class Shouted(BaselineMethod):
        name = text_side = "shouted"

        def prepare_questions(
            self, questions: Sequence[str], tools: Tools
        ) -> list[PreparedQuestion]:
            return [PreparedQuestion(question.upper()) for question in questions]

    register(Shouted())
    assert [method.name for method in get_methods(["none", "shouted", "none"])] == [
        "none",
        "shouted",
    ]
    with pytest.raises(RunRefused, match="already"):
        register(Shouted())


def test_methods_with_the_same_side_say_so() -> None:
    known = registry()
    assert known["sms"].image_side == known["none"].image_side
    assert known["imc"].image_side == known["pdc"].image_side
    assert known["imc"].text_side == known["sms"].text_side
    assert len({known[name].image_side for name in ("none", "pdc", "median", "tv", "nlm")}) == 5


def test_an_untouched_image_has_the_plain_features(
    bench_context: IMCContext, phantom: MedicalImage
) -> None:
    tools = Tools(bench_context)
    (plain,), (calibrated,) = (
        BaselineMethod().prepare_images([phantom], tools),
        PDC().prepare_images([phantom], tools),
    )
    if calibrated.touched:
        assert calibrated.key != plain.key
    else:
        assert calibrated.key == plain.key
    noisy = MedicalImage.from_rgb(
        apply_image("gaussian", phantom.rgb, 5, noise_rng("phantom", "gaussian", 5))
    )
    (repaired,) = PDC().prepare_images([noisy], tools)
    assert repaired.touched and repaired.key != noisy.sha256


def test_rewriting_asks_the_same_model_once_for_each_question(bench_context: IMCContext) -> None:
    asked = ["is there a lesoin?", "what modality is this?"]
    rewritten = Rewritten().prepare_questions(asked, Tools(bench_context, batch=1))
    assert [read.calls for read in rewritten] == [1, 1]
    assert all(read.text for read in rewritten)
    batched = Rewritten().prepare_questions(asked, Tools(bench_context, batch=8))
    assert [read.text for read in batched] == [read.text for read in rewritten]


def slow_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        fresh = [i]
        for j, b in enumerate(second, 1):
            fresh.append(min(row[j] + 1, fresh[-1] + 1, row[j - 1] + (a != b)))
        row = fresh
    return row[-1]


@given(st.text("abc ", max_size=12), st.text("abc ", max_size=12))
def test_character_error_is_levenshtein_over_the_reference(first: str, second: str) -> None:
    assert character_error(first, second) == slow_distance(first, second) / max(1, len(first))


def test_taking_out_a_foreign_sentence_violates_nothing() -> None:
    clean = "Is there a lesion?"
    assert new_violations(clean, f"{clean} She came on 3 May.", clean) == []


def test_what_the_noise_did_is_not_the_methods_doing() -> None:
    given, asked = "Is the lung claer?", "Is the lung clear?"
    assert new_violations("Is the left lung clear?", given, asked) == []


def test_a_side_that_the_method_changes_is_counted() -> None:
    assert new_violations("Is the left lung ok?", "Is the left lnug ok?", "Is the right lung ok?")


@pytest.mark.parametrize(
    ("clean", "given", "asked", "found"),
    [
        # the noise's own "r" is read as right; the repair of "lefft" is none of it
        ("On the left or right?", "On the lefft r right?", "On the left r right?", []),
        ("Is it left?", "Is it lift?", "Is it right?", ["laterality added: right"]),
        ("Is it left?", "Is it left!", "Is it?", ["laterality dropped: left"]),
        ("Is there no mass?", "Is there no mas?", "Is there mass?", ["negation dropped: no"]),
        (
            "Is the left or the right lung clear?",
            "Is the left or the right lnug clear?",
            "Is the right or the left lung clear?",
            ["protected words changed their order"],
        ),
    ],
)
def test_only_what_the_method_did_counts(
    clean: str, given: str, asked: str, found: list[str]
) -> None:
    assert new_violations(clean, given, asked) == found


@pytest.mark.parametrize(("stage", "witness"), [("pixels", "pixels"), ("features", "encoder")])
def test_a_stage_alone_classifies_from_its_own_source_and_corrects_by_itself(
    stage: str, witness: str, bench_context: IMCContext, phantom: MedicalImage
) -> None:
    noisy = MedicalImage.from_rgb(
        apply_image("gaussian", phantom.rgb, 5, noise_rng("phantom", "gaussian", 5))
    )
    method = registry()[f"pdc-{stage}"]
    (alone,) = method.prepare_images([noisy], Tools(bench_context))
    assert alone.perception is not None
    assert alone.perception.posterior == alone.perception.witnesses[witness]
    assert set(alone.perception.witnesses) == {witness}
    assert alone.key == noisy.sha256 + (f":calibrated: {stage}" if alone.touched else "")
    calibrator = bench_context.calibrator
    assert calibrator is not None and calibrator.stages == {"pixels", "features"}
