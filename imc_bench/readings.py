"""The text side of a run: each question refined once for every reading."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from imc_agents.errors import QuestionRefused
from imc_agents.safeguards.question_checks import check_question
from imc_bench.methods import Method, Read, Tools

READINGS_HELD = 4096
"""Refined questions kept in memory: the clean ones come again under every image noise."""

ReadQuestions = dict[tuple[str, str], Read]
"""What was made of a question, by the name of the reading and the question as it was given."""


class Readings:
    """Puts the questions of units to every method."""

    def __init__(self, methods: Sequence[Method], tools: Tools) -> None:
        self._readings = {method.reading: method for method in methods}
        self._tools = tools
        self._held: OrderedDict[tuple[str, str], Read] = OrderedDict()

    def read(
        self, given: Mapping[str, str], refused: dict[str, str], alive: Callable[[], None]
    ) -> ReadQuestions:
        """Each question under every reading.

        Args:
            given: the question of each item by its id; those in `refused` are left alone.
            refused: gets each item whose question no model can be put, with the reason.
            alive: called between batches.
        """
        for item_id, question in given.items():
            if item_id not in refused:
                try:
                    check_question(question)
                except QuestionRefused as error:
                    refused[item_id] = str(error)
        made: ReadQuestions = {}
        for reading, method in self._readings.items():
            wanted = dict.fromkeys(
                question for item_id, question in given.items() if item_id not in refused
            )
            for question in wanted:
                held = self._held.get((reading, question))
                if held is not None:
                    self._held.move_to_end((reading, question))
                    made[reading, question] = held
            left = [question for question in wanted if (reading, question) not in made]
            for start in range(0, len(left), self._tools.batch):
                questions = left[start : start + self._tools.batch]
                for question, result in zip(
                    questions, self._read_some(method, questions), strict=True
                ):
                    if isinstance(result, Read):
                        made[reading, question] = result
                        self._hold(reading, question, result)
                    else:
                        refused.update(
                            {item_id: result for item_id, one in given.items() if one == question}
                        )
                alive()
        return made

    def _read_some(self, method: Method, questions: list[str]) -> list[Read | str]:
        """What the method made of each, or why it was refused."""
        try:
            return list(method.read(questions, self._tools))
        except QuestionRefused as error:
            if len(questions) == 1:
                return [str(error)]
            return [one for question in questions for one in self._read_some(method, [question])]

    def _hold(self, reading: str, question: str, read: Read) -> None:
        self._held[reading, question] = read
        while len(self._held) > READINGS_HELD:
            self._held.popitem(last=False)
