"""A store of comparisons becomes the web application that annotators and the researcher see."""

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
from motifocal.study.store.storage import StorageError
from motifocal.study.store.store import Store
from motifocal.study.web import api as judging
from motifocal.study.web import pages as visit
from motifocal.study.web.connections import log_failed_accepts
from motifocal.study.web.dashboard import dashboard
from motifocal.study.web.rate import Limits
from motifocal.study.web.rendering import ASSETS, failure
from motifocal.study.web.secrets import Keys, read_keys
from motifocal.study.web.security import Guard, Site, security_headers
from motifocal.study.web.server_log import LOG
from motifocal.study.web.session import Cookies, Session

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
    """The study as an ASGI application.

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
    """The application of one process of several; what it serves is in the environment."""
    keys: Keys = read_keys(os.environ.get(SECRET_FILE))
    return build_app(Store(os.environ[DATABASE]), secret=keys.session,
                     dashboard_token=keys.dashboard, base_url=os.environ[BASE_URL], closes=True)


def asset(request: Request) -> Response:
    """A script, the style, the icon; the version in the address changes with any of them."""
    name = request.path_params["name"]
    if name not in ASSETS:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    content_type, path = ASSETS[name]
    return FileResponse(path, media_type=content_type,
                        headers={"cache-control": "public, max-age=31536000, immutable"})


def robots(request: Request) -> Response:
    """A study is not for search engines."""
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
    """The database cannot be read or written now: the log says why, and what to do about it."""
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
    """Whoever asked has hung up; nobody reads this."""
    return Response(status_code=HTTPStatus.BAD_REQUEST)


def _fault(request: Request, error: Exception) -> Response:
    """A mistake of ours, which the server's log tells of. No middleware sees this answer."""
    response = failure(request, HTTPStatus.INTERNAL_SERVER_ERROR)
    response.headers.update(security_headers(request.scope.get("session") or Session()))
    response.headers["cache-control"] = "no-store"
    return response


ROUTES = [
    Route("/", visit.enter),
    Route("/consent", visit.consent),
    Route("/consent", visit.agree, methods=["POST"]),
    Route("/declined", visit.declined),
    Route("/instructions", visit.instructions),
    Route("/instructions", visit.check, methods=["POST"]),
    Route("/compare", visit.compare),
    Route("/task", judging.task),
    Route("/vote", judging.vote, methods=["POST"]),
    Route("/media/{token}", judging.media),
    Route("/leave", visit.leave, methods=["POST"]),
    Route("/paused", visit.paused),
    Route("/end", visit.end),
    Route("/dashboard", dashboard),
    Route("/assets/{name}", asset),
    Route("/robots.txt", robots),
]
