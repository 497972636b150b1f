"""`imc serve`: the graph behind the real LangGraph server, asked through its SDK."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from langgraph_sdk import get_sync_client

from examples.remote_node import build_workflow, image_block
from imc_app.commands.serve import server_options
from tests.conftest import REPOSITORY, Imc
from tests.imc_app.test_refusals import assert_refused

pytestmark = pytest.mark.slow

START_SECONDS = 180  # a busy machine
TOKEN = "s3cret"
IMAGE = REPOSITORY / "examples" / "phantom_ct.png"
QUESTION = "What modality is this?"
HANGING = REPOSITORY / "tests" / "hanging_graph.py"

SERVE = f"""
import sys
from imc_app.commands import serve
options = serve.server_options
def with_hanging_graph(*given):
    made = options(*given)
    return {{**made, "graphs": {{**made["graphs"], "hanging": "{HANGING}:graph"}}}}
serve.server_options = with_hanging_graph
from imc_app.cli import run
sys.exit(run(["serve", *sys.argv[1:]]))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Listener:
    """A place on this machine that a careless server would send to; it counts who connects."""

    connections: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self.socket.accept()
            except OSError:
                return
            with caller:
                caller.settimeout(2)
                try:
                    self.connections.append(caller.recv(200))
                except OSError:
                    self.connections.append(b"")


@dataclass(frozen=True)
class Server:
    """A running server."""

    url: str
    log: Path
    root: Path
    listener: Listener

    @property
    def client(self) -> Any:
        return get_sync_client(url=self.url, headers={"Authorization": f"Bearer {TOKEN}"})

    def ask(self, image: Any, question: str = QUESTION) -> Any:
        return self.client.runs.wait(
            None, "imc", input={"image": image, "question": question}, raise_error=False
        )


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, embedded_model: Path
) -> Iterator[Server]:
    """A running `imc serve`, whose environment asks for tracing, metrics and a proxy."""
    folder = tmp_path_factory.mktemp("served")
    root = folder / "images"
    root.mkdir()
    (root / "ct.png").write_bytes(IMAGE.read_bytes())
    listener, port = Listener(), free_port()
    environment = {
        **os.environ,
        "IMC_TOKEN": TOKEN,
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_API_KEY": "lsv2_key",
        "LANGSMITH_ENDPOINT": listener.url,
        "LANGGRAPH_METRICS_ENABLED": "true",
        "LANGGRAPH_METRICS_ENDPOINT": listener.url,
        "OTEL_EXPORTER_OTLP_ENDPOINT": listener.url,
        "HTTPS_PROXY": listener.url,
        "HTTP_PROXY": listener.url,
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(REPOSITORY),
    }
    command = [sys.executable, "-c", SERVE, "--port", str(port), "--image-root", str(root)]
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until_ready(url, process, log)
            yield Server(url, log, root, listener)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/ok", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass  # not listening yet
        time.sleep(0.2)
    pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")


@pytest.mark.parametrize("image", ["ct.png", image_block(IMAGE)], ids=["path", "block"])
def test_one_question_is_answered_through_the_sdk(server: Server, image: Any) -> None:
    result = server.ask(image)
    assert "__error__" not in result, result
    assert result["answer"]["text"] == "ct"
    assert result["decision"]["used"] == QUESTION


def test_whatever_cannot_be_read_has_one_message(server: Server) -> None:
    os.mkfifo(server.root / "pipe.png")
    (server.root / "notes.txt").write_text("Mrs Doe")
    files = ("none.png", "pipe.png", "notes.txt", "/etc/passwd", "../server.log", "file:///etc")
    errors = {server.ask(name)["__error__"]["message"] for name in files}
    assert len(errors) == 1
    assert errors.pop().startswith("the image cannot be read")


def test_runs_that_hang_hold_up_nobody(server: Server) -> None:
    client = server.client
    for _ in range(4):
        client.runs.create(None, "hanging", input={"question": QUESTION})
    time.sleep(1)
    with ThreadPoolExecutor(6) as pool:
        results = [*pool.map(server.ask, ["ct.png"] * 6)]
    assert [result["answer"]["text"] for result in results] == ["ct"] * 6


def test_requests_without_the_token_or_from_a_page_are_refused(server: Server) -> None:
    run = {"assistant_id": "imc", "input": {"image": "ct.png", "question": QUESTION}}
    token = {"Authorization": f"Bearer {TOKEN}"}
    for headers, status in (
        ({}, 401),
        ({**token, "Origin": "https://evil.example"}, 403),
        ({**token, "Host": "evil.example"}, 421),
    ):
        reply = httpx.post(f"{server.url}/runs/wait", json=run, headers=headers)
        assert reply.status_code == status, reply.text
        assert "access-control-allow-origin" not in reply.headers


def test_a_body_over_the_limit_is_refused(server: Server) -> None:
    reply = httpx.post(
        f"{server.url}/runs/wait",
        content=b'{"assistant_id": "imc", "input": "' + b"a" * (65 << 20) + b'"}',
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
        timeout=60,
    )
    assert reply.status_code == 413


def test_the_served_graph_is_a_node_of_another_graph(server: Server) -> None:
    workflow = build_workflow(server.url, TOKEN)
    state = workflow.invoke({"image": image_block(IMAGE), "question": QUESTION})
    assert state["draft"].startswith("ct (confidence 0.9")


def test_nothing_was_sent_anywhere(server: Server) -> None:
    """The last test: after all that was asked, nobody connected to where the environment says."""
    assert server.ask("ct.png")["answer"]["text"] == "ct"
    time.sleep(2)  # a tracer sends in the background
    assert server.listener.connections == []
    assert QUESTION not in server.log.read_text()
    with socket.create_connection(server.listener.socket.getsockname()) as caller:
        caller.sendall(b"it counts")
    time.sleep(0.5)
    assert server.listener.connections == [b"it counts"]


def test_the_server_calls_no_webhook_and_keeps_nothing_for_a_restart() -> None:
    options = server_options("127.0.0.1", 2024, [])
    assert options["http"]["disable_webhooks"] is True
    assert options["http"]["cors"]["allow_origins"] == []
    assert options["disable_persistence"] is True


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--host", "0.0.0.0"), "IMC_TOKEN"),
        (("--image-root", "nowhere"), "not a folder"),
        (("--model", "nowhere"), "nowhere"),
    ],
)
def test_a_server_that_would_not_be_safe_or_not_work_is_not_started(
    imc: Imc, options: tuple[str, ...], says: str
) -> None:
    assert_refused(imc("serve", *options), says)


def test_a_port_in_use_is_refused(imc: Imc) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert_refused(imc("serve", "--port", taken.getsockname()[1]), "port", "in use")
