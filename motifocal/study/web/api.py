"""Serve comparisons as JSON to the page's script, and store the votes that it sends.

Also here: images and videos, by names that say nothing, whole or in parts.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from http import HTTPStatus

from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from motifocal.files.json_text import parse_strict_json
from motifocal.study.messages import Annotator, AnswerBody, Token, is_token
from motifocal.study.store.store import Store
from motifocal.study.web.security import read_body

#: "bytes=0-99", "bytes=100-", "bytes=-100"; what has several parts is answered whole.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class VoteBody(AnswerBody):
    """The body of a vote: an answer, and the name of the lease that it is for."""

    slot: Token


def annotator_of(request: Request) -> Annotator | None:
    """Return who asks, as the store knows them; None before consent, and without a valid cookie."""
    session, store = request.scope["session"], request.app.state.store
    if session is None or session.annotator is None:
        return None
    annotator: Annotator | None = store.annotator(session.annotator)
    return annotator


def required_annotator(request: Request) -> Annotator:
    annotator = annotator_of(request)
    if annotator is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    return annotator


def task(request: Request) -> Response:
    """Return the comparison that this annotator has to judge now, the same until it is judged."""
    annotator = required_annotator(request)
    return JSONResponse(_next(request.app.state.store, annotator))


async def vote(request: Request) -> Response:
    """Store a judgement; answer when it is on disk, with the next comparison."""
    raw = await read_body(request, "application/json")
    body = _vote_body(raw)
    store = request.app.state.store

    def stored() -> dict[str, object]:
        annotator = required_annotator(request)
        store.vote(annotator.id, body.slot, body.answer())
        return _next(store, annotator)

    return JSONResponse(await run_in_threadpool(stored))


def _next(store: Store, annotator: Annotator) -> dict[str, object]:
    if annotator.state == "screened_out":
        return {"task": None}
    task = store.task(annotator.id)
    return {"task": None if task is None else asdict(task)}


def _vote_body(raw: bytes) -> VoteBody:
    """Read the vote in a request's body. Raise HTTPException 422."""
    try:
        parse_strict_json(raw)  # refuses a name given twice, of which pydantic would take the last
        return VoteBody.model_validate_json(raw)
    except ValidationError as error:
        # The first thing that is wrong, without what was sent: that may be anything.
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"][:1] if part in VoteBody.model_fields)
        words = f"{place}: {first['msg']}" if place else first["msg"].partition(" at line")[0]
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, words) from error
    except ValueError as error:
        words = f"This is no JSON that can be read: {str(error).partition(':')[0]}."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, words) from error


def media(request: Request) -> Response:
    """Serve an image or a video, whole or the part that was asked for.

    The tag is the random name itself: one made from the content would tell equal videos.
    """
    token = request.path_params["token"]
    required_annotator(request)
    stored = request.app.state.store.media(token) if is_token(token) else None
    if stored is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    tag = f'"{token}"'
    headers = {"accept-ranges": "bytes", "etag": tag,
               "cache-control": "private, max-age=86400, immutable"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    range_header = request.headers.get("range", "")
    size = len(stored.data)
    if request.headers.get("if-range", tag) != tag or not (match := _RANGE.fullmatch(range_header)):
        return Response(stored.data, headers=headers, media_type=stored.content_type)
    first, last = _span(*match.groups(), size=size)
    if first > last:
        headers = {"content-range": f"bytes */{size}"}
        return Response(None, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return Response(stored.data[first : last + 1], HTTPStatus.PARTIAL_CONTENT, headers,
                    media_type=stored.content_type)


def _span(first: str, last: str, *, size: int) -> tuple[int, int]:
    """Return the first and last byte of a range; the first comes after the last where there is
    none."""
    if first:
        return int(first), min(int(last), size - 1) if last else size - 1
    return (max(0, size - int(last)), size - 1) if last and int(last) else (size, size - 1)
