"""Who may talk to the server: a host, an origin and, where one is set, a token are checked first.

A web page cannot reach the server by a name of its own (DNS rebinding), by a request that needs no
CORS answer, or by a socket: whatever carries an `Origin` that was not named is refused.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from imc_app.environment import HOSTS, ORIGINS, TOKEN

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
OPEN_PATHS = frozenset({"/ok"})
"""Answered without a token: they say that the server runs."""

THREADS = 64


class Door:
    """Refuses foreign hosts and origins, and requests without the token, in one sentence each."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str = "",
        origins: frozenset[str] = frozenset(),
        hosts: frozenset[str] = frozenset(),
    ) -> None:
        """
        Args:
            app: what is behind it.
            token: required as `Authorization: Bearer TOKEN` or `X-Api-Key: TOKEN`; empty: none is.
            origins: web pages that may call, as `https://viewer.example.org`.
            hosts: names of this server beside the loopback ones; `*`: any.
        """
        self.app, self.token, self.origins = app, token, origins
        self.hosts = hosts | LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            status, detail = refusal
            await JSONResponse({"detail": detail}, status)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): it.decode("latin-1") for name, it in scope["headers"]}
        host = _host(f"//{headers.get('host', '')}")
        if host not in self.hosts and "*" not in self.hosts:
            return 421, "this server is not called by that name; the operator names it with --host"
        origin = headers.get("origin")
        if origin is not None and origin not in self.origins and not _is_own(origin, headers):
            return 403, "pages of that origin may not call; the operator names it with --origin"
        if self.token and scope["path"] not in OPEN_PATHS and not self._has_token(scope, headers):
            return 401, "a token is required: send Authorization: Bearer TOKEN"
        return None

    def _has_token(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        if scope.get("method") == "OPTIONS" and headers.get("origin") in self.origins:
            return True  # a preflight request carries no token, and runs nothing
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = (bearer.strip() if kind.lower() == "bearer" else "", headers.get("x-api-key", ""))
        wanted = self.token.encode()
        return any(hmac.compare_digest(one.encode("utf-8", "replace"), wanted) for one in given)


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""


def _is_own(origin: str, headers: Mapping[str, str]) -> bool:
    """Whether a page of this server itself calls (its API documentation)."""
    return _netloc(origin) == headers.get("host", "").lower() != ""


def _netloc(url: str) -> str:
    """The host and port of a URL; empty where it is malformed."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def names(value: str | None) -> frozenset[str]:
    """The comma-separated names in a variable."""
    return frozenset(filter(None, (one.strip().lower() for one in (value or "").split(","))))


def door_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """The door's arguments from the operator's variables."""
    return {
        "token": environment.get(TOKEN, ""),
        "origins": names(environment.get(ORIGINS)),
        "hosts": names(environment.get(HOSTS)),
    }


@asynccontextmanager
async def _many_threads(_: Starlette) -> AsyncIterator[None]:
    """Nodes run in threads: one that hangs takes one of these for good, and not one of six."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    yield


app = Starlette(middleware=[Middleware(Door, **door_of(os.environ))], lifespan=_many_threads)
"""What `langgraph.json` names: the LangGraph server puts its own routes behind the door."""
