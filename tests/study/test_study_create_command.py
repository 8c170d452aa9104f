"""`motifocal study create`: its options, texts and questions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stored_videos import videos_of
from tiny_bench import write_benchmark

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results, open_results
from motifocal.cli.study.create import create
from motifocal.study.create import study, writing
from motifocal.study.create.study import create_study
from motifocal.study.protocol import Protocol, read_protocol
from motifocal.study.store.store import Store
from motifocal.study.store.tables import ITEM


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(create, [str(each) for each in arguments])


def test_the_command_makes_a_study(ours: Results, theirs: Results, tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    bench = write_benchmark(tmp_path / "bench")
    done = invoke("--a", ours.folder, "--b", theirs.folder, "-o", path, "--votes", 3, "--cap", 12,
                  "--bench", bench, "--completion-url", "prolific=https://example.org/?cc={code}")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{path}\n"
    assert "Ours beside Theirs: 5 pairs, 5 items, 15 votes" in done.stderr
    assert "warning: the rule for gold items can exclude 0% of the annotators" in done.stderr
    with Store(path) as store:
        assert (store.protocol.votes, store.protocol.cap) == (3, 12)
        assert store.protocol.completion_urls.prolific == "https://example.org/?cc={code}"
        assert store.protocol.digest() in done.stderr


def test_the_password_of_a_database_is_not_printed(
    ours: Results, theirs: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name in ((writing, "check_free"), (study, "write_layout")):
        monkeypatch.setattr(module, name, lambda place, *_, **__: place)  # there is no server
    done = invoke("--a", ours.folder, "--b", theirs.folder, "-o", "postgresql://me:secret@host/db")
    assert done.exit_code == 0, done.output
    assert done.stdout == "postgresql+psycopg://me:***@host/db\n"
    assert "secret" not in done.output


def test_a_dry_run_prints_the_rules_and_makes_nothing(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    path = tmp_path / "study.db"
    both = ("--a", ours.folder, "--b", theirs.folder, "-o", path, "--dry-run")
    done = invoke(*both, "--gold", "still,repeat", "--votes", 2)
    assert done.exit_code == 0, done.output
    assert not path.exists()
    held = json.loads(done.stdout)
    assert (held["votes"], held["items"]) == (10, 5)
    protocol = read_protocol(held["protocol"])
    assert protocol.digest() == held["protocol_sha256"]
    assert protocol.gold_counted == ("still",)
    rules = tmp_path / "rules.json"
    rules.write_text(done.stdout)
    again = json.loads(invoke(*both, "--protocol", rules).stdout)
    assert again["protocol_sha256"] == held["protocol_sha256"]
    other = json.loads(invoke(*both, "--protocol", rules, "--title", "x").stdout)
    assert other["protocol"]["title"] == "x"
    assert other["protocol"]["votes"] == 2


def test_a_kind_of_gold_has_its_new_name_in_options_and_its_stored_name_in_the_protocol(
    ours: Results, theirs: Results
) -> None:
    both = ("--a", ours.folder, "--b", theirs.folder, "--dry-run", "--gold")
    now, before = invoke(*both, "other_prompt"), invoke(*both, "other_sentence")
    assert now.exit_code == before.exit_code == 0, now.output + before.output
    for done in (now, before):
        assert json.loads(done.stdout)["protocol"]["gold_kinds"] == ["other_sentence"]
    warning = "warning: --gold other_sentence is now other_prompt; the old name will go\n"
    assert before.stderr.startswith(warning)
    assert "warning: --gold" not in now.stderr
    assert " other_prompt\n" in now.stderr


def test_texts_and_questions_come_from_files(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    (tmp_path / "consent.md").write_text("# Ja?", encoding="utf-8")
    check = [{"question": "What first?", "answers": ["the reasons", "the choice"],
              "right": "the choice"}]
    (tmp_path / "check.json").write_text(json.dumps(check))
    both = ("--a", ours.folder, "--b", theirs.folder, "--dry-run", "--gold", "none", "--consent",
            tmp_path / "consent.md")
    done = invoke(*both, "--check", tmp_path / "check.json", "--ties", "--keep-ids")
    assert done.exit_code == 0, done.output
    protocol = read_protocol(json.loads(done.stdout)["protocol"])
    assert (protocol.consent_md, protocol.gold_every, protocol.ties) == ("# Ja?", 0, True)
    assert [question.right for question in protocol.check] == [1]
    assert protocol.keep_ids
    (tmp_path / "check.toml").write_text(
        '[[check]]\nquestion = "What first?"\nanswers = ["the reasons", "the choice"]\nright = 1\n')
    done = invoke(*both, "--check", tmp_path / "check.toml")
    found = read_protocol(json.loads(done.stdout)["protocol"])
    assert found.check == protocol.check


@pytest.mark.parametrize(("arguments", "words"), [
    (["--gold", "broken"], "Invalid value for '--gold'"),
    (["--frames", "3", "--seconds", "1"], "--frames and --seconds say the same thing"),
    (["--completion-url", "else=https://x.org"], "Invalid value for '--completion-url'"),
    (["--completion-url", "sona=javascript:1"], "should be an https:// address"),
    (["--votes", "0"], "Invalid value for '--votes'"),
    (["--gold-every", "1"], "gold_every should be 0, or at least 2"),
    (["-o", "mysql://x/y"], "should be a file or postgresql"),
])  # fmt: skip
def test_options_that_make_no_sense_are_named(
    arguments: list[str], words: str, ours: Results, theirs: Results
) -> None:
    done = invoke("--a", ours.folder, "--b", theirs.folder, "--dry-run", *arguments)
    assert done.exit_code != 0
    assert words in done.output + str(done.exception)


def test_a_folder_without_results_is_named(ours: Results, tmp_path: Path) -> None:
    done = invoke("--a", ours.folder, "--b", tmp_path, "-o", tmp_path / "s.db")
    assert "should hold run.json" in str(done.exception)


@pytest.mark.slow
def test_real_videos_of_two_models_become_a_study(shared: Path, tmp_path: Path) -> None:
    from motifocal.bench.ingest import find_videos, ingest, with_videos
    from motifocal.bench.pairs import subset_of

    benchmark = subset_of(read_benchmark(shared / "ti2v-clips"), "scenarios:golf", None)
    folders = []
    for model in ("motif", "cinemo"):
        found = find_videos(shared / "ti2v-clips" / "videos" / model, benchmark.pairs)
        results = Results(tmp_path / model, model, {}, with_videos(benchmark, found),
                          found.seeds(), None)
        assert sum(1 for _ in ingest(results, found)) == 3
        folders.append(open_results(results.folder))
    path = tmp_path / "study.db"
    protocol = Protocol(cap=7, gold_kinds=("still", "repeat"), gold_counted=("still",))
    layout = create_study(path, folders[0], folders[1:], protocol)
    assert layout.material["mark"].startswith("SUBSET: 3 of 320 pairs of TI2V-Bench")
    for _, first, second in videos_of(path, ITEM.c.gold.is_(None)):
        assert len(first) == len(second) > 10_000
