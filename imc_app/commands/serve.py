"""`imc serve`: the graph behind the LangGraph server, on this machine."""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from imc_app.command import examples
from imc_app.environment import HOSTS, IMAGE_ROOT, ORIGINS, TOKEN, keep_on_this_machine
from imc_app.model_options import SERVED, ModelSettings, with_served_model
from imc_app.notices import notice
from imc_app.refusals import InputRefused

EXAMPLES = examples(
    "imc serve",
    "imc serve --image-root /data/images --port 2030",
    "IMC_TOKEN=... imc serve --host 0.0.0.0 --origin https://viewer.example.org",
)

RUN_SECONDS = 120
"""After this a run is given up, so that one that hangs does not hold its place for ever."""
RUNS_AT_ONCE = 16
MAX_BODY_BYTES = 64 << 20
"""Of one request: an image of 48 MB as base64."""
CLOSED = {"disable_webhooks": True, "disable_mcp": True, "disable_a2a": True, "disable_ui": True}
"""Parts of the server that send results elsewhere, or that nobody asked for."""
PACKAGE = Path(__file__).parent.parent


@with_served_model
def serve(
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Where to listen.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 2024,
    image_root: Annotated[
        Path | None,
        typer.Option(
            "--image-root",
            envvar=IMAGE_ROOT,
            metavar="FOLDER",
            help="Images may be named by a path under this folder; without it they come as blocks.",
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(
            "--origin",
            envvar=ORIGINS,
            metavar="URL",
            help="A web page that may call, such as https://viewer.example.org; repeatable.",
        ),
    ] = None,
    settings: ModelSettings = SERVED,
) -> None:
    """Serve the graph with the LangGraph server; nothing leaves this machine.

    IMC_TOKEN sets a bearer token that every request must carry; it is required where --host is not
    of this machine alone. Runs and threads are kept in memory and end with the server.
    """
    token = os.environ.get(TOKEN, "")
    if host not in ("127.0.0.1", "localhost", "::1") and not token:
        raise InputRefused(
            f"--host {host} can be reached from other machines: set IMC_TOKEN to a secret, which "
            "every request must then carry"
        )
    if image_root is not None and not image_root.is_dir():
        raise InputRefused(f"--image-root {image_root}: not a folder; name one that exists")
    settings.check()
    _check_free(host, port)
    keep_on_this_machine(os.environ)
    named = {
        IMAGE_ROOT: None if image_root is None else str(image_root.resolve()),
        ORIGINS: ",".join(origin or ()),
        HOSTS: "*" if token and host not in ("127.0.0.1", "localhost", "::1") else host,
        **settings.to_environment(),
        "BG_JOB_TIMEOUT_SECS": str(RUN_SECONDS),
        "BG_JOB_MAX_RETRIES": "1",
        "HTTP_MAX_REQUEST_BODY_BYTES": str(MAX_BODY_BYTES),
    }
    os.environ.update({name: value for name, value in named.items() if value})
    try:
        from langgraph_api.cli import run_server
    except ImportError:
        raise InputRefused(
            "imc serve needs the LangGraph server; install it with: pip install "
            "'imc-agents[serve]'"
        ) from None
    logging.getLogger("langgraph_api.cli").setLevel(logging.WARNING)  # its banner names a web page
    notice(f"serving on http://{host}:{port}; the model is loaded by the first question")
    run_server(**server_options(host, port, origin or []))


def server_options(host: str, port: int, origins: list[str]) -> dict[str, Any]:
    """What the LangGraph server is started with: in memory, closed to other pages, no webhooks."""
    cors = {"allow_origins": origins, "allow_methods": ["*"], "allow_headers": ["*"]}
    serving = PACKAGE / "serving"
    return {
        "host": host,
        "port": port,
        "graphs": {"imc": f"{serving / 'graph.py'}:graph"},
        "http": {"app": f"{serving / 'door.py'}:app", "cors": cors, **CLOSED},
        "n_jobs_per_worker": RUNS_AT_ONCE,
        "disable_persistence": True,  # what hung is not run again, and no pickle is read
        "checkpointer": {"serde": {"pickle_fallback": False}},
        "open_browser": False,
        "reload": False,
    }


def _check_free(host: str, port: int) -> None:
    """Refuse a port that is taken, instead of listening on another one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputRefused(
                f"port {port} of {host} cannot be used ({error.strerror}); give another --port"
            ) from error
