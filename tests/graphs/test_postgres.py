"""Threads in a real Postgres server, started for the test; skipped where none is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.types import Command

from graphs.checkpoints import CheckpointsRefused, open_checkpointer
from graphs.imc import build_imc_graph
from tests.fakes import FakeCalibrator, grey_square
from tests.graphs.test_imc_graph import CLEAN, TYPO, context_of, thread

pytest.importorskip("psycopg", reason="needs the extra `postgres`")
pytestmark = pytest.mark.slow


def program(name: str) -> str:
    """A program of Debian's package `postgresql`, which lies outside PATH."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin")]
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *map(str, places)]))
    if found is None:
        pytest.skip(f"needs a Postgres server: no {name} here (Debian package postgresql)")
    return found


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Postgres server of this test's own."""
    initdb, server = program("initdb"), program("postgres")
    folder = tmp_path_factory.mktemp("postgres")
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # Postgres refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("needs the user postgres, as which the server runs")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        for parent in folder.parents[:3]:  # made by pytest for its owner alone
            os.chmod(parent, os.stat(parent).st_mode | 0o011)
        as_user = {"user": owner.pw_uid, "group": owner.pw_gid}
    data = folder / "data"
    subprocess.run(
        [initdb, "-D", data, "-A", "trust", "-U", "imc", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **as_user,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-c", f"unix_socket_directories={folder}", "-c", "fsync=off"]
    running = subprocess.Popen(
        [server, "-D", data, "-p", str(port), "-h", "127.0.0.1", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **as_user,
    )
    address = f"postgresql://imc:s3cret@127.0.0.1:{port}/postgres"
    try:
        wait_until_ready(address, running)
        yield address
    finally:
        running.terminate()
        running.wait(timeout=60)


def wait_until_ready(address: str, running: subprocess.Popen[bytes]) -> None:
    import time

    for _ in range(600):
        try:
            open_checkpointer(address).close()
            return
        except CheckpointsRefused:
            assert running.poll() is None, "the server ended"
            time.sleep(0.2)
    pytest.fail("the server did not start")


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


def test_a_stopped_run_is_finished_over_another_connection(url: str) -> None:
    context = context_of(calibrator=FakeCalibrator("gaussian"), review="always")
    picture = context.images.put(grey_square())
    first = build_imc_graph(checkpointer=url)
    paused = first.invoke({"image": picture, "question": TYPO}, thread(), context=context)
    assert paused["__interrupt__"]
    first.checkpointer.close()

    again = context_of(calibrator=FakeCalibrator("gaussian"), review="always")
    graph = build_imc_graph(checkpointer=url)
    state = graph.invoke(Command(resume=True), thread(), context=again)
    assert state["decision"].used == CLEAN
    assert state["answer"].text == "yes"
    ((name, checkpoints, size),) = graph.checkpointer.thread_sizes()
    assert (name, checkpoints > 5, size < 64 << 10) == ("a", True, True)
    graph.checkpointer.delete_thread("a")
    assert graph.checkpointer.thread_sizes() == []


async def test_asynchronous_runs_use_the_same_checkpointer(url: str) -> None:
    context = context_of()
    graph = build_imc_graph(checkpointer=url)
    picture = context.images.put(grey_square())
    await graph.ainvoke({"image": picture, "question": TYPO}, thread("b"), context=context)
    assert (await graph.aget_state(thread("b"))).values["decision"].used == CLEAN


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda url: f"{url}_2", "refuses the user or the database"),
        (lambda url: "postgresql://imc:s3cret@127.0.0.1:1/postgres", "cannot be reached"),
        (lambda url: "postgresql://imc:s3cret@127.0.0.1:port/postgres", "cannot be reached"),
        (lambda url: "postgresql://imc:s3cret@[::1/postgres", "malformed"),
    ],
    ids=["database", "server", "port", "address"],
)
def test_a_server_that_cannot_be_used_is_one_sentence_without_the_password(
    url: str, wrong: Any, said: str
) -> None:
    with pytest.raises(CheckpointsRefused, match=said) as refusal:
        open_checkpointer(wrong(url))
    assert "\n" not in str(refusal.value)
    assert "s3cret" not in str(refusal.value)


def test_a_connection_that_is_lost_in_a_run_is_one_sentence(url: str) -> None:
    graph, context = build_imc_graph(checkpointer=url), context_of()
    picture = context.images.put(grey_square())
    graph.checkpointer.close()
    with pytest.raises(CheckpointsRefused, match="cannot be reached"):
        graph.invoke({"image": picture, "question": TYPO}, thread("c"), context=context)
