"""Headers, cookies, limits and secrets of the study's site."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient
from study_client import BASE, SECRET, client_of, consented

from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app
from motifocal.study.web.secrets import ENVIRONMENT, Keys, make_secret, read_keys
from motifocal.study.web.security import Limits, Rate, Site, neighbourhood


def test_assets_may_be_kept_and_answers_may_not(client: TestClient) -> None:
    assert "immutable" in client.get("/assets/style.css").headers["cache-control"]
    assert client.get("/assets/in_step.js").headers["content-type"].startswith("text/javascript")
    consented(client)
    for page in ("/compare", "/task", "/consent"):
        assert client.get(page).headers["cache-control"] == "no-store"
    for name in ("consent.html", "../app.py", "%2e%2e/app.py", "style.css/..", ""):
        assert client.get(f"/assets/{name}").status_code == 404
    assert "Disallow: /" in client.get("/robots.txt").text


def test_every_answer_carries_the_headers_that_keep_it_to_itself(client: TestClient) -> None:
    for path in ("/consent", "/nothing", "/assets/style.css", "/task", "/dashboard"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_cookies_are_for_this_site_and_no_script(store: Store) -> None:
    for base, secure in ((BASE, False), ("https://study.example.org", True)):
        with client_of(store, base) as client:
            cookie = client.get("/", follow_redirects=False).headers["set-cookie"]
            assert "HttpOnly; SameSite=Lax" in cookie
            assert ("; Secure" in cookie) is secure


def test_too_many_requests_have_to_wait(store: Store) -> None:
    limits = Limits(session=Rate(1, 3, clock=lambda: 0.0), address=Rate(1, 100, clock=lambda: 0.0))
    with client_of(store, limits=limits) as client:
        client.get("/")
        answers = [client.get("/consent") for _ in range(4)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
    with client_of(store, limits=Limits(address=Rate(1, 2, clock=lambda: 0.0))) as client:
        assert [client.get("/robots.txt").status_code for _ in range(3)] == [200, 200, 429]


def test_who_joins_again_and_again_from_one_address_has_to_wait(store: Store) -> None:
    with client_of(store, limits=Limits(joining=Rate(0.01, 2, clock=lambda: 0.0))) as client:
        seen = []
        for number in range(3):
            client.get(f"/?PROLIFIC_PID=p{number}")
            seen.append(client.post("/consent", data={"agree": "yes"}).status_code)
        assert seen == [200, 200, 429]


def test_a_bucket_fills_again_with_time_and_forgets_the_oldest() -> None:
    now = [0.0]
    rate = Rate(2, 3, most_keys=2, clock=lambda: now[0])
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert rate.wait("a") == 0
    assert rate.wait("a") > 0
    rate.wait("b")
    rate.wait("c")  # "a" is forgotten, and begins anew
    assert rate.wait("a") == 0


def test_households_share_a_bucket() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff")
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("::ffff:10.0.0.1") == "10.0.0.1"
    assert neighbourhood("testclient") == "unknown"


def test_a_site_knows_its_hosts_and_origins() -> None:
    site = Site.at("https://study.example.org/path/")
    assert site.hosts == {"study.example.org", "study.example.org:443"}
    assert site.secure
    assert "http://localhost:8000" in Site.at("http://127.0.0.1:8000").origins
    for wrong in ("study.example.org", "ftp://x.y", "https://", "https://u:p@x.y", "https://x.y?a"):
        with pytest.raises(ValueError, match="base URL"):
            Site.at(wrong)


def test_a_host_in_any_script_is_known_by_the_name_that_browsers_send(store: Store) -> None:
    # As WHATWG's URL parser writes them.
    for given, sent in {"https://müller.example": "xn--mller-kva.example",
                        "https://MÜLLER.example/": "xn--mller-kva.example",
                        "https://研究.example:8443": "xn--w8yu4c.example:8443"}.items():
        site = Site.at(given)
        assert sent in site.hosts
        assert f"https://{sent}" in site.origins
    app = build_app(store, secret=SECRET, dashboard_token="t", base_url="https://müller.example/")
    with TestClient(app, base_url="https://xn--mller-kva.example") as client:
        assert client.get("/").status_code == 200
    for unclear in ("https://straße.example", f"https://{'ü' * 70}.example"):
        with pytest.raises(ValueError, match="base URL should have its host as browsers send it"):
            Site.at(unclear)


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "study.secret"
    assert make_secret(file)
    assert file.stat().st_mode & 0o777 == 0o600
    keys = read_keys(file)
    assert not make_secret(file)
    assert read_keys(file) == keys
    assert len(keys.session) == 32
    file.chmod(0o644)
    with pytest.raises(ValueError, match="owner alone"):
        read_keys(file)


def test_there_is_no_default_secret(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(ValueError, match="32 to 1000"):
        read_keys(None)
    monkeypatch.setenv(ENVIRONMENT, "x" * 40)
    assert read_keys(None) == Keys.of("x" * 40)
    with pytest.raises(ValueError, match="32 bytes"):
        build_app(store, secret=b"short", dashboard_token="t", base_url=BASE)
    with pytest.raises(ValueError, match="dashboard_token"):
        build_app(store, secret=SECRET, dashboard_token="", base_url=BASE)
