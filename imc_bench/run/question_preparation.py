"""The text side of a run: each question refined once for every method."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from imc_agents.errors import QuestionRefused
from imc_agents.safeguards.question_checks import check_question
from imc_bench.methods import Method, PreparedQuestion, Tools

READINGS_HELD = 4096
"""Refined questions kept in memory: the clean ones come again under every image noise."""

PreparedQuestions = dict[tuple[str, str], PreparedQuestion]
"""What was made of a question, by the name of the text side and the question as it was given."""


class QuestionPreparer:
    """Prepares the questions of units as every method does."""

    def __init__(self, methods: Sequence[Method], tools: Tools) -> None:
        self._text_sides = {method.text_side: method for method in methods}
        self._tools = tools
        self._held: OrderedDict[tuple[str, str], PreparedQuestion] = OrderedDict()

    def prepare(
        self, given: Mapping[str, str], refused: dict[str, str], alive: Callable[[], None]
    ) -> PreparedQuestions:
        """Each question under every text side.

        Args:
            given: the question of each item by its id; those in `refused` are left alone.
            refused: gets each item whose question no model can be asked, with the reason.
            alive: called between batches.
        """
        for item_id, question in given.items():
            if item_id not in refused:
                try:
                    check_question(question)
                except QuestionRefused as error:
                    refused[item_id] = str(error)
        made: PreparedQuestions = {}
        for text_side, method in self._text_sides.items():
            wanted = dict.fromkeys(
                question for item_id, question in given.items() if item_id not in refused
            )
            for question in wanted:
                held = self._held.get((text_side, question))
                if held is not None:
                    self._held.move_to_end((text_side, question))
                    made[text_side, question] = held
            left = [question for question in wanted if (text_side, question) not in made]
            for start in range(0, len(left), self._tools.batch):
                questions = left[start : start + self._tools.batch]
                for question, result in zip(
                    questions, self._prepare_some(method, questions), strict=True
                ):
                    if isinstance(result, PreparedQuestion):
                        made[text_side, question] = result
                        self._hold(text_side, question, result)
                    else:
                        refused.update(
                            {item_id: result for item_id, one in given.items() if one == question}
                        )
                alive()
        return made

    def _prepare_some(self, method: Method, questions: list[str]) -> list[PreparedQuestion | str]:
        """What the method made of each, or why it was refused."""
        try:
            return list(method.prepare_questions(questions, self._tools))
        except QuestionRefused as error:
            if len(questions) == 1:
                return [str(error)]
            return [one for question in questions for one in self._prepare_some(method, [question])]

    def _hold(self, text_side: str, question: str, prepared: PreparedQuestion) -> None:
        self._held[text_side, question] = prepared
        while len(self._held) > READINGS_HELD:
            self._held.popitem(last=False)
