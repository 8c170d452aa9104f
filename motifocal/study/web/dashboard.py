"""Show the researcher a page of the study's progress that updates itself.

It opens with a token, once in the address or in every request's header. It shows the names of the
models, so it is not for annotators.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from motifocal.study.messages import Progress
from motifocal.study.web.rendering import render
from motifocal.study.web.security import check_rate
from motifocal.study.web.session import equal_secrets

STATES = {"joined": "Looked in", "consented": "Reading", "ready": "Judging",
          "finished": "Finished", "screened_out": "Screened out"}


def dashboard(request: Request) -> Response:
    """Serve the study's progress to those who have the token."""
    if "token" in request.query_params:
        _check(request, request.query_params["token"])
        # Without the token: it should stay neither in the history nor on a screenshot.
        response = RedirectResponse("dashboard", HTTPStatus.SEE_OTHER)
        response.headers.append("set-cookie", request.app.state.cookies.keep_dashboard())
        return response
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        _check(request, token.strip())
    elif not request.app.state.cookies.opens_dashboard(request.cookies):
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "The dashboard opens with the link that "
                            "`motifocal study serve` has printed.")
    store = request.app.state.store
    progress = store.progress()
    return render(request, "dashboard.html", protocol=store.protocol, progress=progress,
                  states=STATES, figures=figures(progress), now=_clock(datetime.now(timezone.utc)))


def _check(request: Request, token: str) -> None:
    check_rate(request, request.app.state.limits.guessing)
    if not equal_secrets(token, request.app.state.dashboard_token):
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "That is not the dashboard's token.")


def figures(progress: Progress) -> list[tuple[str, str, str]]:
    """Return what is counted: a name, a number, and a note."""
    wrong = progress.gold_answered - progress.gold_right
    return [
        ("Judgements", f"{progress.done} of {progress.wanted}",
         f"{progress.leased} being judged now"),
        ("Pace", _or_dash(progress.votes_per_hour, "{:.0f} an hour"), "over the last hour"),
        ("Ends in about", _span(progress.seconds_left), _end(progress.seconds_left)),
        ("Median time", _or_dash(progress.median_seconds, "{:.0f} s"), "for one comparison"),
        ("Left chosen", _or_dash(progress.left_share, "{:.1%}"), "50 % is no bias"),
        ("Gold answers", f"{wrong} of {progress.gold_answered} wrong" if progress.gold_answered
         else "–", f"annotators who fail the rule: {progress.failed_gold}"),
    ]


def _or_dash(value: float | None, words: str) -> str:
    return "–" if value is None else words.format(value).replace("%", " %")


def _span(seconds: float | None) -> str:
    """Format seconds in two units at most; a dash where they are not known."""
    if seconds is None:
        return "–"
    minutes = round(seconds / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _end(seconds: float | None) -> str:
    if seconds is None:
        return "not known yet"
    try:
        return _clock(datetime.now(timezone.utc) + timedelta(seconds=seconds))
    except OverflowError:
        return "in years"


def _clock(when: datetime) -> str:
    return f"{when:%d %b %Y, %H:%M} UTC"
