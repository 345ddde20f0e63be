"""The Starlette application: routes to pages, parts of pages and pictures."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from anyio import to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from tuwen.corpus.tables import ID_CHARACTERS
from tuwen.explorer.pages import (
    browse,
    compare,
    distributions,
    duplicates,
    funnel,
    item,
    projection,
    releases,
    selections,
    thresholds,
)
from tuwen.explorer.prepared import NotReadyError
from tuwen.explorer.security import LocalOnly
from tuwen.explorer.thumbnails import SIZES
from tuwen.explorer.visit import Explorer, Visit, endpoint

PAGES = (browse, item, funnel, thresholds, distributions, projection, duplicates, compare, selections, releases)
STATIC = Path(str(resources.files("tuwen.explorer") / "static"))
A_WHILE = "private, max-age=600"  # no longer: what is taken down must go from browsers, too


def make_app(path: str | Path, port: int | None = None) -> Starlette:
    """The application for a corpus folder; `port`: the only one it answers to (None: any, for tests)."""
    routes: list[BaseRoute] = [
        Route(url, endpoint(handler, seconds), methods=[method])
        for module in PAGES
        for method, url, handler, seconds in module.ROUTES
    ]
    routes += [
        Route("/picture/{id}", endpoint(picture, 30.0, light=True)),
        Route("/plotly.js", plotly),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/{path:path}", endpoint(nowhere, 1.0)),
    ]
    middleware = [Middleware(LocalOnly, port=port), Middleware(GZipMiddleware, minimum_size=2_000)]
    app = Starlette(routes=routes, middleware=middleware, lifespan=_until_the_end)
    app.state.explorer = Explorer(Path(path))
    return app


@asynccontextmanager
async def _until_the_end(app: Starlette) -> AsyncIterator[None]:
    """When the server ends, so does what it is cutting."""
    yield
    await to_thread.run_sync(app.state.explorer.cutting.cancel)


def picture(visit: Visit) -> Response:
    """A thumbnail. No browser asks twice for a picture, so what it needs is waited for here."""
    while True:
        try:
            return _picture(visit)
        except NotReadyError:
            if visit.stop:
                raise


def _picture(visit: Visit) -> Response:
    """What was taken down is not shown, however it is asked for."""
    size = SIZES[-1] if visit.argument("size") == str(SIZES[-1]) else SIZES[0]
    image_id = visit.request.path_params["id"]
    if not re.fullmatch(f"[0-9a-f]{{{ID_CHARACTERS}}}", image_id):
        return PlainTextResponse("no id", 404)
    gone = visit.snapshot.gone("image")
    if gone is not None:
        row = int(visit.snapshot.rows_of("image", [image_id])[0])
        if row >= 0 and gone[row]:
            return PlainTextResponse("taken down", 410)
    made = visit.explorer.thumbnails.jpeg(visit.snapshot, image_id, size)
    if isinstance(made, str):
        return PlainTextResponse(made, 404, {"Cache-Control": "no-store"})
    return Response(made, media_type="image/jpeg", headers={"Cache-Control": A_WHILE})


def plotly(request: Request) -> Response:
    """Plotly's JavaScript, as its Python package carries it."""
    import plotly as package

    file = Path(package.__file__).parent / "package_data" / "plotly.min.js"
    return FileResponse(file, media_type="text/javascript", headers={"Cache-Control": "private, max-age=86400"})


def nowhere(visit: Visit) -> Response:
    """A page that is not there."""
    response: HTMLResponse = visit.render("error.html", 404, message="There is no such page.")
    return response
