"""A quicker way is tried once and taken only where it gives what whole passes give."""

from __future__ import annotations

import pytest

from imc_agents.chat.verified_fast_path import Logprobs, VerifiedFastPath

PLAIN = {0: [-1.0, -2.0], 1: [-0.5]}


def plain() -> Logprobs:
    return PLAIN


def test_the_same_up_to_rounding_agrees() -> None:
    assert VerifiedFastPath().verify(lambda: {0: [-1.001, -2.0], 1: [-0.5]}, plain)


@pytest.mark.parametrize(
    "found",
    [{0: [-1.5, -2.0], 1: [-0.5]}, {0: [-1.0], 1: [-0.5]}, {0: [-1.0, -2.0]}],
    ids=["another value", "a token less", "a text less"],
)
def test_anything_else_does_not(found: dict[int, list[float]]) -> None:
    assert not VerifiedFastPath().verify(lambda: found, plain)


def test_a_model_that_cannot_do_it_does_not() -> None:
    def quick() -> Logprobs:
        raise TypeError("no position_ids here")

    assert not VerifiedFastPath().verify(quick, plain)


def test_it_is_tried_once() -> None:
    way, tries = VerifiedFastPath(), []

    def quick() -> Logprobs:
        tries.append(1)
        return PLAIN

    assert way.agrees is None
    assert way.verify(quick, plain) and way.verify(quick, plain)
    assert len(tries) == 1


def test_a_way_that_is_ruled_out_is_not_tried() -> None:
    way = VerifiedFastPath()
    way.rule_out()
    assert not way.verify(plain, plain)
