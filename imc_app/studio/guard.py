"""What reaches the studio: requests to this machine's own name, of the page's own origin, by whom
the printed address was given to; bodies up to a limit, counted here.

The NiceGUI server itself takes sockets of any origin and leaves upload limits to the browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "imc_studio"
TOKEN = "token"
MAX_BODY = 64_000_000
"""Bytes of a request: the largest image file that is read, with the form around it."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
"""Nothing is loaded from, sent to or shown within another origin."""
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
)

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Guard:
    """ASGI middleware around the whole server, sockets included."""

    def __init__(self, app: ASGIApp, *, token: str, port: int, max_body: int = MAX_BODY) -> None:
        """Guard an application.

        Args:
            app: the application.
            token: of this start of the server; whoever knows it is let in.
            port: that the server listens on.
            max_body: most bytes of a request's body.
        """
        self.app = app
        self.token = token
        self.hosts = {f"{name}:{port}" for name in LOCAL_NAMES}
        self.origins = {f"http://{host}" for host in self.hosts}
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(scope, receive, send, *refusal)
            return
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        if TOKEN in query:
            await self._let_in(scope, send)
            return
        await self._within_limit(scope, headers, receive, send)

    def _refusal(self, scope: Scope, headers: Mapping[str, bytes]) -> tuple[int, str] | None:
        host = headers.get("host", b"").decode("latin-1").lower()
        if host not in self.hosts:
            return 421, "this server answers to 127.0.0.1 and localhost alone"
        origin = headers.get("origin")
        if origin is not None and origin.decode("latin-1").lower() not in self.origins:
            return 403, "a page of another origin may not use this server"
        if not self._knows_token(scope, headers):
            return 403, "open the address that imc studio printed when it started"
        return None

    def _knows_token(self, scope: Scope, headers: Mapping[str, bytes]) -> bool:
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        given = [query.get(TOKEN, "")]
        try:
            cookies = SimpleCookie(headers.get("cookie", b"").decode("latin-1"))
        except CookieError:
            cookies = SimpleCookie()
        if COOKIE in cookies:
            given.append(cookies[COOKIE].value)
        return any(compare_digest(one.encode(), self.token.encode()) for one in given)

    async def _let_in(self, scope: Scope, send: Send) -> None:
        """Put the token into a cookie and take it out of the address."""
        rest = [
            part
            for part in scope["query_string"].split(b"&")
            if not part.startswith(TOKEN.encode() + b"=")
        ]
        path = scope["raw_path"] if scope.get("raw_path") else scope["path"].encode()
        place = b"/" + path.lstrip(b"/") + (b"?" + b"&".join(rest) if rest else b"")
        cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", place), (b"set-cookie", cookie.encode()), *HEADERS]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _within_limit(
        self, scope: Scope, headers: Mapping[str, bytes], receive: Receive, send: Send
    ) -> None:
        too_large = f"larger than {self.max_body // 1_000_000} MB: give a smaller file"
        said = headers.get("content-length", b"0")
        if not said.isdigit() or int(said) > self.max_body:
            await _refuse(scope, receive, send, 413, too_large)
            return
        read, refused = 0, False

        async def counted() -> Message:
            nonlocal read, refused
            message = await receive()
            read += len(message.get("body", b""))
            if read <= self.max_body:
                return message
            if not refused:  # the application below would turn an error into one of its own
                refused = True
                await _refuse(scope, receive, send, 413, too_large)
            return {"type": "http.disconnect"}

        async def answered(message: Message) -> None:
            if refused:
                return
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        try:
            await self.app(scope, counted, answered)
        except Exception:
            if not refused:
                raise


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, why: str) -> None:
    if scope["type"] == "websocket":
        await receive()  # its opening message
        await send({"type": "websocket.close", "code": 1008, "reason": why})
        return
    body = f"imc studio: {why}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
