"""Build the web application of a study for annotators and the researcher."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from types import MappingProxyType

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from motifocal.study.messages import Refused
from motifocal.study.store.database import StorageError
from motifocal.study.store.store import Store
from motifocal.study.web import api, pages
from motifocal.study.web.connections import log_failed_accepts
from motifocal.study.web.dashboard import dashboard
from motifocal.study.web.recruitment import Session
from motifocal.study.web.rendering import ASSETS, failure
from motifocal.study.web.secrets import Keys, read_keys
from motifocal.study.web.security import Guard, Limits, Site, security_headers
from motifocal.study.web.server_log import LOG
from motifocal.study.web.session import Cookies

#: Why the store refuses -> the status of the answer. All of them mean: ask for the task again.
REFUSALS: Mapping[str, int] = MappingProxyType({
    "not yours": HTTPStatus.FORBIDDEN, "unknown": HTTPStatus.NOT_FOUND,
    "expired": HTTPStatus.GONE, "answered": HTTPStatus.CONFLICT,
    "not ready": HTTPStatus.CONFLICT, "too early": HTTPStatus.TOO_EARLY,
    "malformed": HTTPStatus.UNPROCESSABLE_ENTITY,
})  # fmt: skip
NOT_STORED = ("The study cannot store anything at the moment. All answers you have submitted are "
              "safe. Please try again later; if this lasts, please tell the researcher.")
#: Where a process that is one of several learns what to serve.
DATABASE, SECRET_FILE, BASE_URL = (
    f"MOTIFOCAL_STUDY_{name}" for name in ("DATABASE", "SECRET_FILE", "BASE_URL"))  # fmt: skip


def build_app(store: Store, *, secret: bytes, dashboard_token: str, base_url: str,
              limits: Limits | None = None, closes: bool = False) -> Starlette:  # fmt: skip
    """Return the study as an ASGI application.

    `secret` signs the cookies (at least 32 bytes), `dashboard_token` opens /dashboard, `base_url`
    is the address under which annotators reach the study: requests for other hosts and posts from
    other origins are refused. `closes`: close the store when the server stops. Raises ValueError
    where one of them cannot be used.
    """
    site, limits = Site.at(base_url), limits or Limits()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        asyncio.get_running_loop().set_exception_handler(log_failed_accepts)
        yield
        if closes:
            store.close()

    cookies = Cookies(secret, dashboard_token, secure=site.secure)
    app = Starlette(
        routes=ROUTES, lifespan=lifespan,
        middleware=[Middleware(Guard, site=site, cookies=cookies, limits=limits)],
        exception_handlers={
            HTTPException: _http_failure, Refused: _refusal, ClientDisconnect: _gone,
            StorageError: _not_stored, Exception: _fault,
        },
    )  # fmt: skip
    app.state.store, app.state.cookies, app.state.limits = store, cookies, limits
    app.state.dashboard_token = dashboard_token
    return app


def app_from_environment() -> Starlette:
    """Return the application of one process of several, from the environment."""
    keys: Keys = read_keys(os.environ.get(SECRET_FILE))
    return build_app(Store(os.environ[DATABASE]), secret=keys.session,
                     dashboard_token=keys.dashboard, base_url=os.environ[BASE_URL], closes=True)


def asset(request: Request) -> Response:
    """Serve a script, the style or the icon; their version in the address changes with any."""
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    content_type, path = ASSETS[name]
    return FileResponse(path, media_type=content_type,
                        headers={"cache-control": "public, max-age=31536000, immutable"})


def robots(request: Request) -> Response:
    """Tell search engines to stay away."""
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")


def _http_failure(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = failure(request, error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return failure(request, REFUSALS[error.reason], str(error), error.reason)


def _not_stored(request: Request, error: Exception) -> Response:
    """Answer 503: the database cannot be read or written now; the log says why, and what to do."""
    assert isinstance(error, StorageError)
    if error.busy:
        LOG.warning("the study is busy: %s", error)
        response = failure(request, HTTPStatus.SERVICE_UNAVAILABLE)
    else:
        LOG.error("nothing can be stored: %s", error)
        response = failure(request, HTTPStatus.SERVICE_UNAVAILABLE, NOT_STORED)
    response.headers["retry-after"] = "2"
    return response


def _gone(request: Request, error: Exception) -> Response:
    """Answer nothing: the client has disconnected."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def _fault(request: Request, error: Exception) -> Response:
    """Answer 500: internal error; logged. No middleware sees this answer."""
    response = failure(request, HTTPStatus.INTERNAL_SERVER_ERROR)
    response.headers.update(security_headers(request.scope.get("session") or Session()))
    response.headers["cache-control"] = "no-store"
    return response


ROUTES = [
    Route("/", pages.enter),
    Route("/consent", pages.consent),
    Route("/consent", pages.agree, methods=["POST"]),
    Route("/declined", pages.declined),
    Route("/instructions", pages.instructions),
    Route("/instructions", pages.check, methods=["POST"]),
    Route("/compare", pages.compare),
    Route("/task", api.task),
    Route("/vote", api.vote, methods=["POST"]),
    Route("/media/{token}", api.media),
    Route("/leave", pages.leave, methods=["POST"]),
    Route("/paused", pages.paused),
    Route("/end", pages.end),
    Route("/dashboard", dashboard),
    Route("/assets/{name}", asset),
    Route("/robots.txt", robots),
]
