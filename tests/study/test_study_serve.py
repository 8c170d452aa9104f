"""The command that serves: what it refuses, what it prints, and that it starts and stops."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from drawn_study import drawn_study
from http_annotators import PATIENCE, free_port
from tiny_study import blank_study

from motifocal.cli.study.serve import serve
from motifocal.study.web.secrets import ENVIRONMENT, read_keys


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    blank_study(tmp_path / "study.db").close()
    return tmp_path / "study.db"


def ran(*arguments: object) -> Result:
    return CliRunner().invoke(serve, [str(one) for one in arguments])


def test_the_link_of_the_dashboard_is_that_of_the_secret_beside_the_study(study: Path) -> None:
    first = ran(study, "--dashboard-link")
    assert first.exit_code == 0
    token = read_keys(f"{study}.secret").dashboard
    assert f"http://127.0.0.1:8000/dashboard?token={token}" in first.stdout
    assert ran(study, "--dashboard-link").stdout == first.stdout
    other = ran(study, "--dashboard-link", "--base-url", "https://lab.example.org/study").stdout
    assert f"dashboard: https://lab.example.org/study/dashboard?token={token}" in other


def test_the_secret_may_come_from_the_environment(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, "e" * 40)
    assert read_keys(None).dashboard in ran(study, "--dashboard-link").stdout
    assert not Path(f"{study}.secret").exists()
    monkeypatch.setenv(ENVIRONMENT, "short")
    assert isinstance(ran(study, "--dashboard-link").exception, ValueError)


def test_an_address_that_others_reach_needs_a_name(study: Path) -> None:
    refused = ran(study, "--host", "0.0.0.0", "--dashboard-link")
    assert refused.exit_code == 2
    assert "--base-url" in refused.output
    wrong = ran(study, "--base-url", "study.example.org", "--dashboard-link")
    assert wrong.exit_code == 2
    assert "--base-url" in wrong.output
    plain = ran(study, "--base-url", "http://study.example.org", "--dashboard-link")
    assert "without https" in plain.stderr


def test_what_is_no_study_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    missing = ran(tmp_path / "none.db", "--dashboard-link")
    assert isinstance(missing.exception, ValueError)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.db").write_text("no study")
    assert isinstance(ran(tmp_path / "text.db", "--dashboard-link").exception, ValueError)
    database = ran("postgresql://nobody@127.0.0.1:1/none", "--dashboard-link")
    assert database.exit_code == 2
    assert "--secret-file" in database.output


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_server_starts_answers_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    drawn_study(tmp_path, scenarios=("sun", "duck")).close()
    port = free_port()
    code = "from motifocal.cli.study.serve import serve; serve()"
    command = [sys.executable, "-c", code, str(tmp_path / "study.db"), "--port", str(port),
               "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"}) as server:
        try:
            assert "You are invited" in fetched(f"http://127.0.0.1:{port}/")
            with pytest.raises(urllib.error.HTTPError, match="421"):
                urllib.request.urlopen(urllib.request.Request(
                    f"http://127.0.0.1:{port}/", headers={"Host": "evil.example"}))
        finally:
            server.send_signal(signal.SIGTERM)
            said, errors = server.communicate(timeout=PATIENCE)
    assert re.search(rf"dashboard: http://127.0.0.1:{port}/dashboard\?token=[0-9a-f]{{32}}", said)
    assert "Traceback" not in errors
    assert "evil" not in said + errors
    assert not (tmp_path / "study.db-wal").exists()


def fetched(address: str, seconds: float = PATIENCE) -> str:
    """The page at an address, as soon as a server is there; it keeps cookies on the way."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    end = time.monotonic() + seconds
    while True:
        try:
            with opener.open(address) as answer:
                return str(answer.read(), "utf-8")
        except urllib.error.HTTPError:
            raise
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
