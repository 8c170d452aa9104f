"""The schema of the study's site names every address, and every answer is one that it tells of."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
from starlette.testclient import TestClient
from study_client import BASE, SECRET, TOKEN
from study_openapi import openapi

from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app
from motifocal.study.web.security import Limits, Rate


def test_the_schema_names_every_address_and_none_besides(store: Store) -> None:
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE)
    there = {(route.path, method.lower()) for route in app.routes
             for method in route.methods - {"HEAD"}}
    told = {(path, method) for path, item in openapi()["paths"].items() for method in item}
    assert told == there


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True], ids=["a stranger", "an annotator"])
def test_whatever_is_asked_gets_an_answer_that_the_schema_tells_of(
    store: Store, known: bool
) -> None:
    """Schemathesis draws requests that fit the schema, and ones that do not."""
    schemathesis = pytest.importorskip("schemathesis", reason="needs Python 3.11")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis import checks

    free = Limits(*(Rate(1e6, 1e6) for _ in range(4)))
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE, limits=free)
    strict = [checks.not_a_server_error, checks.status_code_conformance,
              checks.content_type_conformance, checks.response_schema_conformance]
    asked: Counter[str] = Counter()
    with TestClient(app, base_url=BASE, headers={"origin": BASE},
                    follow_redirects=False) as client:
        if known:
            client.get("/")
            client.post("/consent", data={"agree": "yes"})

        def ask(case: Any) -> None:
            request = case.as_transport_kwargs(base_url=BASE)
            drawn = request.pop("cookies")
            if isinstance(request.get("data"), bytes | str):
                request["content"] = request.pop("data")
            if not known:
                request["headers"]["cookie"] = "; ".join(f"{k}={v}" for k, v in drawn.items())
            answer = client.request(**request)
            asked[f"{case.method} {case.path} {answer.status_code}"] += 1
            case.validate_response(answer, checks=strict)

        limited = settings(max_examples=4, deadline=None, database=None, derandomize=True,
                           phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        for operation in schemathesis.openapi.from_dict(openapi()).get_all_operations():
            for mode in schemathesis.GenerationMode:
                strategy = operation.ok().as_strategy(generation_mode=mode)
                with suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked for
                    limited(given(strategy)(ask))()
    told = {(path, method.upper()) for path, item in openapi()["paths"].items() for method in item}
    assert {tuple(key.split()[1::-1]) for key in asked} == told
    assert sum(asked.values()) > 3 * len(told)
