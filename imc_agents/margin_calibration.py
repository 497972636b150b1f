"""Margins calibrated once per model on clean questions, so that few of them are ever edited.

Every clean question shows the log-odds of its best edit of each class, although none is right. The
margins are the least for which a stated share of clean questions holds with a stated confidence:
they are tried from four times their floors downwards, and the first that cannot be distinguished
from a worse share ends it (fixed-sequence testing, as in Angelopoulos et al., "Learn then Test",
2021; each trial a one-sided binomial test). With `MANY` questions there is a last trial after the
floors: that the model knows the words that people write (`imc_agents.policy.Policy.knows_words`).
Nothing of a question is kept but numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.language_models import BaseChatModel

from imc_agents.chat.run_requests import MODEL_FAULTS, Faults, run_requests_together
from imc_agents.coordinator import Coordinator
from imc_agents.corrections.edit_log_odds import people_write
from imc_agents.errors import QuestionRefused
from imc_agents.language.lexicon_like import LexiconLike
from imc_agents.policy import Margins, Policy
from imc_agents.requests import RequestSteps
from imc_agents.safeguards.question_checks import check_question
from imc_agents.state import Edit
from imc_agents.thresholds import QuestionThresholds
from prompts import PromptSet

SHARE = 0.005
"""Share of clean questions that all classes together may edit."""
CONFIDENCE = 0.95
"""With which that share holds for the margins found."""
FEWEST = 500
"""Questions from which a margin may be set by data: 150 gave .7 % where new ones showed 2.9 %."""
MANY = 2000
"""Questions from which it is tried whether a model knows the words that people write: few questions
hold few that a small model has not met."""
STRICTEST = 4.0
"""Times their floors that the first margins tried are."""
STEPS = 60
"""Trials from there down to the floors."""
TOGETHER = 64
"""Questions whose texts are scored in one call of the model."""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how much of it, and of how much."""

BestLogOdds = Mapping[str, float]
"""Largest log-odds of an edit of each class in one question, nats; `sentence` per character."""


@dataclass(frozen=True)
class EditEvidence:
    """What speaks for edits of one clean question."""

    worth: BestLogOdds
    """Any word may be new to the model."""
    known: BestLogOdds
    """It knows the words that people write."""


def calibrate_margins(
    chat: BaseChatModel,
    prompts: PromptSet,
    lexicon: LexiconLike,
    questions: Sequence[str],
    *,
    fingerprint: str,
    policy: Policy | None = None,
    share: float = SHARE,
    confidence: float = CONFIDENCE,
    faults: Faults = MODEL_FAULTS,
    progress: Progress | None = None,
) -> QuestionThresholds:
    """The margins under which a model leaves clean questions alone.

    Args:
        chat: the model that serves the agents; it must be able to score texts.
        prompts, lexicon: those that it will serve with.
        questions: clean questions of the domain to be served, outside the model's training.
        fingerprint: of the model, so that its margins are not put into another's policy.
        policy: its margins are the floors; None: the shipped ones.
        share: of clean questions that may be edited, all classes together, 0 to 1.
        confidence: with which it holds, 0 to 1.
        faults: what the model may raise; a question at which it fails shows nothing.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        Margins at or above their floors. With fewer questions than the test needs (and never under
        `FEWEST`) they are the floors, and `calibrated` is false; it is false as well where even
        the strictest margins edit more than the share, and those are given.

    Raises:
        QuestionRefused: one of the questions cannot be asked, or there is none.
    """
    places: dict[str, int] = {}
    for place, question in enumerate(questions):
        places.setdefault(check_question(question), place)
    if not places:
        raise QuestionRefused("no clean question to calibrate on: give one on each line")
    policy = policy if policy is not None else Policy()
    shown = _log_odds_of(chat, prompts, lexicon, list(places), policy, faults, progress)
    found = choose_margins(
        shown,
        policy.margins,
        fingerprint=fingerprint,
        new_word=policy.new_word,
        share=share,
        confidence=confidence,
    )
    worth = [one.worth for one in shown]
    edited = zip(places.values(), _which_edited(worth, policy.margins), strict=True)
    return found.model_copy(update={"over_floors": tuple(place for place, yes in edited if yes)})


def choose_margins(
    shown: Sequence[EditEvidence],
    floors: Margins,
    *,
    fingerprint: str,
    new_word: float,
    share: float = SHARE,
    confidence: float = CONFIDENCE,
) -> QuestionThresholds:
    """The margins for what clean questions showed; see `calibrate_margins`."""
    enough = len(shown) >= max(FEWEST, fewest_questions(share, confidence))
    worth, known = [one.worth for one in shown], [one.known for one in shown]
    scale, reached, knows_words = 1.0, False, False
    if enough:
        scale, reached = _least_scale(worth, floors, share, 1.0 - confidence)
        holds = at_most(_edited(known, floors), len(known), share) <= 1.0 - confidence
        knows_words = reached and scale <= 1.0 and holds and len(shown) >= MANY
    margins = _scaled(floors, scale)
    edited = _edited(known if knows_words else worth, margins)
    return QuestionThresholds(
        fingerprint=fingerprint,
        margins=margins,
        new_word=new_word,
        knows_words=knows_words,
        calibrated=reached,
        questions=len(shown),
        edited=edited,
        share=share,
        confidence=confidence,
        upper=upper_bound(edited, len(shown), confidence),
        shown={name: sum(name in one for one in worth) for name in type(floors).model_fields},
    )


