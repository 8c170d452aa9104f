"""Judge by a model behind an OpenAI-compatible address, such as vLLM's server.

Letters: N frames of a query.

One POST to /chat/completions a query, the frames as PNG data, one token asked for with its
likeliest alternatives. What comes back is not trusted: its size and time are limited (of the
headers, each wait alone), redirects are refused, and every field is checked before it is used.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import ipaddress
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from PIL import Image

from motifocal.bench.judge.judge import (
    BAD_ANSWER,
    BAD_STATUS,
    EMPTY,
    NO_CONNECTION,
    NO_LOGPROBS,
    REFUSED,
    TIMED_OUT,
    TOO_LARGE,
    Answer,
    Failure,
    Query,
    answer_of,
)
from motifocal.files.json_text import parse_json
from motifocal.media.arrays import Image as Pixels
from motifocal.media.picture import one_line

KEY = "MOTIFOCAL_API_KEY"  # the environment variable of the API key, the only place it is read from
MOST_SENT = 64 * 2**20  # bytes of a question
MOST_READ = 2**20  # bytes of an answer
TOP = 20  # alternatives of the first token; the most that the interface allows
PIECE = 65536
SYSTEM_ONE = "/systemone"  # the end of addresses that are asked typed questions
MOST_IMAGES = 4  # with a typed question


class EndpointJudge:
    """A model named `model` behind `address`, the part of the URL before /chat/completions.

    `batch` questions are asked at once. Raises ValueError for an address that is none, holds a
    password, or would send the API key unencrypted to another machine; and for a key that no header
    can hold.
    """

    path = "/chat/completions"

    def __init__(
        self, address: str, model: str, *, timeout: float = 120.0, batch: int = 4,
        top: int = TOP,
    ) -> None:  # fmt: skip
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout should be a positive number of seconds, got {timeout}")
        self._key = _key()
        check_address(address, bool(self._key))
        self._url = address.rstrip("/") + self.path
        self._model, self._timeout, self.batch, self._top = model, timeout, batch, top
        self.name = model
        self.identity: Mapping[str, Any] = {"judge": "endpoint", "address": address.rstrip("/"),
                                            "model": model, "top": top}
        # A proxy of the environment would be given frames and key that are for this machine.
        direct = [urllib.request.ProxyHandler({})] * _is_loopback(urlsplit(address).hostname or "")
        self._opener = urllib.request.build_opener(_NoRedirects, *direct)

    def ask(self, queries: Sequence[Query]) -> list[Answer | Failure]:
        """Answer every query, all of them at once."""
        with ThreadPoolExecutor(max(1, len(queries))) as pool:
            return list(pool.map(self._asked, queries))

    def _asked(self, query: Query) -> Answer | Failure:
        body = json.dumps(self._request(query)).encode()
        if len(body) > MOST_SENT:
            return Failure(TOO_LARGE, f"the question has {len(body)} bytes, at most {MOST_SENT}")
        try:
            content = self._posted(body)
        except TimeoutError:
            return Failure(TIMED_OUT, f"{self._timeout:g} s")
        except urllib.error.HTTPError as error:
            with error:
                return Failure(BAD_STATUS, f"HTTP {error.code} {plain(str(error.reason))}")
        except (OSError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                return Failure(TIMED_OUT, f"{self._timeout:g} s")
            return Failure(NO_CONNECTION, plain(one_line(error)))
        if content is None:
            return Failure(TOO_LARGE, f"the answer has more than {MOST_READ} bytes")
        return self._read(content)

    def _read(self, content: bytes) -> Answer | Failure:
        return read_answer(content)

    def _request(self, query: Query) -> dict[str, Any]:
        images = [{"type": "image_url", "image_url": {"url": data_url(frame)}}
                  for frame in query.frames]
        content = [*images, {"type": "text", "text": query.text}]
        return {"model": self._model, "messages": [{"role": "user", "content": content}],
                "max_tokens": 1, "temperature": 0, "logprobs": True, "top_logprobs": self._top}

    def _posted(self, body: bytes) -> bytes | None:
        """Return what comes back, or None where it is too large; TimeoutError at the limit."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        end = time.monotonic() + self._timeout
        request = urllib.request.Request(self._url, body, headers, method="POST")
        with self._opener.open(request, timeout=self._timeout) as response:
            pieces, size = [], 0
            while piece := response.read1(PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > MOST_READ:
                    return None
                if time.monotonic() > end:  # a server that sends a byte now and then
                    raise TimeoutError
        return b"".join(pieces)


class SystemOneJudge(EndpointJudge):
    """A model named `model` behind `transformers serve`; `address` ends in /systemone.

    The server puts the text and "Answer Yes or No only." behind the frames, and answers with the
    probability of the token "Yes", of "Yes" and "No" alone.
    """

    path = ""

    def __init__(
        self, address: str, model: str, *, timeout: float = 120.0, batch: int = 4
    ) -> None:
        super().__init__(address, model, timeout=timeout, batch=batch)
        self.identity = {"judge": "systemone", "address": address.rstrip("/"), "model": model}

    def ask(self, queries: Sequence[Query]) -> list[Answer | Failure]:
        """Answer every query. Raises ValueError for more frames than the server takes."""
        most = max((len(query.frames) for query in queries), default=0)
        if most > MOST_IMAGES:
            raise ValueError(f"transformers serve takes at most {MOST_IMAGES} images with a "
                             f"question, got {most} frames: give fewer with --frames")
        return super().ask(queries)

    def _request(self, query: Query) -> dict[str, Any]:
        frames = {f"[[frame {place}]]": data_url(frame).partition(",")[2]
                  for place, frame in enumerate(query.frames)}
        return {"model": self._model, "state": "".join(frames),
                "questions": {"q": {"type": "noul", "instructions": query.text}},
                "assets": {name: {"type": "image", "format": "png", "data_base64": data}
                           for name, data in frames.items()}}

    def _read(self, content: bytes) -> Answer | Failure:
        return read_decision(content)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: it would carry frames and key to another address."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _key() -> str:
    """Return the API key, "" for none. Raise ValueError, without the key, where it is no text of a
    header: http.client would name it in its error."""
    key = os.environ.get(KEY, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError(f"{KEY} should hold printable ASCII letters only")
    return key


def check_address(address: str, with_key: bool) -> None:
    """Raise ValueError for an address that nothing should be sent to."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port  # port raises where it is no number
    except ValueError as error:
        raise ValueError(f"address should be a URL, got {address!r}") from error
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise ValueError("address should be like http://127.0.0.1:8000/v1, got "
                         f"{address.rpartition('@')[2]!r}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"address should hold no user and password; the key goes into {KEY}")
    if with_key and parts.scheme == "http" and not _is_loopback(host):
        raise ValueError(f"address should begin with https where {KEY} is set: the key would go "
                         f"unencrypted to {host}{f':{port}' if port else ''}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def data_url(frame: Pixels) -> str:
    """Return a frame (H, W, 3) uint8 as the URL of a PNG."""
    file = BytesIO()
    Image.fromarray(frame).save(file, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def read_answer(content: bytes) -> Answer | Failure:
    """Read P(yes) off the body of a chat completion, which may hold anything."""
    try:
        choice = parse_json(content)["choices"][0]
        message, logprobs = choice["message"], choice.get("logprobs")
        refusal, ended = message.get("refusal"), choice.get("finish_reason")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        digest = hashlib.sha256(content).hexdigest()[:12]
        return Failure(BAD_ANSWER, f"{type(error).__name__} in {len(content)} bytes ({digest})")
    if refusal:
        return Failure(REFUSED, plain(str(refusal)))
    if ended == "content_filter":
        return Failure(REFUSED, "content filter")
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not tokens:
        if not message.get("content"):
            return Failure(EMPTY, "")
        return Failure(NO_LOGPROBS, f"the text is {plain(str(message['content']))[:40]!r}")
    try:
        first = list(_probabilities(tokens[0]))
        if len(first) < 2:  # P(yes) over that of yes and no would be 0 or 1, however unsure
            return Failure(NO_LOGPROBS, "of the first token alone, without its alternatives")
        return answer_of(first)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        return Failure(BAD_ANSWER, f"log-probabilities: {plain(one_line(error))}")


def _probabilities(first: Any) -> Iterator[tuple[str, float]]:
    """Yield the texts and probabilities of the first token and its alternatives, each once."""
    seen: dict[tuple[str, str], float] = {}
    entries = [*first["top_logprobs"]]
    if all(entry["token"] != first["token"] for entry in entries):
        entries.append(first)
    for entry in entries:
        token, logarithm = entry["token"], float(entry["logprob"])
        if not isinstance(token, str) or not logarithm <= 1e-3:
            raise ValueError(f"{token!r} has the log-probability {logarithm}")
        seen.setdefault((token, str(entry.get("bytes"))), math.exp(min(logarithm, 0.0)))
    for (token, _), probability in seen.items():
        yield token, probability


def read_decision(content: bytes) -> Answer | Failure:
    """Read P(yes) off the body of an answer to a typed question, which may hold anything."""
    try:
        value = parse_json(content)["answers"]["q"]["noul"]
        if isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"{value!r} is no probability")
        return Answer(float(value))
    except (ValueError, KeyError, TypeError) as error:
        return Failure(BAD_ANSWER, plain(f"{type(error).__name__}: {one_line(error)}"))


def plain(text: str) -> str:
    """Return foreign text in one short line without control characters."""
    words = "".join(letter if letter.isprintable() else " " for letter in text[:400])
    return " ".join(words.split())[:200]
