"""One request: the corpus as it is, the view that the URL asks for, the language of the person, and how to answer."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import jinja2
from markupsafe import Markup
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

import tuwen
from tuwen.errors import TuwenError, UsageError
from tuwen.explorer.cutting import Cutting, command
from tuwen.explorer.messages import LANGUAGES, translations
from tuwen.explorer.prepared import WAITED, NotReadyError
from tuwen.explorer.scan import Stop, TimeUpError
from tuwen.explorer.snapshot import Explored, Snapshot
from tuwen.explorer.thumbnails import Thumbnails
from tuwen.explorer.view import Term, View
from tuwen.releases.page import plain_text

LOOKS = 5  # at a corpus that changes meanwhile
LOG = logging.getLogger("tuwen.explorer")
MAX_FORM_BYTES = 32 << 20
YEAR_S = 365 * 86_400
BLUR = ("on", "off")
HEAVY = min(4, max(2, os.cpu_count() or 1))  # requests that read the corpus at once; others wait
LONG, LONG_S = 1, 25.0  # of those that may take so long, and hundreds of megabytes: one after the other
LIGHT = 16  # that read one row or none; files of ours are sent by other threads and wait for none of these
Handler = Callable[["Visit"], Response]


@dataclass
class Explorer:
    """What all requests share."""

    path: Path
    explored: Explored = field(init=False)
    thumbnails: Thumbnails = field(init=False)
    uploads: Path = field(init=False)
    cutting: Cutting = field(init=False)
    limiters: dict[str, anyio.CapacityLimiter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.explored = Explored(self.path)
        folder = self.path / "cache" / "explorer"
        self.thumbnails = Thumbnails(folder / "thumbnails")
        self.uploads = folder / "uploads"
        self.cutting = Cutting(self.path)

    def limiter_of(self, seconds: float, light: bool) -> anyio.CapacityLimiter:
        """What requests of a kind wait for; made within the running event loop."""
        if not self.limiters:
            sizes = {"light": LIGHT, "heavy": HEAVY, "long": LONG}
            self.limiters = {kind: anyio.CapacityLimiter(size) for kind, size in sizes.items()}
        return self.limiters["light" if light else "long" if seconds >= LONG_S else "heavy"]


@dataclass
class Visit:
    """A request, as handlers see it. Handlers run in a thread; `stop` turns true when nobody waits any more."""

    explorer: Explorer
    request: Request
    snapshot: Snapshot
    stop: Stop
    form: FormData | None = None

    @functools.cached_property
    def language(self) -> str:
        """`en` or `zh`: as asked for in the URL, chosen before, or preferred by the browser."""
        asked = self.request.query_params.get("lang") or self.request.cookies.get("tuwen_lang")
        if asked in LANGUAGES:
            return str(asked)
        accepted = self.request.headers.get("accept-language", "").lower()
        return "zh" if accepted.startswith("zh") else "en"

    @property
    def default_unit(self) -> str:
        """Pictures first, where there are any."""
        return "image" if self.snapshot.num_rows("image") else "pair"

    @functools.cached_property
    def view(self) -> View:
        """What the URL asks for."""
        return View.from_query(self.request.query_params.multi_items(), self.default_unit)

    def argument(self, name: str, default: str = "") -> str:
        """A parameter of the URL, or a field of a form that was sent."""
        if self.form is not None and isinstance(value := self.form.get(name), str):
            return value
        return self.request.query_params.get(name, default)

    def translated(self, text: str, **values: Any) -> str:
        """A text of ours in the language of the person."""
        found = str(translations(self.language).gettext(text))
        return found % values if values else found

    def render(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page or a part of one."""
        environment = _environment(self.language)
        text = environment.get_template(template).render(visit=self, snapshot=self.snapshot, View=View, Term=Term,
                                                         unblurred=self.unblurred, **values)  # fmt: skip
        response = HTMLResponse(text, status, {"Cache-Control": "no-store"})
        if self.request.query_params.get("lang") in LANGUAGES:
            response.set_cookie("tuwen_lang", self.language, max_age=YEAR_S, samesite="strict", httponly=True)
        if self.request.query_params.get("blur") in BLUR and not self.is_foreign:
            response.set_cookie("tuwen_blur", self.request.query_params["blur"], max_age=YEAR_S, samesite="strict")
        return response

    def here(self, **changes: str) -> str:
        """This page with other parameters."""
        url = self.request.url.include_query_params(**changes)
        return f"/{url.path.lstrip('/')}?{url.query}"  # two slashes would lead to another host

    @property
    def unblurred(self) -> bool:
        """Whether this person has asked for pictures without blur."""
        asked = self.request.query_params.get("blur")
        return (asked if asked in BLUR and not self.is_foreign else self.request.cookies.get("tuwen_blur")) == "off"

    @property
    def is_foreign(self) -> bool:
        """Whether a link of another site led here: it does not decide what this person gets to see unblurred."""
        return self.request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none")

    @property
    def is_part(self) -> bool:
        """Whether a script asks for a part of a page."""
        return self.request.headers.get("x-part") == "1"


