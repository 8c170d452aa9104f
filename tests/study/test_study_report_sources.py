"""A report of a database and of its exported votes are the same; votes that cannot be true."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_reports import QUICK
from tiny_study import arrive, attentive, blank_study, careless, finish, judge, judge_all

from motifocal.study.protocol import Protocol
from motifocal.study.report.files import to_json
from motifocal.study.report.report import make_report
from motifocal.study.report.source import read_source
from motifocal.study.report.words import sentence
from motifocal.study.votes import Vote, write_votes


def test_a_database_gives_the_same_report_as_its_exported_votes(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", pictures=6, gold_every=4) as store:
        while store.progress().done < store.progress().wanted:
            judge_all(store, attentive)
        write_votes(tmp_path / "votes.jsonl", store.votes())
        (tmp_path / "protocol.json").write_text(store.protocol.to_json())
        failed = store.failed_gold()
    held = make_report(read_source(tmp_path / "study.db"), resampling=QUICK)
    read = make_report(read_source(tmp_path / "votes.jsonl", protocol=tmp_path / "protocol.json"),
                       resampling=QUICK)
    assert to_json(held) == to_json(read)
    assert held.failed == failed == set()
    assert held.comparisons[0].share.value == 1
    assert held.marks == ()


def test_a_database_names_who_fails_as_the_store_does_and_what_is_still_wanted(
    tmp_path: Path,
) -> None:
    with blank_study(tmp_path / "study.db", pictures=6, gold_every=2, gold_least=2) as store:
        for resampling in (careless, attentive, attentive):
            judge_all(store, resampling)
        failed, progress = store.failed_gold(), store.progress()
    source = read_source(tmp_path / "study.db")
    assert source.failed() == failed
    assert len(failed) == 1
    report = make_report(source, resampling=QUICK)
    (missing,) = report.missing
    assert missing.wanted == progress.wanted == 36
    assert missing.lacking == progress.wanted - progress.done + report.excluded


def test_comparisons_without_any_vote_are_missing_too(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", baselines=2, votes=1) as store:
        judge(store, arrive(store))
        wanted = store.progress().wanted
    report = make_report(read_source(tmp_path / "study.db"), ours="Ours", resampling=QUICK)
    assert sum(each.lacking for each in report.missing) == wanted - 1
    assert len(report.missing) == 2
    assert "INCOMPLETE: 15 of 16" in sentence(report)


def test_replaced_votes_make_a_study_complete_again(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", pictures=6, gold_every=2, gold_least=2) as store:
        judge_all(store, careless)
        finish(store)
        for _ in range(20):
            if not store.reopen_failed():
                break
            while store.progress().done < store.progress().wanted:
                judge_all(store, attentive)
    report = make_report(read_source(tmp_path / "study.db"), resampling=QUICK)
    assert report.excluded > 0
    assert report.marks == ()
    assert report.votes == 36


def test_a_file_of_votes_is_refused_where_it_cannot_be_true(
    votes: list[Vote], tmp_path: Path
) -> None:
    path = tmp_path / "votes.jsonl"
    write_votes(path, [*votes, votes[0]])
    with pytest.raises(ValueError, match="cannot be true"):
        read_source(path)
    write_votes(path, [vote for vote in votes if vote.gold])
    with pytest.raises(ValueError, match="should hold votes, got none"):
        read_source(path)
    write_votes(path, votes)
    (tmp_path / "protocol.json").write_text(Protocol().to_json())
    with pytest.raises(ValueError, match="should be the protocol of the votes"):
        read_source(path, protocol=tmp_path / "protocol.json")
    (tmp_path / "protocol.json").write_text("[]")
    with pytest.raises(ValueError, match="should be a protocol"):
        read_source(path, protocol=tmp_path / "protocol.json")
    assert {each.votes for each in read_source(path).expected} == {5}
    assert {each.votes for each in read_source(path, votes_per_pair=7).expected} == {7}
