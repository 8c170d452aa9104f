"""Serve an annotator's pages: entry, consent, instructions, comparisons, thanks.

A request for another page than the annotator's current one is redirected to that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from motifocal.study.messages import Annotator
from motifocal.study.protocol import Protocol
from motifocal.study.web.api import annotator_of, required_annotator
from motifocal.study.web.recruitment import LINK, LinkError, Session, read_entry
from motifocal.study.web.rendering import render
from motifocal.study.web.security import allow_frame, check_rate, read_body

#: State of an annotator -> the page that is theirs. All addresses are relative, so that a proxy
#: may serve the study under any path.
PLACES = {"joined": "consent", "consented": "instructions", "ready": "compare",
          "finished": "end", "screened_out": "end"}
#: Where the link leads an annotator who returns: a comparison may have become free meanwhile.
PLACES_AGAIN = {**PLACES, "finished": "compare"}
FORM = "application/x-www-form-urlencoded"
MOST_FIELDS = 100


def enter(request: Request) -> Response:
    """Serve the link of the invitation: store who it is in the cookie, and drop it from the
    address."""
    try:
        entry = read_entry(request.query_params.multi_items())
    except LinkError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, str(error)) from error
    protocol = request.app.state.store.protocol
    if entry.preview:
        allow_frame(request.scope)
        return render(request, "preview.html", protocol=protocol)
    known = request.scope["session"]
    session = entry
    if known is not None and entry.source == LINK:
        session = known
    elif known is not None and (known.source, known.external) == (entry.source, entry.external):
        session = replace(session, annotator=known.annotator)
    return _redirect(request, "consent", session)


def consent(request: Request) -> Response:
    """Serve the consent form. Nothing about a visitor is stored before they agree."""
    if request.scope["session"] is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    annotator = annotator_of(request)
    if annotator is not None and annotator.state != "joined":
        return _redirect(request, PLACES_AGAIN[annotator.state])
    return render(request, "consent.html", protocol=request.app.state.store.protocol)


async def agree(request: Request) -> Response:
    fields = await _form(request)
    session, store = request.scope["session"], request.app.state.store
    if session is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED)
    if fields.get("agree") != ["yes"]:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Please agree first, or close this page.")
    check_rate(request, request.app.state.limits.joining)

    def joined() -> Annotator:
        annotator: Annotator = store.join(session.source, session.external)
        if annotator.state == "joined":
            store.consent(annotator.id)
        return annotator

    annotator = await run_in_threadpool(joined)
    place = "instructions" if annotator.state == "joined" else PLACES_AGAIN[annotator.state]
    return _redirect(request, place, replace(session, annotator=annotator.id))


def declined(request: Request) -> Response:
    return render(request, "declined.html", protocol=request.app.state.store.protocol)


def instructions(request: Request) -> Response:
    annotator, protocol = required_annotator(request), request.app.state.store.protocol
    # Without questions the consent alone makes ready, but the instructions are to be read.
    if annotator.state != ("consented" if protocol.check else "ready"):
        return _redirect(request, PLACES[annotator.state])
    return render(request, "instructions.html", protocol=protocol, tries=annotator.tries)


async def check(request: Request) -> Response:
    """Take the answers to the questions about the instructions, where there are any."""
    fields = await _form(request)
    store = request.app.state.store
    answers = _answers(store.protocol, fields)

    def checked() -> str:
        annotator = required_annotator(request)
        if annotator.state == "consented":
            store.answer_check(annotator.id, answers)
            annotator = required_annotator(request)
        return PLACES[annotator.state]

    return _redirect(request, await run_in_threadpool(checked))


def _answers(protocol: Protocol, fields: dict[str, list[str]]) -> list[int]:
    """Return one answer a question. Raise HTTPException where one is missing or not among those
    offered."""
    answers = []
    for number, question in enumerate(protocol.check):
        given = fields.get(f"question-{number}", [""])
        offered = [str(place) for place in range(len(question.answers))]
        if len(given) != 1 or given[0] not in offered:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "Please answer every question.")
        answers.append(int(given[0]))
    return answers


def compare(request: Request) -> Response:
    annotator = required_annotator(request)
    if PLACES_AGAIN[annotator.state] != "compare":
        return _redirect(request, PLACES[annotator.state])
    return render(request, "compare.html", protocol=request.app.state.store.protocol, served=True)


async def leave(request: Request) -> Response:
    """End the annotator's leases; what was not judged goes to others, what was judged stays."""
    await _form(request)

    def left() -> None:
        request.app.state.store.leave(required_annotator(request).id)

    await run_in_threadpool(left)
    return _redirect(request, "paused")


def paused(request: Request) -> Response:
    annotator = required_annotator(request)
    if annotator.state in ("finished", "screened_out"):
        return _redirect(request, "end")
    return render(request, "paused.html", protocol=request.app.state.store.protocol,
                  place=PLACES[annotator.state], session=request.scope["session"])


def end(request: Request) -> Response:
    annotator = required_annotator(request)
    if annotator.state not in ("finished", "screened_out"):
        return _redirect(request, PLACES[annotator.state])
    protocol = request.app.state.store.protocol
    return render(request, "end.html", protocol=protocol, session=request.scope["session"],
                  ending=ending(protocol, annotator, request.scope["session"]))


@dataclass(frozen=True)
class Ending:
    """The last page: how it ended, the code to enter, and where."""

    kind: Literal["thanks", "nothing_left", "screened_out"]
    code: str
    link: str | None


def ending(protocol: Protocol, annotator: Annotator, session: Session) -> Ending:
    """Choose the last page. An annotator who agreed and found nothing left gets the code as well.

    In a service's address `{code}` stands for the code, `{id}` for the service's id of the person.
    Without `{code}` it is the address of those who have finished.
    """
    out = annotator.state == "screened_out"
    code = protocol.screen_out_code if out else protocol.completion_code
    link = getattr(protocol.completion_urls, annotator.source, None)
    if link is not None:
        link = None if out and "{code}" not in link else (
            link.replace("{code}", code).replace("{id}", session.external))  # fmt: skip
    if out:
        return Ending("screened_out", code, link)
    return Ending("thanks" if annotator.answered else "nothing_left", code, link)


async def _form(request: Request) -> dict[str, list[str]]:
    body = await read_body(request, FORM)
    try:
        return parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from error


def _redirect(request: Request, place: str, session: Session | None = None) -> RedirectResponse:
    """Redirect to a page of the study, with a new session where one is given."""
    response = RedirectResponse(place, HTTPStatus.SEE_OTHER)
    if session is not None:
        request.scope["session"] = session
        response.headers.append("set-cookie", request.app.state.cookies.keep(session))
    return response
