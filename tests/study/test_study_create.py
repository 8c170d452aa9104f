"""Folders of results become a study that gives no model away, whole or not at all."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, select
from stored_videos import PROTOCOL, decoded, videos_of
from study_checks import rows
from tiny_study import RULES, arrive, judge, tiny_results, tiny_study

from motifocal.bench.results import Results
from motifocal.media.picture import Pixels
from motifocal.media.video import VideoError, read_image, read_video
from motifocal.study.create.study import create_study, lay_out
from motifocal.study.protocol import Protocol
from motifocal.study.store.store import Store
from motifocal.study.store.tables import ITEM, MEDIA, TABLES


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of Ours beside Theirs and Others."""
    path = tmp_path_factory.mktemp("study") / "study.db"
    tiny_study(path, baselines=("Theirs", "Others")).close()
    return path


def test_the_two_videos_of_every_item_tell_no_model_by_their_files(
    made: Path, tmp_path: Path
) -> None:
    for item, first, second in videos_of(made):
        assert len(first) == len(second), item.gold
        for data in (first, second):
            clip = read_video(_written(tmp_path / "x.mp4", data))
            assert clip.frames.shape == (5, 32, 32, 3)
            assert clip.fps == 8
            for word in (b"Ours", b"Theirs", b"Others", b"still", b"results", b"Lavf"):
                assert word not in data


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_all_videos_of_a_pair_have_one_length_in_all_comparisons(made: Path) -> None:
    lengths = defaultdict(set)
    for item, first, second in videos_of(made, ITEM.c.gold.is_(None)):
        lengths[item.pair_id] |= {len(first), len(second)}
    assert len(lengths) == 5
    assert {len(each) for each in lengths.values()} == {1}


def test_the_first_videos_are_the_first_models(made: Path, ours: Results, tmp_path: Path) -> None:
    pairs = {row.id: row.stem for row in _pairs(made)}
    sources = {video.pair.stem: read_video(video.path).frames for video in ours.expected()}
    for item, first, second in videos_of(made, ITEM.c.gold.is_(None)):
        source = sources[pairs[item.pair_id]]
        near, far = (_distance(decoded(data, tmp_path), source) for data in (first, second))
        assert item.model_a == "Ours"
        assert near < 10 < 20 < far


def _pairs(path: Path) -> list[Any]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = connection.execute(select(TABLES.tables["pair"])).all()
    engine.dispose()
    return list(found)


