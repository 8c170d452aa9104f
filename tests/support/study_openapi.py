"""The study's addresses as an OpenAPI document: what may be asked, sent and answered."""

from __future__ import annotations

from typing import Any

from motifocal import __version__
from motifocal.study.messages import TOKEN
from motifocal.study.web.api import VoteBody
from motifocal.study.web.recruitment import PARAMETERS

Spec = dict[str, Any]

PAGE: Spec = {"content": {"text/html": {"schema": {"type": "string"}}}}
#: Every address may refuse a request before it is looked at.
ALWAYS = {"400": "a damaged request", "421": "another host's name", "429": "too much at once",
          "503": "busy, ask again"}
ERROR: Spec = {
    "type": "object", "required": ["error", "words"], "additionalProperties": False,
    "properties": {"error": {"type": "string"}, "words": {"type": "string"}},
}  # fmt: skip
NAME: Spec = {"type": "string", "pattern": TOKEN}
TASK: Spec = {
    "type": "object", "additionalProperties": False,
    "required": ["slot", "picture", "prompt", "left", "right", "number", "of", "upcoming"],
    "properties": {
        "slot": NAME, "picture": NAME, "left": NAME, "right": NAME,
        "prompt": {"type": "string"},
        "number": {"type": "integer", "minimum": 1}, "of": {"type": "integer", "minimum": 1},
        "upcoming": {"type": "array", "items": NAME, "maxItems": 3},
    },
}  # fmt: skip
NEXT: Spec = {"type": "object", "required": ["task"], "additionalProperties": False,
              "properties": {"task": {"anyOf": [TASK, {"type": "null"}]}}}  # fmt: skip


def openapi() -> Spec:
    """The document, as a new value: OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "motifocal study", "version": __version__},
        "components": {
            "schemas": {"Vote": VoteBody.model_json_schema()},
            "securitySchemes": {
                "annotator": {"type": "apiKey", "in": "cookie", "name": "study"},
                "researcher": {"type": "http", "scheme": "bearer"},
            },
        },
        "paths": {**_pages(), **_for_scripts(), **_files()},
    }


def _pages() -> Spec:
    entry = [_query(name) for name in (*PARAMETERS.values(), "assignmentId", "turkSubmitTo")]
    agree = _form({"agree": {"const": "yes"}}, ["agree"])
    check = _form({"question-0": {"type": "string", "pattern": "^[0-9]$"}}, [])
    return {
        "/": {"get": _asked({"200": "a preview", "303": "to the consent"}, PAGE, parameters=entry)},
        "/consent": {"get": _page(), "post": _sent(agree)},
        "/declined": {"get": _asked({"200": "the page"}, PAGE)},
        "/instructions": {"get": _page(), "post": _sent(check)},
        "/compare": {"get": _page()},
        "/leave": {"post": _sent(_form({}, []))},
        "/paused": {"get": _page()},
        "/end": {"get": _page()},
        "/dashboard": {"get": _asked({"200": "the page", "303": "without the token",
                                      "401": "no token, or a wrong one"}, PAGE,
                                     parameters=[_query("token")], security=["researcher"])},
    }  # fmt: skip


def _for_scripts() -> Spec:
    told = {"content": {"application/json": {"schema": NEXT}}}
    refused = {"401": "no session", "404": "no such slot", "409": "answered, or not ready"}
    body = {"required": True, "content": {"application/json": {
        "schema": {"$ref": "#/components/schemas/Vote"}}}}  # fmt: skip
    vote = {**refused, "403": "another's slot, or sent by another site", "408": "too slow",
            "410": "expired", "413": "too long", "415": "not JSON", "422": "not an answer",
            "425": "too early"}  # fmt: skip
    return {
        "/task": {"get": _asked({"200": "what to judge now", **refused}, told,
                                security=["annotator"], errors=True)},
        "/vote": {"post": _asked({"200": "stored; what to judge next", **vote}, told,
                                 requestBody=body, security=["annotator"], errors=True)},
    }  # fmt: skip


def _files() -> Spec:
    raw: Spec = {"content": {kind: {"schema": {}} for kind in ("video/mp4", "image/png")}}
    media = {"200": "all of it", "206": "a part", "304": "as before", "401": "no session",
             "404": "no such thing", "416": "no such part"}  # fmt: skip
    asset = {"200": "the file", "404": "no such file"}
    ranged = {"name": "Range", "in": "header", "schema": {"type": "string"}}
    return {
        "/media/{token}": {"get": _asked(media, raw, parameters=[_path("token"), ranged],
                                         security=["annotator"])},
        "/assets/{name}": {"get": _asked(asset, {"content": {"*/*": {}}},
                                         parameters=[_path("name")])},
        "/robots.txt": {"get": _asked({"200": "not for search engines"},
                                      {"content": {"text/plain": {}}})},
    }  # fmt: skip


def _page() -> Spec:
    return _asked({"200": "the page", "303": "to the page that is due", "401": "no session"}, PAGE,
                  security=["annotator"])  # fmt: skip


def _sent(body: Spec) -> Spec:
    said = {"303": "to the next page", "401": "no session", "403": "sent by another site",
            "408": "too slow", "413": "too long", "415": "not a form"}  # fmt: skip
    return _asked(said, PAGE, requestBody=body, security=["annotator"])


def _asked(
    said: dict[str, str], good: Spec, *, errors: bool = False, security: list[str] | None = None,
    **rest: Any,
) -> Spec:  # fmt: skip
    """One operation: its answers by status, the good ones with their content."""
    bad = {"content": {"application/json": {"schema": ERROR}}} if errors else PAGE
    answers = {status: {"description": words, **(good if status < "204" or status == "206" else
                                                 {} if status < "400" or status == "416" else bad)}
               for status, words in {**ALWAYS, **said}.items()}  # fmt: skip
    return {"responses": answers, "security": [{name: []} for name in security or ()], **rest}


def _form(properties: Spec, required: list[str]) -> Spec:
    schema = {"type": "object", "properties": properties, "required": required}
    return {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}


def _query(name: str) -> Spec:
    return {"name": name, "in": "query", "schema": {"type": "string", "maxLength": 200}}


def _path(name: str) -> Spec:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