def fewest_questions(share: float, confidence: float) -> int:
    """Questions of which not one may be edited for the share to hold with the confidence."""
    return math.ceil(math.log(1.0 - confidence) / math.log(1.0 - share))


def upper_bound(edited: int, questions: int, confidence: float) -> float:
    """The one-sided Clopper-Pearson bound on the share that is edited, 0 to 1."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if at_most(edited, questions, middle) > 1.0 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_most(count: int, of: int, probability: float) -> float:
    """Probability of at most `count` successes in `of` trials."""
    if count >= of or probability <= 0.0:
        return 1.0
    if probability >= 1.0:
        return 0.0
    yes, no = math.log(probability), math.log1p(-probability)
    return math.fsum(
        math.exp(
            math.lgamma(of + 1)
            - math.lgamma(k + 1)
            - math.lgamma(of - k + 1)
            + k * yes
            + (of - k) * no
        )
        for k in range(count + 1)
    )


def _least_scale(
    shown: Sequence[BestLogOdds], floors: Margins, share: float, error: float
) -> tuple[float, bool]:
    """How many times their floors the margins must be, and whether that share was reached."""
    least, reached = STRICTEST, False
    for step in range(STEPS + 1):
        scale = STRICTEST - (STRICTEST - 1.0) * step / STEPS
        edited = _edited(shown, _scaled(floors, scale))
        if at_most(edited, len(shown), share) > error:
            break
        least, reached = scale, True
    return least, reached


def _scaled(floors: Margins, scale: float) -> Margins:
    return Margins(**{name: round(scale * floor, 4) for name, floor in floors})


def _edited(shown: Sequence[BestLogOdds], margins: Margins) -> int:
    return sum(_which_edited(shown, margins))


def _which_edited(shown: Sequence[BestLogOdds], margins: Margins) -> list[bool]:
    least = dict(margins)
    return [any(worth > least[name] for name, worth in one.items()) for one in shown]


def _log_odds_of(
    chat: BaseChatModel,
    prompts: PromptSet,
    lexicon: LexiconLike,
    questions: Sequence[str],
    policy: Policy,
    faults: Faults,
    progress: Progress | None,
) -> list[EditEvidence]:
    probing = policy.model_copy(
        update={
            "method": "sms",
            "margins": _class_markers(type(policy.margins)),
            "knows_words": False,
        }
    )
    coordinator = Coordinator(chat, prompts, lexicon, probing)
    shown: list[EditEvidence] = []
    for start in range(0, len(questions), TOGETHER):
        group = questions[start : start + TOGETHER]
        walks = [_shown(coordinator, question, faults) for question in group]
        shown += run_requests_together(chat, walks, faults)
        if progress is not None:
            progress("questions", len(shown), len(questions))
    return shown


def _class_markers(form: type[Margins]) -> Margins:
    """Margins so small that every edit is above them, and so different that each has one class."""
    return form(**{name: 1e-6 * (place + 1) for place, name in enumerate(form.model_fields)})


def _shown(coordinator: Coordinator, question: str, faults: Faults) -> RequestSteps[EditEvidence]:
    try:
        weighed = yield from coordinator.score_edits(question)
    except faults:
        weighed = None
    worth: dict[str, float] = {}
    known: dict[str, float] = {}
    classes = {margin: name for name, margin in coordinator.policy.margins}
    for candidate, odds in [] if weighed is None else weighed.found:
        edit = candidate.edits[0]
        near = min(classes, key=lambda margin: abs(margin - edit.margin))
        name = classes[near] if edit.after else "sentence"
        nats = odds if edit.after else odds / _written(edit)
        worth[name] = max(worth.get(name, -math.inf), nats)
        if edit.gain is not None and edit.after and people_write(edit.before, coordinator.lexicon):
            nats = edit.gain
        known[name] = max(known.get(name, -math.inf), nats)
    return EditEvidence(worth, known)


def _written(edit: Edit) -> int:
    """Characters of a sentence that is cut, the blanks around it left out."""
    return max(1, len(edit.before.strip()))


def read_questions(text: str) -> dict[str, int]:
    """The different clean questions of a text, one a line, with the number, from 1, of the first
    line that each stands on; empty lines are left out."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):  # as editors count them
        if line.strip():
            found.setdefault(line.strip(), number)
    return found