def _distance(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_gold_items_show_a_whole_video_beside_a_damaged_one(made: Path, tmp_path: Path) -> None:
    seen = set()
    for item, first, second in videos_of(made, ITEM.c.gold.in_(["still", "shuffled"])):
        whole, damaged = decoded(first, tmp_path), decoded(second, tmp_path)
        assert (item.model_b, item.comparison_id, item.rank) == (item.gold, None, None)
        assert item.model_a in ("Ours", "Theirs", "Others")
        if item.gold == "still":
            assert _distance(damaged, whole[:1]) < 3
        else:
            nearest = [min(range(5), key=lambda at: _distance(frame, whole[at]))
                       for frame in damaged]
            assert sorted(nearest) == list(range(5))
            assert nearest[0] == 0
            assert all(after != before + 1 for before, after in pairwise(nearest))
        seen.add(item.gold)
    assert seen == {"still", "shuffled"}


def test_another_prompts_video_is_of_the_same_image_and_model(
    made: Path, ours: Results, tmp_path: Path
) -> None:
    items = videos_of(made, ITEM.c.gold == "other_sentence")
    pairs = {row.id: row for row in _pairs(made)}
    assert items
    for item, first, second in items:
        assert pairs[item.pair_id].image_id in ("ball_1", "kite")
        whole, damaged = decoded(first, tmp_path), decoded(second, tmp_path)
        assert _distance(damaged[0], whole[0]) < 3
        assert _distance(damaged, whole) > 4


def test_every_real_item_has_a_repeat_under_new_names(made: Path) -> None:
    items = [item for item, _, _ in videos_of(made)]
    real = {item.id: item for item in items if item.gold is None}
    repeats = [item for item in items if item.gold == "repeat"]
    assert {item.repeat_of for item in repeats} == set(real)
    for item in repeats:
        original = real[item.repeat_of]
        assert (item.pair_id, item.model_a, item.model_b, item.picture) == (
            original.pair_id, original.model_a, original.model_b, original.picture)
        assert not {item.video_a, item.video_b} & {original.video_a, original.video_b}


def test_the_order_in_the_file_says_nothing_of_the_models(made: Path) -> None:
    blobs = dict(rows(made, select(MEDIA.c.token, MEDIA.c.blob_id)))
    items = [item for item, _, _ in videos_of(made, ITEM.c.gold.is_(None))]
    first = Counter(blobs[item.video_a] < blobs[item.video_b] for item in items)
    assert len(first) == 2
    assert [item.comparison_id for item in items] != sorted(item.comparison_id for item in items)


def test_sides_alternate_over_the_pairs_of_each_comparison(
    ours: Results, theirs: Results, others: Results
) -> None:
    rules = {**RULES, "gold_every": 0}
    for votes in (1, 4, 5):
        layout = lay_out(ours, [theirs, others], Protocol(**{**rules, "votes": votes}))
        for baseline in (1, 2):
            lefts = {item.group: item.left.count("model_a") for item in layout.items
                     if item.baseline == baseline}
            in_order = [lefts[group] for group in range(len(layout.groups))]
            assert {abs(2 * left - votes) for left in in_order} == {votes % 2}
            assert all((one != other) == (votes % 2 == 1) for one, other in pairwise(in_order))
        assert {len(item.left) for item in layout.items} == {votes}


def test_the_same_seed_plans_the_same_and_the_names_stay_random(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    protocol = PROTOCOL.model_copy(update={"completion_code": "A", "screen_out_code": "B"})
    layouts = [create_study(tmp_path / f"{number}.db", ours, [theirs], protocol, seed=7)
               for number in range(2)]
    assert layouts[0] == layouts[1]
    assert lay_out(ours, [theirs], protocol, seed=8).items != layouts[0].items
    tokens = [set(rows(tmp_path / f"{number}.db", select(MEDIA.c.token))) for number in range(2)]
    assert not tokens[0] & tokens[1]


def test_with_given_names_and_padding_everything_but_salt_and_time_repeats(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    protocol = PROTOCOL.model_copy(update={"completion_code": "A", "screen_out_code": "B"})
    dumps = []
    for number in range(2):
        names = count()
        path = tmp_path / f"{number}.db"
        create_study(path, ours, [theirs], protocol, tokens=lambda: f"name{next(names)}",  # noqa: B023
                     random_bytes=lambda length: b"\0" * length)
        dumps.append({name: rows(path, select(table)) for name, table in TABLES.tables.items()
                      if name != "study"})
    assert dumps[0] == dumps[1]


def test_a_study_can_be_judged_as_soon_as_it_is_there(made: Path, tmp_path: Path) -> None:
    copy = tmp_path / "study.db"
    copy.write_bytes(made.read_bytes())
    with Store(copy) as store:
        task = judge(store, arrive(store))
        assert task is not None
        picture = store.media(task.picture)
        assert picture is not None
        assert read_image(_written(tmp_path / "p.png", picture.data)).shape == (32, 32, 3)
        left = store.media(task.left)
        assert left is not None
        assert left.content_type == "video/mp4"
        assert store.material["models"].keys() == {"Ours", "Theirs", "Others"}
        assert store.material["mark"] == ""
        assert store.protocol.completion_code


def test_what_the_protocol_leaves_open_is_filled_in(ours: Results, theirs: Results) -> None:
    layout = lay_out(ours, [theirs], Protocol(gold_every=0))
    assert layout.protocol.least_seconds == 5 / 8
    assert len(layout.protocol.completion_code) == len(layout.protocol.screen_out_code) == 8
    assert layout.protocol.completion_code != layout.protocol.screen_out_code


def test_nobody_else_may_read_the_file(made: Path) -> None:
    assert made.stat().st_mode & 0o077 == 0


def test_nothing_that_is_there_is_touched(ours: Results, theirs: Results, tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    path.write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        create_study(path, ours, [theirs], PROTOCOL)
    assert path.read_text() == "mine"
    (tmp_path / "new.db-wal").write_text("of a lost study")
    with pytest.raises(ValueError, match=r"new\.db-wal exists already"):
        create_study(tmp_path / "new.db", ours, [theirs], PROTOCOL)


def test_a_study_that_fails_half_way_leaves_nothing_behind(
    theirs: Results, tmp_path: Path
) -> None:
    ours = tiny_results(tmp_path / "ours")
    places = tmp_path / "studies"
    places.mkdir()
    seen = []

    def doing(what: str, done: int, total: int) -> None:
        seen.append(what)
        if what == "encoding videos" and done == 3:
            for file in places.iterdir():
                assert file.name != "study.db"
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        create_study(places / "study.db", ours, [theirs], PROTOCOL, progress=doing)
    assert list(places.iterdir()) == []
    ours.expected()[0].path.write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be opened as a video"):
        create_study(places / "study.db", ours, [theirs], PROTOCOL)
    assert list(places.iterdir()) == []
