"""The studio's server: pages on this machine's loopback address, guarded by a token per start."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from imc_app.refusals import InputRefused
from imc_app.studio.guard import Guard

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from imc_app.studio.studio import Studio

HOST = "127.0.0.1"


def free_socket(port: int) -> socket.socket:
    """A socket that listens on the loopback address: who connects before the server runs waits.

    Args:
        port: 0 for any that is free.

    Raises:
        InputRefused: the port is in use, or may not be used.
    """
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
        held.listen()
    except OSError as error:
        held.close()
        raise InputRefused(
            f"--port {port}: cannot be used ({error.strerror}): another program may be listening "
            "there; give another port, or 0 for any free one"
        ) from error
    return held


def register_pages(studio: Studio) -> None:
    """Register every page of the studio with NiceGUI."""
    from imc_app.studio.ask_page import add_ask_page
    from imc_app.studio.bench_page import add_bench_page
    from imc_app.studio.image_page import add_image_page
    from imc_app.studio.noise_page import add_noise_page
    from imc_app.studio.step_page import add_step_page

    add_ask_page(studio)
    add_step_page(studio)
    add_image_page(studio)
    add_noise_page(studio)
    add_bench_page(studio)


def make_app(studio: Studio, *, token: str, port: int) -> ASGIApp:
    """The whole server as an ASGI application."""
    from fastapi import FastAPI
    from nicegui import ui

    @asynccontextmanager
    async def lifespan(_: FastAPI):  # type: ignore[no-untyped-def]
        studio.preload()
        yield
        studio.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    register_pages(studio)
    ui.run_with(
        app,
        title="imc studio",
        dark=None,
        language="en-US",
        reconnect_timeout=30,
        show_welcome_message=False,
        gzip_middleware_factory=None,
        cache_control_directives="no-store",
    )
    return Guard(app, token=token, port=port)


def serve(studio: Studio, *, port: int, announce: Callable[[str], None]) -> None:
    """Serve until the process is asked to stop.

    Args:
        studio: what is served.
        port: 0 for any that is free.
        announce: given the address, with the token of this start.

    Raises:
        InputRefused: the port cannot be used.
    """
    import uvicorn

    held = free_socket(port)
    number = int(held.getsockname()[1])
    token = secrets.token_urlsafe(24)
    config = uvicorn.Config(
        make_app(studio, token=token, port=number),
        log_level="critical",
        access_log=False,
        server_header=False,
        ws_max_size=16_000_000,
        timeout_graceful_shutdown=2,
    )
    announce(f"http://{HOST}:{number}/?token={token}")
    uvicorn.Server(config).run(sockets=[held])
