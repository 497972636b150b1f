"""Threads in the background: they outlive their pages, and the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from graphs.context import IMCContext
from graphs.debugging import DebugRefused
from imc_agents.errors import ModelRefused, QuestionRefused
from imc_app.kept_questions import RECORD, AskSettings
from imc_app.refusals import InputRefused
from imc_app.studio.studio import POLICY, Studio
from imc_app.studio.threads import StudioThread
from imc_app.studio.watched import Watched
from tests.fakes import grey_square
from tests.graphs.test_imc_graph import CLEAN, TYPO


async def idle(watched: Watched) -> None:
    """Wait until its job has ended."""
    while watched.doing:
        await asyncio.sleep(0.01)


async def asked(studio: Studio, question: str = TYPO, **given: bool) -> StudioThread:
    thread = studio.ask(grey_square(), question, **given)  # type: ignore[arg-type]
    await idle(thread)
    return thread


async def test_a_question_is_answered_while_nobody_watches(studio: Studio) -> None:
    thread = await asked(studio)
    assert thread.state["answer"].text == "yes"
    assert thread.totals["answer"].state == "visited"
    assert thread.totals["coordinator"].runs > 1


async def test_a_watcher_is_called_as_each_node_ends(studio: Studio) -> None:
    thread = studio.ask(grey_square(), CLEAN)
    seen: list[set[str]] = []
    thread.watch(lambda: seen.append(set(thread.totals)))
    await idle(thread)
    await asyncio.sleep(0)
    assert len(seen) > 4 and "answer" in seen[-1]


async def test_a_watcher_that_fails_holds_up_no_other(studio: Studio) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    thread = studio.ask(grey_square(), CLEAN)
    calls: list[int] = []
    thread.watch(lambda: 1 // 0)
    thread.watch(lambda: calls.append(1))
    await idle(thread)
    await asyncio.sleep(0)
    assert calls


async def test_a_thread_is_found_again_by_another_process(
    make_studio: Callable[..., Studio],
) -> None:
    first = make_studio()
    name = (await asked(first)).id
    first.close()
    second = make_studio()
    thread = await second.thread(name)
    assert (thread.question, thread.image) == (TYPO, grey_square())
    assert thread.state["decision"].used == CLEAN
    assert thread.totals["answer"].state == "visited"
    assert [known for known, _ in second.known_threads()] == [name]
    second.close()


async def test_a_thread_that_is_opened_again_keeps_its_policy(
    make_studio: Callable[..., Studio],
) -> None:
    first = make_studio()
    thread = first.ask(grey_square(), TYPO, method="sms", review="on_change")
    await idle(thread)
    first.close()
    second = make_studio()
    again = await second.thread(thread.id)
    assert again.session.context is not None
    policy = again.session.context.policy
    assert (policy.method, policy.review) == ("sms", "on_change")
    assert POLICY in again.session.metadata  # and later checkpoints hold it too
    second.close()


async def test_a_thread_of_imc_ask_keeps_its_method(make_studio: Callable[..., Studio]) -> None:
    first = make_studio()
    thread = first.ask(grey_square(), TYPO, stepping=True)
    await idle(thread)
    thread.session.metadata = {RECORD: AskSettings(method="pdc", seed=4).record()}
    first.move(thread, "stepping", thread.session.step)
    await idle(thread)
    first.close()
    second = make_studio()
    again = await second.thread(thread.id)
    assert again.session.context is not None
    policy = again.session.context.policy
    assert (policy.method, policy.seed) == ("pdc", 4)
    second.close()


async def test_an_unknown_thread_is_a_sentence(studio: Studio) -> None:
    with pytest.raises(DebugRefused, match="'nowhere'"):
        await studio.thread("nowhere")


async def test_a_thread_has_one_job_at_a_time(studio: Studio) -> None:
    thread = studio.ask(grey_square(), CLEAN)
    with pytest.raises(InputRefused, match="still answering"):
        studio.move(thread, "stepping", thread.session.step)
    await idle(thread)


async def test_a_model_that_cannot_be_loaded_is_said_by_the_thread(
    make_studio: Callable[..., Studio],
) -> None:
    def broken() -> IMCContext:
        raise ModelRefused("model 'm': no such folder")

    studio = make_studio(broken)
    thread = await asked(studio)
    assert thread.message == "model 'm': no such folder"
    assert "no such folder" in thread.status_html
    studio.close()


async def test_a_question_that_cannot_be_asked_begins_no_thread(studio: Studio) -> None:
    with pytest.raises(QuestionRefused):
        studio.ask(grey_square(), "  ")
    assert studio.known_threads() == []


async def test_a_fault_is_named_without_its_text(studio: Studio) -> None:
    watched = Watched()

    def fault() -> None:
        raise KeyError("the patient's name")

    studio.begin(watched, "working", fault)
    await idle(watched)
    assert "KeyError" in watched.message and "patient" not in watched.message


async def test_the_next_nodes_of_a_stopped_thread_are_marked(studio: Studio) -> None:
    thread = await asked(studio, stepping=True)
    assert {name for name, one in thread.totals.items() if one.state == "next"} == {
        "vision",
        "coordinator",
    }
