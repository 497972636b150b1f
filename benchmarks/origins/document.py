"""All figures as plain values, for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from origins.outcomes import Outcome
from origins.page import aims
from origins.summary import clean_touched, domain, figures
from vision.report import CLEAN


def document(by_side: Mapping[int, Sequence[Outcome]]) -> dict[str, Any]:
    """By size: aims, clean pictures touched, and figures by origin, kind and domain."""
    return {str(side): _of_size(outcomes) for side, outcomes in by_side.items()}


def _of_size(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    origins = sorted({one.origin for one in outcomes})
    noisy = [one for one in outcomes if one.kind != CLEAN]
    kinds = dict.fromkeys((one.kind, one.severity) for one in noisy)
    domains = dict.fromkeys((domain(one.origin), one.severity) for one in noisy)
    return {
        "aims": [dataclasses.asdict(aim) for aim in aims(outcomes)],
        "all": _figures(outcomes),
        "origins": {
            origin: _figures([one for one in outcomes if one.origin == origin])
            for origin in origins
        },
        "kinds": [
            {"kind": kind, "severity": severity}
            | _figures([one for one in noisy if (one.kind, one.severity) == (kind, severity)])
            for kind, severity in kinds
        ],
        "domains": [
            {"domain": name, "severity": severity}
            | _figures(
                [one for one in noisy if (domain(one.origin), one.severity) == (name, severity)]
            )
            for name, severity in domains
        ],
    }


def _figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    touched, found = clean_touched(outcomes), figures(outcomes)
    return {
        **({"clean_touched": dataclasses.asdict(touched)} if touched else {}),
        **(dataclasses.asdict(found) if found else {}),
    }
