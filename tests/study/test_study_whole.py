"""A whole study over real HTTP: made of published videos, served, killed, finished, reported."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from http_annotators import LEASE, Acknowledged, Server, hold

from motifocal.cli import cli
from motifocal.study.store.store import Store
from motifocal.study.votes import read_votes, validate

MODELS = ("motif", "cinemo", "cond_leak", "dynamicrafter")
VOTES = 5


def motifocal(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MotiF against three models, five votes a pair."""
    if "MOTIFOCAL_SHARED" not in os.environ:
        pytest.skip("MOTIFOCAL_SHARED is not set")
    clips = Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips"
    folder = tmp_path_factory.mktemp("study")
    for model in MODELS:
        motifocal("bench", "ingest", clips / "videos" / model, "--bench", clips, "--subset",
                  "with-image", "--partial", "--name", model, "-o", folder / model)
    others = [word for model in MODELS[1:] for word in ("--b", folder / model)]
    motifocal("study", "create", "--a", folder / MODELS[0], *others, "--votes", VOTES, "--lease",
              LEASE, "--least-seconds", 0, "--gold-every", 6, "-o", folder / "study.db")
    return folder / "study.db"


@pytest.fixture(scope="module")
def acknowledged(study: Path) -> Acknowledged:
    """Thirty annotators, three of whom walk away, and a server that is killed twice meanwhile."""
    return hold(Server(str(study), study.with_name("secret")))


@pytest.mark.slow
def test_a_study_served_and_killed_twice_ends_with_every_vote_once(
    study: Path, acknowledged: Acknowledged
) -> None:
    with Store(study) as store:
        votes = list(store.votes())
    real = [vote for vote in votes if vote.gold is None]
    per_pair = Counter(vote.unit for vote in real)
    assert len(per_pair) == 3 * 26
    assert set(per_pair.values()) == {VOTES}, "every pair has exactly N judgements"
    assert validate(votes) == []
    said = [slot for slot, _, _ in acknowledged.votes]
    assert len(said) == len(set(said)), "no vote is acknowledged twice"
    assert len(said) <= len(votes) <= len(said) + 2, "all acknowledged votes are there"
    sides = {unit: Counter(vote.left for vote in real if vote.unit == unit) for unit in per_pair}
    assert {tuple(sorted(side.values())) for side in sides.values()} == {(2, 3)}


@pytest.mark.slow
def test_its_votes_become_a_report_and_an_open_file(
    study: Path, acknowledged: Acknowledged, tmp_path: Path
) -> None:
    motifocal("study", "export", study, "-o", tmp_path / "votes.jsonl")
    motifocal("study", "validate", tmp_path / "votes.jsonl")
    assert "worker-" not in (tmp_path / "votes.jsonl").read_text()
    assert len(read_votes(tmp_path / "votes.jsonl")) >= 3 * 26 * VOTES
    motifocal("study", "report", study, "-o", tmp_path / "a")
    motifocal("study", "report", study, "-o", tmp_path / "b")
    report = json.loads((tmp_path / "a/report.json").read_text())
    assert len(report["comparisons"]) == 3
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name
