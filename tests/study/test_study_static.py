"""The study without a server: a folder that is whole, and files that are checked."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from drawn_study import CODES, OURS, THEIRS, drawn_study
from tiny_study import blank_study

from motifocal.cli.study.import_ import import_
from motifocal.cli.study.serve import serve
from motifocal.study.offline import folder as static_study
from motifocal.study.offline.assignment import lists_of
from motifocal.study.offline.folder import AnswerImport, checksum, read_answers, write_folder
from motifocal.study.offline.import_votes import OfflineImport
from motifocal.study.votes import validate

ANSWER = {"choice": "left", "reasons": ["object_motion"], "milliseconds": 4000, "loops": 2,
          "hidden_milliseconds": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study, and its static page."""
    folder = tmp_path_factory.mktemp("static")
    drawn_study(folder, scenarios=("sun", "bird", "duck"), protocol={"votes": 3}).close()
    ran = CliRunner().invoke(serve, [str(folder / "study.db"), "--static", str(folder / "page")])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout == f"{folder / 'page' / 'index.html'}\n"
    assert "3 participants finish it" in ran.stderr
    return folder / "study.db", folder / "page"


@pytest.fixture
def store(made: tuple[Path, Path], tmp_path: Path) -> Iterator[OfflineImport]:
    shutil.copy(made[0], tmp_path / "study.db")
    opened = OfflineImport(tmp_path / "study.db")
    with opened:
        yield opened


def test_the_folder_is_whole_and_names_no_model(made: tuple[Path, Path]) -> None:
    page = made[1]
    html = (page / "index.html").read_text()
    assert all((page / name).is_file() for name in re.findall(r'(?:src|href)="([^"#]+)"', html))
    held = json.loads((page / "data.js").read_text().removeprefix("const STUDY = ").rstrip(";\n"))
    media = {name for picture, _, *videos in held["items"] for name in (picture, *videos)}
    assert media == {path.name for path in (page / "media").iterdir()}
    text = "".join(path.read_text() for path in page.iterdir() if path.is_file())
    assert OURS not in text
    assert THEIRS not in text
    assert "model_a" not in text


