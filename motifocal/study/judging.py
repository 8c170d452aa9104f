"""A comparison becomes JSON for the page's script, and what comes back becomes a vote in the store.

Also here: pictures and videos, by names that say nothing, whole or in parts.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from motifocal.study.exchange import Annotator, Answer, Task
from motifocal.study.protocol import Protocol
from motifocal.study.security import read_body
from motifocal.study.store import Store

DAY = 24 * 3600 * 1000  # ms
MOST_LOOPS = 1_000_000
TOKEN = r"^[A-Za-z0-9_-]{1,128}$"
#: "bytes=0-99", "bytes=100-", "bytes=-100"; what has several parts is answered whole.
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)

Token = Annotated[str, StringConstraints(pattern=TOKEN)]
Milliseconds = Annotated[int, Field(ge=0, le=DAY)]


class VoteBody(BaseModel):
    """What the page sends: nothing may be missing, be of another type, or be there besides."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    slot: Token
    choice: Literal["left", "right", "tie"]
    reasons: Annotated[tuple[Annotated[str, StringConstraints(max_length=64)], ...],
                       Field(max_length=16)]  # fmt: skip
    milliseconds: Milliseconds
    loops: Annotated[int, Field(ge=1, le=MOST_LOOPS)]
    hidden_milliseconds: Milliseconds

    def answer(self) -> Answer:
        return Answer(self.choice, self.reasons, self.milliseconds, self.loops,
                      self.hidden_milliseconds)


def problem(protocol: Protocol, answer: Answer) -> str | None:
    """What the study's rules forbid about an answer, in words."""
    if answer.choice == "tie":
        if not protocol.ties:
            return "this study has no ties"
        return "a tie should have no reasons" if answer.reasons else None
    if not answer.reasons:
        return "a choice should have at least one reason"
    if len(set(answer.reasons)) < len(answer.reasons):
        return "a reason should be given once"
    known = protocol.reason_keys
    return None if set(answer.reasons) <= set(known) else f"reasons are {', '.join(known)}"


def annotator_of(request: Request) -> Annotator | None:
    """Who asks, as the store knows them; None before consent, and without a valid cookie."""
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
    """The comparison that this annotator has to judge now, the same as before until it is."""
    annotator = required_annotator(request)
    return JSONResponse(_next(request.app.state.store, annotator))


async def vote(request: Request) -> Response:
    """Store a judgement; the answer is sent after it is on disk, with the next comparison."""
    raw = await read_body(request, "application/json")
    try:
        body = VoteBody.model_validate_json(raw)
    except ValidationError as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, _one_line(error)) from error
    store = request.app.state.store
    wrong = problem(store.protocol, body.answer())
    if wrong is not None:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, wrong)

    def stored() -> dict[str, object]:
        annotator = required_annotator(request)
        store.vote(annotator.id, body.slot, body.answer())
        return _next(store, annotator)

    return JSONResponse(await run_in_threadpool(stored))


def _next(store: Store, annotator: Annotator) -> dict[str, object]:
    if annotator.state == "screened_out":
        return {"task": None}
    task = store.task(annotator.id)
    return {"task": None if task is None else for_script(task)}


def for_script(task: Task) -> dict[str, object]:
    """A task as the page's script gets it: random names, and nothing about who made what."""
    return {**asdict(task), "left": task.left.video, "right": task.right.video}


def _one_line(error: ValidationError) -> str:
    """The first thing that is wrong, without what was sent: that may be anything."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"][:1] if part in VoteBody.model_fields)
    return f"{place}: {first['msg']}" if place else str(first["msg"]).partition(" at line")[0]


def media(request: Request) -> Response:
    """A picture or a video, whole or the part that was asked for.

    The tag is the random name itself: one made from the content would tell equal videos.
    """
    token = request.path_params["token"]
    required_annotator(request)
    held = request.app.state.store.media(token) if re.match(TOKEN, token) else None
    if held is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    tag = f'"{token}"'
    headers = {"accept-ranges": "bytes", "etag": tag,
               "cache-control": "private, max-age=86400, immutable"}
    if request.headers.get("if-none-match") == tag:
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    asked = request.headers.get("range", "")
    size = len(held.data)
    if request.headers.get("if-range", tag) != tag or not (found := _RANGE.fullmatch(asked)):
        return Response(held.data, headers=headers, media_type=held.content_type)
    first, last = _span(*found.groups(), size=size)
    if first > last:
        headers = {"content-range": f"bytes */{size}"}
        return Response(None, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return Response(held.data[first : last + 1], HTTPStatus.PARTIAL_CONTENT, headers,
                    media_type=held.content_type)


def _span(first: str, last: str, *, size: int) -> tuple[int, int]:
    """The first and last byte of a range; the first comes after the last where there is none."""
    if first:
        return int(first), min(int(last), size - 1) if last else size - 1
    return (max(0, size - int(last)), size - 1) if last and int(last) else (size, size - 1)
