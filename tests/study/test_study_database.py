"""One file is a whole study: nothing but a study is opened, and its tables are described."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select, text
from tiny_study import blank_study, finish, read_table

from motifocal.cli.study.export import export
from motifocal.cli.study.validate import validate
from motifocal.study.protocol import read_protocol
from motifocal.study.store.database import parse_url, url_for_display
from motifocal.study.store.store import Store
from motifocal.study.store.tables import ITEM, STUDY, TABLES
from motifocal.study.votes import read_votes
from motifocal.study.votes import validate as problems


def test_only_a_study_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no study at"):
        Store(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.db").write_text("this is a text and no database at all, not at all")
    with pytest.raises(ValueError, match="cannot be used: file is not a database"):
        Store(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ValueError, match="should hold a study, got none"):
        Store(tmp_path / "empty.db")


def test_a_database_that_is_no_study_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "thesis.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE note (text)")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(ValueError, match="should hold a study, got none"):
        Store(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_study_that_was_copied_without_its_log_writes_ahead_again(tmp_path: Path) -> None:
    blank_study(tmp_path / "s.db").close()
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    Store(tmp_path / "copy.db").close()
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_protocol_that_was_changed_later_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    blank_study(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER study_no_update")
    connection.execute("UPDATE study SET protocol = replace(protocol, ?, ?)",
                       ('"votes":3', '"votes":4'))
    connection.commit()
    connection.close()
    with pytest.raises(ValueError, match="should have the hash it was given at the start"):
        Store(path)


def test_places_of_databases_are_told_apart(tmp_path: Path) -> None:
    assert url_for_display(parse_url(tmp_path / "a b?.db")) == str(tmp_path / "a b?.db")
    assert parse_url(f"sqlite:///{tmp_path}/x.db") == parse_url(tmp_path / "x.db")
    url = parse_url("postgresql://me:secret@host/study")
    assert url.drivername == "postgresql+psycopg"
    assert "secret" not in url_for_display(url)
    for wrong in ("mysql://host/x", "sqlite://", "sqlite:///:memory:", "://", "sqlite:///x?a=1"):
        with pytest.raises(ValueError, match="the database should be"):
            parse_url(wrong)


def test_one_file_is_the_whole_study_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with blank_study(path) as store:
        finish(store)
        votes = list(store.votes())
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    with Store(copy) as store:
        assert list(store.votes()) == votes


def test_export_writes_valid_votes_and_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with blank_study(path) as store:
        finish(store)
        votes = list(store.votes())
        protocol = store.protocol
    assert problems(votes) == []
    output = tmp_path / "votes.jsonl"
    done = CliRunner().invoke(export, [str(path), "-o", str(output), "--protocol",
                                       str(tmp_path / "protocol.json")], catch_exceptions=False)
    assert done.exit_code == 0
    assert read_votes(output) == votes
    rules = (tmp_path / "protocol.json").read_text(encoding="utf-8")
    assert read_protocol(json.loads(rules)) == protocol
    assert str(output) in done.stdout
    assert CliRunner().invoke(validate, [str(output)]).exit_code == 0
    lines = output.read_text().splitlines()
    output.write_text("\n".join([lines[0], *lines]))
    bad = CliRunner().invoke(validate, [str(output)])
    assert bad.exit_code == 1
    assert "vote 2: a worker should judge" in bad.stdout


def test_all_media_have_names_that_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    blank_study(path, baselines=3).close()
    shown = read_table(path, select(ITEM.c.video_a, ITEM.c.video_b, ITEM.c.picture))
    videos = [token for row in shown for token in row[:2]]
    assert len(set(videos)) == len(videos)
    assert all(len(token) >= 32 for token in videos)
    names = [row[0] for row in read_table(path, select(STUDY.c.salt))]
    assert len(names[0]) == 64


def test_every_table_is_described_in_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    blank_study(path).close()
    held = {name for (name,) in read_table(path, text(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"))}
    assert held == set(TABLES.tables)