def endpoint(handler: Handler, seconds: float, *, light: bool = False) -> Callable[[Request], Any]:
    """An ASGI endpoint that runs a handler in a thread, and stops it when the browser has moved on.

    `light`: it reads one row or none, so it does not wait until those that read many have ended.
    """

    async def answer(request: Request) -> Response:
        explorer: Explorer = request.app.state.explorer
        stop = Stop(seconds)
        if (refused := too_large(request)) is not None:
            return refused
        form = await request.form(max_files=1, max_part_size=MAX_FORM_BYTES) if request.method == "POST" else None
        limiter = explorer.limiter_of(seconds, light)
        result: list[Response] = []

        async def work(scope: anyio.CancelScope) -> None:
            def run() -> Response:
                if not light:  # whose time counts from the start: pictures that wait must not add up
                    stop.begin()
                if stop:
                    return Response(status_code=499)  # nobody waits any more
                if not light:  # pages wait for all that they need as long as for one thing; pictures wait on
                    WAITED.set([0.0])
                return answered(handler, explorer, request, stop, form)

            result.append(await anyio.to_thread.run_sync(run, limiter=limiter))
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(work, group.cancel_scope)
            while not result:
                await anyio.sleep(0.25)
                if not result and await request.is_disconnected():
                    stop.cancel()
        return result[0]

    return answer


def too_large(request: Request) -> Response | None:
    """What a request is answered whose body is none that a page of ours sends: nobody reads it to find that out."""
    if request.method != "POST":
        return None
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return PlainTextResponse("how long is it?", 411)
    return PlainTextResponse("that is too large", 413) if int(length) > MAX_FORM_BYTES else None


def answered(handler: Handler, explorer: Explorer, request: Request, stop: Stop, form: FormData | None) -> Response:
    """What a handler answers, or a page that says in words what went wrong.

    What a snapshot reads may be gone from the disk when the corpus has changed: then the new one is asked. A purge
    changes it several times.
    """
    try:
        for _ in range(LOOKS):
            snapshot = explorer.explored.snapshot()
            response = _answered(handler, Visit(explorer, request, snapshot, stop, form))
            if response.status_code < 409 or request.method != "GET" or not explorer.explored.has_moved_on(snapshot):
                break
        return response
    except Exception as error:  # moved, deleted, or of a newer format: there is nothing to draw a page of
        LOG.exception("%s", explorer.path)
        return PlainTextResponse(f"The corpus {explorer.path} cannot be read any more: {error}", 503)


def _answered(handler: Handler, visit: Visit) -> Response:
    part = "part_" if visit.is_part else ""
    try:
        return handler(visit)
    except NotReadyError as error:
        response = visit.render(f"{part}waiting.html", 202, what=error.what)
        response.headers["Retry-After"] = "1"
        return response
    except UsageError as error:
        return visit.render(f"{part}error.html", 400, message=str(error))
    except TuwenError as error:
        return visit.render(f"{part}error.html", 409, message=str(error))
    except TimeUpError:
        return (
            Response(status_code=499)
            if visit.stop.is_cancelled
            else visit.render(
                f"{part}error.html", 409, message=visit.translated("This takes too long for a page; ask for less.")
            )
        )
    except Exception:
        level = logging.DEBUG if visit.explorer.explored.has_moved_on(visit.snapshot) else logging.ERROR
        LOG.log(level, "%s %s", visit.request.method, visit.request.url, exc_info=True)
        return visit.render(f"{part}error.html", 500, message=None)


def redirect(url: str) -> Response:
    """Go on to another page of ours."""
    return RedirectResponse(url, 303)


@functools.cache
def _environment(language: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tuwen.explorer"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= {"web": web, "lines": lines, "count": counted, "short": short}
    environment.tests["webaddress"] = is_web_address
    environment.globals |= {"language": language, "version": tuwen.__version__, "LANGUAGES": LANGUAGES,
                            "folder": os.path.basename, "command_of": command}  # fmt: skip
    return environment


def web(value: object, limit: int = 300) -> Markup:
    """Text of the web, isolated from the direction of what stands around it: it shows itself and does nothing.

    Control characters, those that turn the direction of text among them, become spaces; beyond `limit` it is cut.
    """
    text = " ".join(plain_text(str(value)[: 4 * limit]).split())
    cut = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return Markup('<bdi dir="auto">{}</bdi>').format(cut)


def lines(value: object, limit: int = 20_000) -> Markup:
    """As `web`, with the lines that it has."""
    text = str(value)[:limit]
    return Markup('<bdi dir="auto">{}</bdi>').format("\n".join(map(plain_text, text.splitlines())))


def is_web_address(value: object) -> bool:
    """Whether a text is an address of the web that a link may lead to."""
    try:
        return isinstance(value, str) and urlsplit(value).scheme in ("http", "https") and value.isprintable()
    except ValueError:
        return False


def short(value: object, limit: int = 60) -> str:
    """Text of the web for an attribute: one line, cut."""
    text = " ".join(plain_text(str(value)[: 4 * limit]).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def counted(value: float) -> str:
    """12,345 for people."""
    return f"{value:,}"


Routes = Sequence[tuple[str, str, Handler, float]]
"""What a module of pages offers: method, path, handler, and the seconds that it may take."""
