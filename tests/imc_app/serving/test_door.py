"""Who may talk to the server: hosts, origins and the token, checked before anything else."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from imc_app.environment import keep_on_this_machine
from imc_app.serving.door import Door, door_of

VIEWER = "https://viewer.example.org"


def client(**door: Any) -> TestClient:
    """A client of a small server behind the door."""

    async def answer(request: Any) -> PlainTextResponse:
        return PlainTextResponse("answered")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    routes = [
        Route("/ok", answer),
        Route("/runs/wait", answer, methods=["POST", "OPTIONS"]),
        WebSocketRoute("/socket", socket),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Door, **door)])
    return TestClient(app, base_url="http://127.0.0.1:2024")


def asked(caller: TestClient, **headers: str) -> int:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return int(caller.post("/runs/wait", headers=names).status_code)


def test_a_program_on_this_machine_is_answered() -> None:
    assert asked(client()) == 200


@pytest.mark.parametrize(
    "origin", [VIEWER, "null", "http://127.0.0.1:9999", "http://localhost", "http://[", ""]
)
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert asked(client(), origin=origin) == 403


def test_named_origins_and_the_servers_own_pages_are_answered() -> None:
    caller = client(origins=frozenset({VIEWER}))
    assert asked(caller, origin=VIEWER) == 200
    assert asked(caller, origin="http://127.0.0.1:2024") == 200
    assert asked(caller, origin=f"{VIEWER}.evil.example") == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.1"])
def test_a_foreign_name_of_the_server_is_refused(host: str) -> None:
    assert asked(client(), host=host) == 421


def test_hosts_that_the_operator_names_are_answered() -> None:
    named = client(hosts=frozenset({"imc.example.org"}))
    assert asked(named, host="imc.example.org") == 200
    assert asked(client(hosts=frozenset({"*"})), host="anything:8080") == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic s3cret"}, 401),
        ({"authorization": "Bearer s3cret"}, 200),
        ({"authorization": "bearer  s3cret "}, 200),
        ({"x_api_key": "s3cret"}, 200),
        ({"x_api_key": "s3cre\xe9"}, 401),
    ],
)
def test_a_token_is_required_where_one_is_set(headers: dict[str, str], status: int) -> None:
    encoded = {name.replace("_", "-"): value.encode("latin-1") for name, value in headers.items()}
    caller = client(token="s3cret")
    assert caller.post("/runs/wait", headers=encoded).status_code == status
    assert caller.get("/ok").status_code == 200


def test_a_preflight_request_of_a_named_origin_needs_no_token() -> None:
    caller = client(token="s3cret", origins=frozenset({VIEWER}))
    assert caller.options("/runs/wait", headers={"origin": VIEWER}).status_code == 200
    assert caller.options("/runs/wait").status_code == 401


def test_a_socket_of_another_origin_is_closed() -> None:
    headers = {"origin": VIEWER, "host": "127.0.0.1"}
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client().websocket_connect("/socket", headers=headers),
    ):
        pass
    assert closed.value.code == 1008


def test_the_operators_variables_are_the_doors_arguments() -> None:
    door = door_of({"IMC_TOKEN": "s3cret", "IMC_ORIGINS": f" {VIEWER}, ,http://b.example"})
    assert door["token"] == "s3cret"
    assert door["origins"] == {VIEWER, "http://b.example"}
    assert door["hosts"] == frozenset()


def test_nothing_that_sends_stays_on_whatever_the_environment_says() -> None:
    environment = {
        "LANGSMITH_TRACING": "true",
        "LANGCHAIN_TRACING_V2": "true",
        "LANGSMITH_API_KEY": "key",
        "LANGCHAIN_ENDPOINT": "https://traces.example",
        "LANGGRAPH_CLOUD_LICENSE_KEY": "lcl_x",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otel.example",
        "LSD_DD_API_KEY": "key",
        "LANGGRAPH_METRICS_ENABLED": "true",
        "LANGSMITH_LANGGRAPH_API_VARIANT": "local_dev",
        "IMC_TOKEN": "s3cret",
        "PATH": "/bin",
    }
    keep_on_this_machine(environment)
    assert environment["LANGSMITH_TRACING"] == environment["LANGCHAIN_TRACING_V2"] == "false"
    assert environment["LANGGRAPH_METRICS_ENABLED"] == "false"
    assert environment["LANGGRAPH_NO_VERSION_CHECK"] == "true"
    assert not {name for name in environment if "KEY" in name or "ENDPOINT" in name}
    assert environment["PATH"] == "/bin" and environment["IMC_TOKEN"] == "s3cret"
    assert environment["LANGSMITH_LANGGRAPH_API_VARIANT"] == "local_dev"  # the server's own
