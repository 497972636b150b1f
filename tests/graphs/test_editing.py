"""A state that a person edits means what it says: where it is written, and from there on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import StateUpdate
from PIL import Image
from pydantic_core import to_jsonable_python

from graphs.errors import StateRefused
from graphs.imc import build_imc_graph
from graphs.sms import build_sms_graph
from imc_agents.corrections.proposals import candidate_of
from imc_agents.errors import QuestionRefused
from imc_agents.state import Decision, Edit, Verdict
from tests.fakes import FakeCalibrator
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, thread

OTHER = "Is there a lesoin in the lung?"
TWO = "Is there a lesoin in the livre?"
NODES = ["vision", "coordinator", "detector", "corrector", "verifier", "review", "answer"]


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "slice.png"
    Image.new("L", (20, 10), 90).save(path)
    return str(path)


class Stepped:
    """One thread, stopped before a node."""

    def __init__(self, image: str, question: str, stop: list[str], **policy: Any) -> None:
        self.context = context_of(calibrator=FakeCalibrator("gaussian"), **policy)
        self.graph = build_imc_graph(checkpointer=InMemorySaver())
        asked = {"image": image, "question": question}
        self.graph.invoke(asked, thread(), context=self.context, interrupt_before=stop)

    @property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = self.graph.get_state(thread()).values
        return values

    @property
    def heard(self) -> str:
        """The question that was answered."""
        return str(self.context.chat.heard[-1])  # type: ignore[attr-defined]

    def edit(self, values: dict[str, Any], as_node: str | None = None) -> Stepped:
        self.graph.update_state(thread(), values, as_node=as_node)
        return self

    def finish(self) -> dict[str, Any]:
        state: dict[str, Any] = self.graph.invoke(None, thread(), context=self.context)
        return state


def as_json(value: Any) -> Any:
    """The value as it arrives over HTTP."""
    return json.loads(json.dumps(to_jsonable_python(value)))


# the question


@pytest.mark.parametrize("writer", [*NODES, "__start__", None])
@pytest.mark.parametrize("stop", NODES)
def test_a_question_edited_at_any_stop_by_any_writer_is_decided_and_answered_anew(
    image: str, stop: str, writer: str | None
) -> None:
    stepped = Stepped(image, TYPO, [stop])
    final = stepped.edit({"question": OTHER}, writer).finish()
    assert final["decision"].used == stepped.heard == "Is there a lesion in the lung?"
    assert final["perception"] is not None
    assert stepped.graph.get_state(thread()).next == ()


def test_a_question_edited_after_its_answer_is_answered_anew(image: str) -> None:
    stepped = Stepped(image, CLEAN, [])
    final = stepped.edit({"question": OTHER}).finish()
    assert final["decision"].used == stepped.heard == "Is there a lesion in the lung?"
    nodes = [step.node for step in final["trace"]]
    assert nodes.count("answer") == nodes.count("vision") == 1


def test_an_edit_that_changes_nothing_changes_nothing(image: str) -> None:
    stepped = Stepped(image, TYPO, ["verifier"])
    stepped.edit({"question": TYPO}, "coordinator")
    assert stepped.graph.get_state(thread()).next == ("verifier",)


def test_an_image_edited_before_the_answer_is_perceived_anew(image: str, tmp_path: Path) -> None:
    stepped = Stepped(image, CLEAN, ["answer"])
    other = tmp_path / "other.png"
    Image.new("L", (30, 30), 10).save(other)
    final = stepped.edit({"image": str(other)}).finish()
    assert (final["width"], final["height"]) == (30, 30)
    assert final["answer"].text == "yes"


def test_an_edited_image_is_kept_by_name_where_images_are_kept(image: str, tmp_path: Path) -> None:
    context = context_of()
    graph = build_imc_graph(checkpointer=tmp_path / "t.sqlite", interrupt_before=["answer"])
    graph.invoke({"image": image, "question": CLEAN}, thread(), context=context)
    other = tmp_path / "other.png"
    Image.new("L", (30, 30), 10).save(other)
    graph.update_state(thread(), {"image": str(other)})
    assert graph.get_state(thread()).values["image"].startswith("sha256:")
    other.unlink()
    graph.invoke(None, thread(), context=context)
    assert graph.invoke(None, thread(), context=context)["width"] == 30


def test_an_image_block_is_not_written_where_no_image_is_kept(image: str) -> None:
    stepped = Stepped(image, CLEAN, ["answer"])
    block = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    with pytest.raises(StateRefused, match="image store"):
        stepped.edit({"image": block})


# both branches wait


def test_one_update_per_writer_while_both_branches_wait(image: str) -> None:
    stepped = Stepped(image, TYPO, ["vision", "coordinator"])
    assert set(stepped.graph.get_state(thread()).next) == {"vision", "coordinator"}
    decision = Decision(used=CLEAN, accepted=True, rounds=0, reason="by hand")
    stepped.graph.bulk_update_state(
        thread(),
        [[StateUpdate({"width": 5}, "vision"), StateUpdate({"decision": decision}, "coordinator")]],
    )
    final = stepped.finish()
    assert final["decision"] == decision
    assert stepped.heard == CLEAN
    assert final["width"] == 20  # the image was not perceived: it is


async def test_the_same_updates_asynchronously(image: str) -> None:
    stepped = Stepped(image, TYPO, ["vision", "coordinator"])
    updates = [StateUpdate({}, "vision"), StateUpdate({"question": OTHER}, "coordinator")]
    await stepped.graph.abulk_update_state(thread(), [updates])
    final = await stepped.graph.ainvoke(None, thread(), context=stepped.context)
    assert final["decision"].used == "Is there a lesion in the lung?"
    assert final["perception"].kind == "gaussian"


# findings, candidate, verdict, decision


def test_narrowed_findings_narrow_the_repair(image: str) -> None:
    stepped = Stepped(image, TWO, ["corrector"])
    first = stepped.values["findings"][0]
    assert first.text == "lesoin"
    final = stepped.edit({"findings": [first]}).finish()
    assert final["decision"].used == stepped.heard == "Is there a lesion in the livre?"


def test_findings_narrowed_before_the_answer_narrow_the_repair(image: str) -> None:
    stepped = Stepped(image, TWO, ["answer"])
    assert stepped.values["decision"].used == CLEAN
    final = stepped.edit({"findings": as_json(stepped.values["findings"][1:])}).finish()
    assert final["decision"].used == stepped.heard == "Is there a lesoin in the liver?"


def test_no_findings_are_no_repair(image: str) -> None:
    final = Stepped(image, TYPO, ["answer"]).edit({"findings": []}).finish()
    assert final["decision"].used == TYPO


def test_findings_of_a_person_are_repaired_where_the_model_suspected_nothing(image: str) -> None:
    question = "Is there a plural effusion?"
    stepped = Stepped(image, question, ["answer"])
    place = question.index("plural")
    found = {"start": place, "end": place + 6, "text": "plural", "kind": "homophone", "score": 1}
    assert stepped.edit({"findings": [found]}).finish()["decision"].rounds == 1


def edited_candidate() -> Any:
    place = TYPO.index("lesoin")
    edit = Edit(
        start=place, end=place + 6, before="lesoin", after="organ", kind="typo", cost=1, gain=90
    )
    return candidate_of(TYPO, [edit], gain=90)


@pytest.mark.parametrize("form", [lambda value: value, as_json], ids=["python", "json"])
@pytest.mark.parametrize("writer", [None, "corrector"])
def test_an_edited_candidate_is_verified_and_used(image: str, writer: Any, form: Any) -> None:
    stepped = Stepped(image, TYPO, ["verifier"])
    final = stepped.edit({"candidate": form(edited_candidate())}, writer).finish()
    assert final["decision"].used == stepped.heard == "Is there a organ in the liver?"


def test_an_edited_candidate_may_not_change_a_protected_word(image: str) -> None:
    question = "Is there a lesoin in the left lung?"
    stepped = Stepped(image, question, ["verifier"])
    place = question.index("left")
    edit = Edit(
        start=place, end=place + 4, before="left", after="right", kind="typo", cost=1, gain=90
    )
    final = stepped.edit({"candidate": candidate_of(question, [edit], gain=90)}).finish()
    assert "left" in final["decision"].used


@pytest.mark.parametrize("form", [lambda value: value, as_json], ids=["python", "json"])
def test_an_edited_verdict_decides(image: str, form: Any) -> None:
    stepped = Stepped(image, TYPO, ["answer"])
    verdict = stepped.values["verdict"].model_copy(update={"accepted": False, "reason": "no"})
    final = stepped.edit({"verdict": form(verdict)}).finish()
    assert final["decision"].used == stepped.heard == TYPO


def test_a_rejection_that_is_edited_into_assent_holds(image: str) -> None:
    stepped = Stepped(image, TYPO, ["verifier"])
    candidate = stepped.values["candidate"]
    refusal = Verdict(accepted=False, reason="no", candidate=candidate.text)
    stepped.edit({"verdict": refusal}, "verifier")
    stepped.graph.invoke(
        None, thread(), context=stepped.context, interrupt_before=["corrector", "answer"]
    )
    assent = Verdict(accepted=True, reason="yes", candidate=candidate.text)
    final = stepped.edit({"verdict": assent}, "coordinator").finish()
    assert final["decision"].used == stepped.heard == CLEAN


@pytest.mark.parametrize("form", [lambda value: value, as_json], ids=["python", "json"])
@pytest.mark.parametrize("stop", ["detector", "verifier", "review", "answer"])
def test_an_edited_decision_is_answered(image: str, stop: str, form: Any) -> None:
    stepped = Stepped(image, TYPO, [stop])
    decision = Decision(used="Is the lung normal?", accepted=True, rounds=0, reason="by hand")
    writer = "coordinator" if stop == "detector" else None
    final = stepped.edit({"decision": form(decision)}, writer).finish()
    assert final["decision"] == decision
    assert stepped.heard == "Is the lung normal?"
    assert [step.node for step in final["trace"]].count("answer") == 1


def test_a_decision_of_a_person_does_not_hold_for_another_question(image: str) -> None:
    stepped = Stepped(image, TYPO, ["review"])
    by_hand = Decision(used="Is the lung normal?", accepted=True, rounds=0, reason="by hand")
    stepped.edit({"decision": by_hand})
    stepped.graph.invoke(None, thread(), context=stepped.context, interrupt_before=["answer"])
    final = stepped.edit({"question": OTHER}).finish()
    assert final["decision"].used == "Is there a lesion in the lung?"


def test_an_edit_has_a_budget_of_its_own(image: str) -> None:
    stepped = Stepped(image, TYPO, ["answer"], max_calls=4)
    for _ in range(3):
        findings = stepped.values["findings"]
        stepped.edit({"findings": []})
        stepped.graph.invoke(None, thread(), context=stepped.context, interrupt_before=["answer"])
        stepped.edit({"findings": findings})
        stepped.graph.invoke(None, thread(), context=stepped.context, interrupt_before=["answer"])
    assert stepped.finish()["decision"].used == CLEAN


def test_the_agents_alone_are_stepped_and_edited_too() -> None:
    graph, context = build_sms_graph(checkpointer=InMemorySaver()), context_of()
    graph.invoke({"question": TYPO}, thread(), context=context)
    graph.update_state(thread(), {"question": OTHER})
    final = graph.invoke(None, thread(), context=context)
    assert final["decision"].used == "Is there a lesion in the lung?"


def test_a_fork_from_any_checkpoint_is_answered(image: str) -> None:
    stepped = Stepped(image, TYPO, [])
    history = list(stepped.graph.get_state_history(thread()))
    forks = [snapshot for snapshot in history if snapshot.next != ("__start__",)]
    assert len(forks) > 6
    for snapshot in forks:
        fork = stepped.graph.update_state(snapshot.config, {"question": OTHER})
        final = stepped.graph.invoke(None, fork, context=stepped.context)
        assert final["decision"].used == "Is there a lesion in the lung?"


# what cannot be written


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"questoin": CLEAN}, "no key 'questoin'"),
        ({"findings": 5}, "findings"),
        ({"findings": [{"start": 0}]}, "end"),
        ({"candidate": {"text": "Is there?"}}, "edits"),
        ({"verdict": "yes"}, "verdict"),
        ({"decision": {"used": CLEAN}}, "accepted"),
        ({"plain_image": "maybe"}, "plain_image"),
        ({"width": -1}, "width"),
        ({"image": object()}, "image"),
        ({"image": b"PNG"}, "image"),
        ({"trace": [{"node": 5}]}, "trace"),
        ({"routing": {"goto": "nowhere", "basis": {}}}, "routing"),
        ({"review": "sometimes"}, "review"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_is_no_value_of_its_key_is_refused_and_nothing_is_lost(
    image: str, values: dict[str, Any], said: str
) -> None:
    stepped = Stepped(image, TYPO, ["verifier"])
    before = stepped.graph.get_state(thread())
    for writer in ("coordinator", "verifier", None):
        with pytest.raises(StateRefused, match=said) as refused:
            stepped.edit(values, writer)
    assert "\n" not in str(refused.value)
    assert stepped.graph.get_state(thread()) == before
    assert stepped.finish()["decision"].used == CLEAN


@pytest.mark.parametrize("question", ["", "  ", 5, None, "a" * 3000])
def test_a_question_that_cannot_be_asked_is_refused_where_it_is_written(
    image: str, question: Any
) -> None:
    stepped = Stepped(image, TYPO, ["verifier"])
    with pytest.raises((QuestionRefused, StateRefused)):
        stepped.edit({"question": question}, "coordinator")
    unusable = Decision(used=" ", accepted=True, rounds=0, reason="")
    with pytest.raises(QuestionRefused, match="empty"):
        stepped.edit({"decision": unusable}, "coordinator")
    assert stepped.finish()["decision"].used == CLEAN


def test_a_copy_that_was_never_validated_is_validated(image: str) -> None:
    stepped = Stepped(image, TYPO, ["verifier"])
    broken = stepped.values["candidate"].model_copy(update={"text": 5})
    with pytest.raises(StateRefused, match="candidate"):
        stepped.edit({"candidate": broken}, "corrector")


def test_findings_outside_of_the_question_are_refused_by_the_coordinator(image: str) -> None:
    stepped = Stepped(image, TYPO, ["corrector"])
    beyond = stepped.values["findings"][0].model_copy(update={"start": 500, "end": 506})
    stepped.edit({"findings": [beyond]})
    with pytest.raises(StateRefused, match="500 to 506"):
        stepped.finish()
    stepped.edit({"findings": None}, "coordinator")
    assert stepped.finish()["decision"].used == CLEAN
