"""Who is let in, from where, and how much may be sent."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from imc_app.refusals import InputRefused
from imc_app.studio.guard import COOKIE, Guard
from imc_app.studio.server import free_socket

HOST, TOKEN = "127.0.0.1:8800", "the-token"
OWN = {"host": HOST, "cookie": f"{COOKIE}={TOKEN}"}


async def count(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/", count, methods=["GET", "POST"]), WebSocketRoute("/socket", echo)]
    guard = Guard(Starlette(routes=routes), token=TOKEN, port=8800, max_body=1000)
    return TestClient(guard, base_url=f"http://{HOST}", follow_redirects=False)


def test_the_printed_address_lets_in_and_leaves_the_token_out_of_the_next(
    client: TestClient,
) -> None:
    first = client.get(f"/?token={TOKEN}&a=b")
    assert (first.status_code, first.headers["location"]) == (303, "/?a=b")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert client.get("/").status_code == 200  # the client keeps the cookie


def test_a_redirect_stays_on_this_server(client: TestClient) -> None:
    there = client.get(f"//evil.example/?token={TOKEN}", headers=OWN).headers["location"]
    assert there.startswith("/") and not there.startswith("//")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": HOST}, 403),
        ({"host": HOST, "cookie": f"{COOKIE}=guess"}, 403),
        ({"host": HOST, "cookie": "=;;\x00"}, 403),
        ({**OWN, "host": "evil.example:8800"}, 421),
        ({**OWN, "host": "127.0.0.1:9999"}, 421),
        ({**OWN, "origin": "http://evil.example"}, 403),
        ({**OWN, "origin": "null"}, 403),
        ({**OWN, "origin": f"https://{HOST}"}, 403),
        ({**OWN, "origin": f"http://{HOST}"}, 200),
        ({**OWN, "host": "localhost:8800", "origin": "http://localhost:8800"}, 200),
    ],
)
def test_foreign_hosts_origins_and_strangers_are_refused(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    assert client.post("/", headers=headers).status_code == status


def test_a_socket_of_another_origin_is_refused_at_its_handshake(client: TestClient) -> None:
    with client.websocket_connect("/socket", headers=OWN) as opened:
        assert opened.receive_text() == "hello"
    for bad in ({**OWN, "origin": "http://evil.example"}, {"host": HOST}):
        with (
            pytest.raises(WebSocketDisconnect),
            client.websocket_connect("/socket", headers=bad) as opened,
        ):
            opened.receive_text()


def chunks(number: int) -> Iterator[bytes]:
    for _ in range(number):
        yield b"x" * 100


def test_bodies_are_counted_whatever_their_header_says(client: TestClient) -> None:
    assert client.post("/", content=chunks(10), headers=OWN).text == "1000"
    assert client.post("/", content=chunks(11), headers=OWN).status_code == 413
    assert client.post("/", content=b"x" * 1001, headers=OWN).status_code == 413
    lie = {**OWN, "content-length": "-1"}
    assert client.post("/", headers=lie).status_code == 413


def test_every_answer_forbids_other_origins(client: TestClient) -> None:
    for headers in (OWN, {"host": HOST}):
        policy = client.get("/", headers=headers).headers["content-security-policy"]
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port: Any = other.getsockname()[1]
        with pytest.raises(InputRefused, match=f"--port {port}"):
            free_socket(port)


def test_the_address_can_be_opened_before_the_server_runs() -> None:
    with free_socket(0) as held, socket.create_connection(held.getsockname()):
        pass
