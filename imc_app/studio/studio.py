"""The studio behind its pages: the model, the threads, and the worker that runs them.

Jobs of the model run one after the other on one worker thread, in the background: a page that is
closed ends none.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from graphs.checkpoints.kept import KeptThreads
from graphs.debugging import DebugSession
from graphs.stores import Recent
from imc_agents.policy import Policy
from imc_app.kept_questions import RECORD, AskSettings
from imc_app.refusals import InputRefused
from imc_app.studio.threads import StudioThread
from imc_app.studio.watched import Computation, Watched

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel

    from graphs.context import IMCContext
    from imc_agents.policy import Method, Review
    from vision.reading.medical_image import MedicalImage

POLICY = "imc_policy"
"""Key of a checkpoint's metadata under which the policy that a thread was begun with lies."""
MOST_THREADS = 64
"""Threads that are in memory; older ones are read from their checkpoints again."""
MOST_COMPUTATIONS = 16
"""Comparisons and noise experiments whose results are in memory, with their pictures."""


class Studio:
    """The model, the threads, and one worker that runs them, one after the other."""

    def __init__(
        self,
        open_context: Callable[[], IMCContext],
        *,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        graph: Pregel[Any, Any, Any, Any] | None = None,
        stores: Sequence[Path] = (),
        data: Path | None = None,
    ) -> None:
        """Prepare; `load` opens the model.

        Args:
            open_context: loads the model; called once, in the background.
            checkpointer: where threads are kept; None: in memory.
            graph: the graph that is stepped; None: the imc graph.
            stores: of benchmark runs, for the Bench page.
            data: folder of their data sets.
        """
        self.data = data
        self.stores = tuple(stores)
        self._open_context = open_context
        self._context: IMCContext | None = None
        self.checkpointer = checkpointer
        self.own_graph = graph
        self.worker = ThreadPoolExecutor(1, thread_name_prefix="studio")
        self._threads: OrderedDict[str, StudioThread] = OrderedDict()
        self._computations: OrderedDict[str, Computation] = OrderedDict()
        self._pictures: Recent[str, MedicalImage] = Recent(MOST_COMPUTATIONS)
        self._tasks: set[asyncio.Task[Any]] = set()

    def preload(self) -> None:
        """Load the model in the background; where it fails, the first question says why."""
        self.worker.submit(self.open)

    def open(self) -> IMCContext:
        """The model and all beside it; loaded when first needed. On the worker alone."""
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
        thread = self._put(StudioThread(self._session(None), question))
        thread.image = image

        def run() -> None:
            context = self.open().with_policy(method=method, review=review)
            thread.session.context = context
            thread.session.metadata = {POLICY: context.policy.model_dump_json()}
            thread.session.start({"image": context.images.put(image), "question": question})
            if not stepping:
                thread.session.run()

        self.move(thread, "starting" if stepping else "answering", run, anew=True)
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
        session = await self.work(lambda: self._opened_again(name))
        thread = StudioThread(session)
        await self.work(lambda: self._read_again(thread))
        return self._put(thread)

    def _opened_again(self, name: str) -> DebugSession[IMCContext]:
        """The session of a kept thread, under the policy that it was begun with. On the worker.

        Raises:
            InputRefused: that policy is not one of this version.
        """
        context, kept = self.open(), None
        if self.checkpointer is not None:
            kept = self.checkpointer.get_tuple({"configurable": {"thread_id": name}})
        recorded: dict[str, Any] = {} if kept is None else dict(kept.metadata)
        policy = context.policy
        try:
            if POLICY in recorded:
                policy = Policy.model_validate_json(recorded[POLICY])
            elif RECORD in recorded:  # begun by imc ask or imc step
                begun = AskSettings.read(recorded[RECORD])
                chosen = {"method": begun.method, "seed": begun.seed}
                policy = Policy.model_validate({**policy.model_dump(), **chosen})
        except ValidationError:
            raise InputRefused(
                f"thread {name!r} was begun by another version, with a policy that this one does "
                "not know: ask again"
            ) from None
        session = self._session(replace(context, policy=policy), name)
        session.metadata = {key: recorded[key] for key in (POLICY, RECORD) if key in recorded}
        session.open()
        return session

    def _read_again(self, thread: StudioThread) -> None:
        thread.read()
        thread.question = str(thread.state.get("question", ""))
        source = thread.state.get("image")
        if source is not None:
            kept = getattr(self.checkpointer, "images", None)
            if kept is not None:
                self.open().images.search(kept)
            thread.image = self.open().images.read(source)

    def begin(self, watched: Watched, doing: str, job: Callable[[], Any]) -> None:
        """Do a job in the background. Call it on the event loop.

        Args:
            watched: whose job it is; it has one at a time.
            doing: what the pages say of it.
            job: run on the worker; its error becomes the message.

        Raises:
            InputRefused: another job of it goes on.
        """
        if watched.doing:
            raise InputRefused(f"still {watched.doing}: wait until that ends, or stop it")
        watched.began(doing)
        task = asyncio.get_running_loop().create_task(self._run(watched, job))
        self._tasks.add(task)  # the event loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _run(self, watched: Watched, job: Callable[[], Any]) -> None:
        try:
            await self.work(job)
        except Exception as error:  # what the pages show; the server goes on
            watched.ended(error)
        else:
            watched.ended(None)

    def move(
        self, thread: StudioThread, doing: str, job: Callable[[], Any], *, anew: bool = False
    ) -> None:
        """A job that moves a thread's session; its state is read when that has ended.

        Args:
            thread: whose session.
            doing: what the pages say of it.
            job: run on the worker.
            anew: forget the runs of nodes before it.

        Raises:
            InputRefused: another job of the thread goes on.
        """

        def moved() -> None:
            if anew:
                thread.node_runs.clear()
            try:
                job()
            finally:
                thread.read()

        self.begin(thread, doing, moved)

    def computation(self, key: str, doing: str, job: Callable[[], Any]) -> Computation:
        """The computation of a key: begun where there is none yet. On the event loop."""
        held = self._computations.get(key)
        if held is not None and not (held.message and not held.doing):
            return held
        made = self._computations[key] = Computation()
        while len(self._computations) > MOST_COMPUTATIONS:
            self._computations.popitem(last=False)

        def computed() -> None:
            made.result = job()

        self.begin(made, doing, computed)
        return made

    def put_picture(self, image: MedicalImage) -> str:
        """Hold a picture for the Image page; returns the name in its address."""
        self._pictures.put(image.sha256[:16], image)
        return image.sha256[:16]

    async def picture(self, name: str) -> MedicalImage:
        """The picture of a name of `put_picture`, or of a thread.

        Raises:
            InputRefused: there is none.
        """
        held = self._pictures.get(name)
        if held is not None:
            return held
        thread = await self.thread(name)
        if thread.image is None:
            raise InputRefused(f"thread {name!r} has no picture: choose one below")
        return thread.image

    def _session(
        self, context: IMCContext | None, name: str | None = None
    ) -> DebugSession[IMCContext]:
        from graphs.imc import build_imc_graph

        graph = self.own_graph if self.own_graph is not None else build_imc_graph()
        return DebugSession(
            graph, context=context, thread_id=name, checkpointer=self.checkpointer
        )

    def _put(self, thread: StudioThread) -> StudioThread:
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
