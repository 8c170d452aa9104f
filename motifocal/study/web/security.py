"""Check every request before it reaches a page: hosts, origins, rates; set security headers.

Refused are unknown hosts (a foreign name that points to this machine), too many requests, and
posts that another site's page has sent. Every answer gets the headers that keep a page to itself.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from motifocal.study.web.recruitment import MTURK, TURK_FRAMES, TURK_HOSTS, Session
from motifocal.study.web.rendering import failure
from motifocal.study.web.session import Cookies

MOST_BODY = 16_384  # bytes
BODY_SECONDS = 10
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
DEFAULT_PORTS = {"http": 80, "https": 443}
#: Characters that browsers keep (IDNA 2008) and Python's codec replaces (IDNA 2003): ß by ss.
_OTHERWISE = frozenset("ßς\u200c\u200d")
NOTHING = Session()
MOST_KEYS = 20_000


@dataclass(frozen=True)
class Site:
    """The address of a study: the hosts and origins that are its own."""

    hosts: frozenset[str]
    origins: frozenset[str]
    secure: bool

    @classmethod
    def at(cls, base_url: str) -> Site:
        """Return the site at an address.

        Raises ValueError for what is no http or https address, and for a host whose name in ASCII,
        which is what browsers send, is not known for sure.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.query or (
                parts.fragment or parts.username is not None):  # fmt: skip
            raise ValueError("the base URL should look like https://study.example.org/, "
                             f"got {base_url!r}")
        name = f"[{parts.hostname}]" if ":" in parts.hostname else _ascii_name(parts.hostname)
        names = LOOPBACK if name in LOOPBACK else (name,)
        ports = [f":{parts.port}"] if parts.port else []
        if parts.port in (None, DEFAULT_PORTS[parts.scheme]):
            ports = ["", f":{DEFAULT_PORTS[parts.scheme]}"]
        hosts = frozenset(name + port for name in names for port in ports)
        return cls(hosts, frozenset(f"{parts.scheme}://{host}" for host in hosts),
                   parts.scheme == "https")


def _ascii_name(host: str) -> str:
    """Return a host's name as browsers send it: xn--mller-kva.example for müller.example."""
    if host.isascii():
        return host
    try:
        if not _OTHERWISE.isdisjoint(host):
            raise UnicodeError
        return host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise ValueError("the base URL should have its host as browsers send it, xn--..., got "
                         f"{host!r}") from error


def security_headers(session: Session) -> dict[str, str]:
    """Return the headers of every answer; only Mechanical Turk's own pages may frame one."""
    framed = session.source == MTURK
    ancestors = " ".join(TURK_FRAMES) if framed else "'none'"
    forms = " ".join(("'self'", *TURK_HOSTS)) if framed else "'self'"
    headers = {
        "content-security-policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
            "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
            f"form-action {forms}; frame-ancestors {ancestors}"),
        "x-content-type-options": "nosniff",
        # With "no-referrer" browsers send no origin with a form, and forms are told apart by it.
        "referrer-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=()",
    }  # fmt: skip
    if not framed:
        headers |= {"x-frame-options": "DENY", "cross-origin-opener-policy": "same-origin"}
    return headers


class Rate:
    """A token bucket for every key: `burst` at once, `per_second` in the long run.

    The buckets live in memory, each process has its own, and the longest unused are forgotten
    first.
    """

    def __init__(self, per_second: float, burst: float, *, most_keys: int = MOST_KEYS,
                 clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        if per_second <= 0 or burst < 1:
            raise ValueError(f"per_second should be above 0 and burst at least 1, "
                             f"got {per_second:g} and {burst:g}")
        self.per_second, self.burst = per_second, burst
        self._most_keys, self._clock = most_keys, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        now = self._clock()
        tokens, since = self._buckets.pop(key, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.per_second)
        lacking = max(0.0, 1 - tokens)
        self._buckets[key] = (tokens if lacking else tokens - 1, now)
        if len(self._buckets) > self._most_keys:
            self._buckets.popitem(last=False)
        return lacking / self.per_second


@dataclass
class Limits:
    """The rates of requests: of one annotator, of one address, and of joining from there.

    A whole laboratory may sit behind one address, and one comparison takes up to ten requests.
    """

    session: Rate = field(default_factory=lambda: Rate(20, 200))
    address: Rate = field(default_factory=lambda: Rate(200, 2000))
    joining: Rate = field(default_factory=lambda: Rate(2, 200))
    guessing: Rate = field(default_factory=lambda: Rate(0.5, 10))


def neighbourhood(address: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 one: what one household has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)


class Guard:
    """Refuse requests that should not reach a page; `scope["session"]` tells the pages who asks."""

    def __init__(self, app: ASGIApp, site: Site, cookies: Cookies, limits: Limits) -> None:
        self.app, self.site, self.cookies, self.limits = app, site, cookies, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in security_headers(scope["session"] or NOTHING).items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        scope["session"] = self.cookies.session(HTTPConnection(scope).cookies)
        refused = self.refused(scope)
        if refused is None:
            await self.app(scope, receive, with_headers)
            return
        response = failure(Request(scope), refused.status_code, refused.detail)
        response.headers.update(refused.headers or {})
        await response(scope, receive, with_headers)

    def refused(self, scope: Scope) -> HTTPException | None:
        """Return why this request goes no further, or None."""
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self.site.hosts:
            return HTTPException(HTTPStatus.MISDIRECTED_REQUEST,
                                 "This study is not served at that address.")
        if seconds := self._wait(scope):
            return HTTPException(HTTPStatus.TOO_MANY_REQUESTS, "Too much at once.",
                                 {"retry-after": str(math.ceil(seconds))})
        if scope["method"] not in SAFE_METHODS and not self._own(headers):
            return HTTPException(HTTPStatus.FORBIDDEN, "This was not sent from the study's page.")
        return None

    def _wait(self, scope: Scope) -> float:
        client, session = scope.get("client"), scope["session"]
        waits = [self.limits.address.wait(neighbourhood(client[0] if client else ""))]
        if session is not None:
            waits.append(self.limits.session.wait(session.annotator or session.external))
        return max(waits)

    def _own(self, headers: Headers) -> bool:
        """Return whether a page of this site sent the request: browsers say so with every post."""
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is None and origin is None:
            return False
        return site in (None, "same-origin") and (origin is None or origin in self.site.origins)


def check_rate(request: Request, rate: Rate) -> None:
    """Take a token for the caller's address. Raise HTTPException 429 where there is none."""
    wait = rate.wait(neighbourhood(request.client.host if request.client else ""))
    if wait:
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS,
                            headers={"retry-after": str(int(wait) + 1)})


async def read_body(request: Request, content_type: str) -> bytes:
    """Read the body of a request, whether its length was announced or not.

    Raises HTTPException: 415 for another type, 413 for more than 16 KB, 408 for one that trickles.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != content_type:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Expected {content_type}.")
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BODY:
                    # What is still under way is not read: the connection ends with the answer.
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "That is too long.",
                                        {"connection": "close"})
    except TimeoutError as error:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, "That took too long.") from error
    return bytes(body)


def allow_frame(scope: Scope) -> None:
    """Let Mechanical Turk frame the answer although there is no session yet: the preview."""
    scope["session"] = replace(scope["session"] or NOTHING, source=MTURK)
