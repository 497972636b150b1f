"""The studio behind its pages: the model, the threads, and the worker that runs them.

Jobs of the model run one after the other on one worker thread, in the background: a page that is
closed ends none.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphs.checkpoints.kept import KeptThreads
from graphs.debugging import DebugSession
from imc_app.refusals import InputRefused, one_line
from imc_app.studio.threads import StudioThread, sentence

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel

    from graphs.context import IMCContext
    from imc_agents.policy import Method, Review
    from vision.reading.medical_image import MedicalImage

MOST_THREADS = 64
"""Threads that are in memory; older ones are read from their checkpoints again."""


class Studio:
    """The model, the threads, and one worker that runs them, one after the other."""

    def __init__(
        self,
        open_context: Callable[[], IMCContext],
        *,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        graph: Pregel[Any, Any, Any, Any] | None = None,
        stores: Sequence[Path] = (),
    ) -> None:
        """Prepare; `load` opens the model.

        Args:
            open_context: loads the model; called once, in the background.
            checkpointer: where threads are kept; None: in memory.
            graph: the graph that is stepped; None: the imc graph.
            stores: of benchmark runs, for the Bench page.
        """
        self.stores = tuple(stores)
        self._open_context = open_context
        self._context: IMCContext | None = None
        self.checkpointer = checkpointer
        self.own_graph = graph
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="studio")
        self._threads: OrderedDict[str, StudioThread] = OrderedDict()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def loaded(self) -> IMCContext | None:
        """The model and all beside it, where it is loaded."""
        return self._context

    async def context(self) -> IMCContext:
        """The model and all beside it; loaded when first needed. Raises what loading raises."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, self._loaded)

    def preload(self) -> None:
        """Load the model in the background; where it fails, the first question says why."""
        self.worker.submit(self._loaded)

    def _loaded(self) -> IMCContext:
        if self._context is None:
            self._context = self._open_context()
        return self._context

    async def work(self, job: Callable[[], Any]) -> Any:
        """The result of a job of the model's, on the worker."""
        return await asyncio.get_running_loop().run_in_executor(self.worker, job)

    def ask(
        self,
        image: MedicalImage,
        question: str,
        *,
        method: Method = "imc",
        review: Review = "never",
        stepping: bool = False,
    ) -> StudioThread:
        """Begin a thread and run it in the background. Call it on the event loop.

        Args:
            image: what is asked about.
            question: what is asked.
            method: what is done before the model answers.
            review: when a person is asked before it does.
            stepping: stop before the first nodes.

        Raises:
            QuestionRefused: the question cannot be asked.
        """
        from imc_agents.safeguards.question_checks import check_question

        check_question(question)
        thread = self._put(self._session(None))
        thread.image, thread.question = image, question
        thread._state = {"question": question}

        def run() -> None:
            context = self._loaded().with_policy(method=method, review=review)
            thread.session.context = context
            thread.session.start({"image": context.images.put(image), "question": question})
            if not stepping:
                thread.session.run()

        self.begin(thread, "starting" if stepping else "answering", run)
        return thread

    async def thread(self, name: str) -> StudioThread:
        """A thread by its id: from memory, else from its checkpoints.

        Raises:
            InputRefused: there is none.
        """
        held = self._threads.get(name)
        if held is not None:
            self._threads.move_to_end(name)
            return held
        if self.checkpointer is None:
            raise InputRefused(f"thread {name!r} is unknown: this studio keeps none after it ends")
        session = self._session(await self.context(), name)
        await self.work(session.open)
        thread = self._put(session)
        await self.work(lambda: self._read_again(thread))
        return thread

    def _read_again(self, thread: StudioThread) -> None:
        thread.read()
        thread.question = str(thread.state.get("question", ""))
        source = thread.state.get("image")
        if source is not None:
            kept = getattr(self.checkpointer, "images", None)
            if kept is not None:
                self._loaded().images.search(kept)
            thread.image = self._loaded().images.read(source)

    def begin(
        self, thread: StudioThread, doing: str, job: Callable[[], Any], *, anew: bool = True
    ) -> None:
        """Do a thread's job in the background; a thread has one at a time.

        Args:
            thread: whose session the job moves.
            doing: what the pages say of it.
            job: run on the worker; a refusal becomes the thread's message.
            anew: forget the runs of nodes before it.

        Raises:
            InputRefused: another job of the thread goes on.
        """
        if thread.doing:
            raise InputRefused(f"this thread is {thread.doing}: wait until it ends, or stop it")
        thread.doing, thread.message = doing, ""
        if anew:
            thread.ended.clear()
        task = asyncio.get_running_loop().create_task(self._run(thread, job))
        self._tasks.add(task)  # the event loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _run(self, thread: StudioThread, job: Callable[[], Any]) -> None:
        thread._loop = asyncio.get_running_loop()
        thread.changed()

        def done() -> None:
            try:
                job()
            finally:
                thread.read()

        try:
            await self.work(done)
        except Exception as error:  # what a page shows; the server goes on
            thread.message = sentence(error)
        finally:
            thread.doing = ""
            thread.running.clear()
            last = thread.session.stops[-1] if thread.session.stops else None
            if last is not None and last.error and not thread.message:
                thread.message = one_line(last.error)
            thread.changed()

    def _session(
        self, context: IMCContext | None, name: str | None = None
    ) -> DebugSession[IMCContext]:
        from graphs.imc import build_imc_graph

        graph = self.own_graph if self.own_graph is not None else build_imc_graph()
        return DebugSession(
            graph, context=context, thread_id=name, checkpointer=self.checkpointer
        )

    def _put(self, session: DebugSession[Any]) -> StudioThread:
        thread = StudioThread(session)
        self._threads[thread.id] = thread
        for name in list(self._threads)[: max(0, len(self._threads) - MOST_THREADS)]:
            if not self._threads[name].doing:
                del self._threads[name]
        return thread

    def close(self) -> None:
        """Stop runs after their present step, and the worker after its present job."""
        for thread in self._threads.values():
            thread.session.stop()
        self.worker.shutdown(wait=False, cancel_futures=True)

    def known_threads(self) -> list[tuple[str, str]]:
        """Ids of threads, the latest first, with the question where it is in memory."""
        found = {one.id: one.question for one in reversed(self._threads.values())}
        if isinstance(self.checkpointer, KeptThreads):
            for name, _, _ in self.checkpointer.thread_sizes()[:MOST_THREADS]:
                found.setdefault(name, "")
        return list(found.items())
