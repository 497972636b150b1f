"""How far one text is from another: in characters, and in protected tokens."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

from imc_agents.safeguards.protected import find_protected, protected_tokens


def character_error(reference: str, text: str) -> float:
    """Levenshtein distance over the reference's length (at least 1): 0 for the same text."""
    return Levenshtein.distance(reference, text) / max(1, len(reference))


def new_violations(clean: str, given: str, asked: str) -> list[str]:
    """Protected tokens that `asked` has further from the clean question than `given` had them.

    What the noise did to the question given is not the method's doing (an "or" that became an "r",
    which is read as right), and taking out what the noise put in (a foreign sentence with a number
    in it) is no violation. One reason for each token that the method added, dropped or, where their
    numbers are as they were, put in another order.
    """
    if asked == given:
        return []
    want, had, has = (protected_tokens(text) for text in (clean, given, asked))
    reasons = [
        f"{category} {'added' if has[key] > want[key] else 'dropped'}: {normal}"
        for key in sorted({*want, *had, *has})
        for category, normal in [key]
        if abs(has[key] - want[key]) > abs(had[key] - want[key])
    ]
    if not reasons and _order(given) == _order(clean) != _order(asked):
        reasons.append("protected words changed their order")
    return reasons


def _order(text: str) -> list[tuple[str, str]]:
    return [token.key for token in find_protected(text)]