def test_the_first_video_of_an_item_may_be_either_models(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", pictures=20) as blank:
        blank.close()
    store = OfflineImport(tmp_path / "study.db")
    items = [item for item in store.items() if item.gold is None]
    first = [item.videos[0] == min(item.videos) for item in items]
    assert 0.2 < sum(first) / len(first) < 0.8
    store.close()


def test_neither_order_nor_times_of_files_tell_which_model_made_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank_study(tmp_path / "study.db", pictures=80).close()
    written: list[str] = []
    write_media = static_study._write_media

    def noted(store: OfflineImport, name: str, folder: Path) -> str:
        written.append(name)
        return write_media(store, name, folder)

    monkeypatch.setattr(static_study, "_write_media", noted)
    store = OfflineImport(tmp_path / "study.db")
    with store:
        list(write_folder(store, tmp_path / "page", seed=0))
        place = {name: number for number, name in enumerate(written)}
        first = [place[item.videos[0]] < place[item.videos[1]] for item in store.items()
                 if item.videos[0] in place]
    assert len(first) > 150
    assert 0.2 < sum(first) / len(first) < 0.8
    files = [path.stat() for path in (tmp_path / "page").rglob("*")]
    assert len({held.st_mtime_ns for held in files}) == 1


def test_no_file_of_the_folder_holds_a_completion_code(made: tuple[Path, Path]) -> None:
    text = b"".join(path.read_bytes() for path in made[1].rglob("*") if path.is_file())
    for code in CODES.values():
        assert code.encode() not in text


def test_a_folder_of_another_study_stays_as_it_is(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    drawn_study(tmp_path, scenarios=("sun", "bird")).close()
    other = OfflineImport(tmp_path / "study.db")
    before = (made[1] / "data.js").read_bytes()
    with other, pytest.raises(ValueError, match=re.escape("study.json")):
        list(write_folder(other, made[1], seed=0))
    assert (made[1] / "data.js").read_bytes() == before


def test_a_site_that_is_no_studys_stays_as_it_is(store: OfflineImport, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("my own page")
    with pytest.raises(ValueError, match=r"site should be empty or the page of a study that"):
        list(write_folder(store, site, seed=0))
    assert {path.name: path.read_text() for path in site.iterdir()} == {"index.html": "my own page"}


def test_files_that_are_added_to_the_page_keep_their_times(
    store: OfflineImport, tmp_path: Path
) -> None:
    list(write_folder(store, tmp_path / "page", seed=0))
    (tmp_path / "page" / "CNAME").write_text("study.example.org")
    os.utime(tmp_path / "page" / "CNAME", (1, 1))
    list(write_folder(store, tmp_path / "page", seed=0))
    assert (tmp_path / "page" / "CNAME").stat().st_mtime == 1
    held = {path.stat().st_mtime_ns for path in (tmp_path / "page").rglob("*")}
    assert len(held) == 2


def handed(store: OfflineImport, path: Path, participant: int, change: Callable[[Any], None] = id,
           **answers: Any) -> Path:  # fmt: skip
    """A file as the page saves it; `change` damages what is in it before the checksum is made."""
    length = len(lists_of(store.items(), store.protocol, 0)[(participant - 1) % 3])
    held = {
        "format": "motifocal-answers-1", "protocol": store.protocol.digest(), "seed": 0,
        "participant": participant, "worker": f"{participant:032x}",
        "answers": [{"place": place, **ANSWER, **answers} for place in range(length)],
    }  # fmt: skip
    change(held)
    path.write_text(json.dumps({**held, "checksum": checksum(held)}))
    return path


def test_all_participants_together_finish_the_study_exactly(
    store: OfflineImport, tmp_path: Path
) -> None:
    intake = AnswerImport(store)
    for participant in (1, 2, 3):
        file = read_answers(handed(store, tmp_path / f"{participant}.json", participant))
        assert intake.take(file) == {"taken": 3}
        assert intake.take(file) == {"known": 3}
    progress = store.progress()
    assert (progress.done, progress.wanted) == (9, 9)
    votes = list(store.votes())
    assert validate(votes) == []
    assert all(vote.winner == vote.left for vote in votes)
    fourth = read_answers(handed(store, tmp_path / "4.json", 4))
    assert intake.take(fourth) == {"surplus": 3}
    assert len(list(store.votes())) == 9


def test_a_vote_is_stored_for_the_side_that_was_shown(store: OfflineImport, tmp_path: Path) -> None:
    lists = lists_of(store.items(), store.protocol, 0)
    AnswerImport(store).take(read_answers(handed(store, tmp_path / "1.json", 1, choice="right")))
    for vote, shown in zip(store.votes(), lists[0], strict=True):
        assert vote.left == ("model_a", "model_b")[shown.left]
        assert vote.winner != vote.left


def test_files_and_leases_share_the_slots_and_never_overfill_them(
    store: OfflineImport, tmp_path: Path
) -> None:
    intake = AnswerImport(store)
    files = [read_answers(handed(store, tmp_path / f"{n}.json", n)) for n in range(1, 9)]
    online = store.join("link", None).id
    store.consent(online)
    task = store.task(online)
    assert task is not None
    threads = [threading.Thread(target=intake.take, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress = store.progress()
    assert progress.done + progress.leased == progress.wanted
    assert max(Counter((vote.pair, vote.seed) for vote in store.votes()).values()) == 3


def test_a_changed_answer_to_what_is_there_is_refused_whole(
    store: OfflineImport, tmp_path: Path
) -> None:
    intake = AnswerImport(store)

    def first_two(held: Any) -> None:
        del held["answers"][2:]

    intake.take(read_answers(handed(store, tmp_path / "a.json", 1, first_two)))
    other = read_answers(handed(store, tmp_path / "b.json", 1, loops=9))
    with pytest.raises(ValueError, match="another answer"):
        intake.take(other)
    assert len(list(store.votes())) == 2


def set_to(**values: Any) -> Callable[[Any], None]:
    return lambda held: held.update(values)


DAMAGE: dict[str, Callable[[Any], None]] = {
    "another study": set_to(protocol="0" * 64),
    "no hash": set_to(protocol="x"),
    "participant 0": set_to(participant=0),
    "participant as text": set_to(participant="1"),
    "a huge participant": set_to(participant=10**30),
    "a worker who is not hexadecimal": set_to(worker="../../../etc/passwd"),
    "an unknown field": set_to(extra=1),
    "no field": lambda held: held.pop("seed"),
    "no list": set_to(answers={}),
    "an answer twice": lambda held: held["answers"].append(held["answers"][-1]),
    "an answer left out": lambda held: held["answers"].pop(0),
    "too many answers": lambda held: held["answers"].extend(
        {"place": place, **ANSWER} for place in range(3, 9)),
    "no reason": lambda held: held["answers"][0].update(reasons=[]),
    "an unknown reason": lambda held: held["answers"][0].update(reasons=["beauty"]),
    "a tie in a study without": lambda held: held["answers"][0].update(choice="tie", reasons=[]),
    "no loop": lambda held: held["answers"][0].update(loops=0),
    "a negative time": lambda held: held["answers"][0].update(milliseconds=-1),
    "a huge time": lambda held: held["answers"][0].update(milliseconds=10**40),
    "a time as text": lambda held: held["answers"][0].update(milliseconds="1"),
}  # fmt: skip


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE)
def test_files_that_cannot_be_true_are_refused(
    store: OfflineImport, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    path = handed(store, tmp_path / "1.json", 1, change)
    with pytest.raises(ValueError, match=r"should|reason|choice"):
        AnswerImport(store).take(read_answers(path))
    assert list(store.votes()) == []


@pytest.mark.parametrize("raw", [
    b"", b"null", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 50_000, b"\x00" * 100,
    b'{"worker": "\\ud800"}', b"x" * 4_000_001, b'{"format": NaN}',
])  # fmt: skip
def test_bytes_that_are_no_file_of_answers_are_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "answers.json"
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        read_answers(path)


def test_damage_on_the_way_is_noticed(store: OfflineImport, tmp_path: Path) -> None:
    path = handed(store, tmp_path / "1.json", 1)
    text = path.read_text()
    path.write_text(text.replace('"left"', '"right"', 1))
    with pytest.raises(ValueError, match="damaged or changed"):
        read_answers(path)
    path.write_text(text.replace('"seed": 0', '"seed": 0, "seed": 0', 1))
    with pytest.raises(ValueError, match="twice"):
        read_answers(path)


def test_the_command_takes_good_files_lists_bad_ones_and_says_so(
    store: OfflineImport, tmp_path: Path
) -> None:
    study = str(tmp_path / "study.db")
    good = [handed(store, tmp_path / f"{n}.json", n) for n in (1, 2, 3, 4)]
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    dry = CliRunner().invoke(import_, [study, str(good[0]), "--dry-run"])
    assert (dry.exit_code, list(store.votes())) == (0, [])
    assert "dry run" in dry.stdout
    ran = CliRunner().invoke(import_, [study, *map(str, good), str(bad)])
    assert ran.exit_code == 1
    assert f"refused {bad}" in ran.stderr
    assert "9 votes taken in, 3 surplus left out; the study has 9 of 9 votes" in ran.stdout
    assert CODES["completion_code"] in ran.stderr
    again = CliRunner().invoke(import_, [study, *map(str, good[:3])])
    assert again.exit_code == 0
    assert "0 votes taken in, 9 known already" in again.stdout
