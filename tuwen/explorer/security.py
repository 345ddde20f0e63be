"""Who may ask, and what a page may do: the explorer is for the person at this machine alone.

A web page that this person visits elsewhere can send requests to 127.0.0.1, and a name that its owner points there
(DNS rebinding) makes the answers readable. So the header Host must name this machine, a request that changes anything
must come from a page of ours, and a page of ours loads nothing from anywhere else, whatever text it shows.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = ("127.0.0.1", "localhost", "[::1]")
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # `no-referrer` would make forms of ours say that they come from nowhere
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def policy(**more: str) -> str:
    """The Content-Security-Policy; `more` adds to a directive (`style_src="'unsafe-inline'"`)."""
    added: Mapping[str, str] = {name.replace("_", "-"): value for name, value in more.items()}
    return "; ".join(f"{name} {value} {added.get(name, '')}".rstrip() for name, value in POLICY.items())


class LocalOnly:
    """ASGI middleware: refuses foreign hosts and origins, and tells browsers what our pages may do."""

    def __init__(self, app: ASGIApp, port: int | None = None) -> None:
        self._app = app
        self._hosts = {host for name in LOCAL for host in (name, f"{name}:{port}")} if port else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403 or pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if (refusal := self._refusal(scope["method"], headers)) is not None:
            await PlainTextResponse(refusal, 403)(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    given.setdefault(name, value)
                given.setdefault("Content-Security-Policy", policy())
            await send(message)

        await self._app(scope, receive, sent)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if (host not in self._hosts) if self._hosts is not None else (name not in LOCAL):
            return f"The explorer answers on this machine only, not as {host!r}."
        foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if foreign and (headers.get("sec-fetch-mode") != "navigate" or method != "GET"):
            return "This request comes from another site."  # where a link may lead here, and nothing else
        if method not in ("GET", "HEAD") and headers.get("origin", "") != f"http://{host}":
            return "Only a page of the explorer may change anything."
        return None
