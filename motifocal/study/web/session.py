"""Store an annotator's identity in a signed cookie."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict

from itsdangerous import BadSignature, URLSafeTimedSerializer

from motifocal.study.web.recruitment import MTURK, Session

ANNOTATOR, DASHBOARD = "study", "study_dashboard"
WEEK = 7 * 24 * 3600
LEAST_SECRET = 32  # bytes


class Cookies:
    """Sign and read the two cookies: the annotator's, and the one that opens the dashboard.

    `secure` is whether the study is served by https. Raises ValueError for a secret of fewer than
    32 bytes.
    """

    def __init__(self, secret: bytes, dashboard_token: str, *, secure: bool) -> None:
        if len(secret) < LEAST_SECRET:
            raise ValueError(f"secret should have at least {LEAST_SECRET} bytes, got {len(secret)}")
        if not dashboard_token:
            raise ValueError("dashboard_token should not be empty")
        self._signers = {name: URLSafeTimedSerializer(
            secret, salt=name, signer_kwargs={"digest_method": hashlib.sha256})
            for name in (ANNOTATOR, DASHBOARD)}  # fmt: skip
        # With another token, the cookies that the old one gave open nothing.
        self._mark = hashlib.sha256(dashboard_token.encode()).hexdigest()
        self._secure = secure

    def session(self, cookies: Mapping[str, str]) -> Session | None:
        """Return the session in a request's cookies, or None where none was signed here."""
        content = self._read(cookies, ANNOTATOR)
        return Session(**content) if isinstance(content, dict) else None

    def opens_dashboard(self, cookies: Mapping[str, str]) -> bool:
        content = self._read(cookies, DASHBOARD)
        return isinstance(content, str) and hmac.compare_digest(
            content.encode(), self._mark.encode())

    def keep(self, session: Session) -> str:
        """Return the Set-Cookie header of a session.

        Mechanical Turk shows the study in a frame, where browsers keep only cookies that say so.
        """
        return self._header(ANNOTATOR, asdict(session), framed=session.source == MTURK)

    def keep_dashboard(self) -> str:
        return self._header(DASHBOARD, self._mark, framed=False)

    def _header(self, name: str, content: object, *, framed: bool) -> str:
        value = self._signers[name].dumps(content)
        sites = "None; Partitioned" if framed and self._secure else "Lax"
        secure = "; Secure" if self._secure else ""
        return f"{name}={value}; Path=/; Max-Age={WEEK}; HttpOnly; SameSite={sites}{secure}"

    def _read(self, cookies: Mapping[str, str], name: str) -> object:
        try:
            content: object = self._signers[name].loads(cookies.get(name, ""), max_age=WEEK)
        except BadSignature:
            return None
        return content


def equal_secrets(given: str, token: str) -> bool:
    """Compare two secrets in a time that does not tell how much of them is equal."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())
