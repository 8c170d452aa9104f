"""Folders of results become a study that gives no model away, or a word on why they cannot."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select
from study_checks import rows
from tiny_bench import SENTENCES, textured, write_benchmark
from tiny_study import RULES, arrive, judge, tiny_results, tiny_study

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results, open_results
from motifocal.cli.study.create import create
from motifocal.media.picture import Pixels
from motifocal.media.video import VideoError, read_image, read_video, write_video
from motifocal.study.create.encoding import encode, encoded_videos, equally_long
from motifocal.study.create.gold_videos import (
    FEWEST_FRAMES,
    LEAST_SHARE,
    choose_gold,
    moving_share,
    shuffled_order,
)
from motifocal.study.create.matching import (
    Group,
    Reconcile,
    check_pairs,
    load_clip,
    match_results,
    measure_formats,
)
from motifocal.study.create.study import create_study, lay_out
from motifocal.study.protocol import Protocol, read_protocol
from motifocal.study.schedule import sides
from motifocal.study.store.store import Store
from motifocal.study.store.tables import BLOB, ITEM, MEDIA, TABLES

PROTOCOL = Protocol(**RULES)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tiny_results(tmp_path_factory.mktemp("results") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tiny_results(tmp_path_factory.mktemp("results") / "theirs", "Theirs", turned=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tiny_results(tmp_path_factory.mktemp("results") / "others", "Others", turned=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of Ours beside Theirs and Others."""
    path = tmp_path_factory.mktemp("study") / "study.db"
    tiny_study(path, baselines=("Theirs", "Others")).close()
    return path


def videos_of(path: Path, where: Any = None) -> list[tuple[Any, bytes, bytes]]:
    """(item, its first video, its second) of all items."""
    blobs = {token: data for token, data in rows(path, select(MEDIA.c.token, BLOB.c.data).join(
        BLOB, MEDIA.c.blob_id == BLOB.c.id))}
    engine = create_engine(f"sqlite:///{path}")
    statement = select(ITEM) if where is None else select(ITEM).where(where)
    with engine.connect() as connection:
        items = connection.execute(statement).all()
    engine.dispose()
    return [(item, blobs[item.video_a], blobs[item.video_b])  # type: ignore[misc]
            for item in items]


def decoded(data: bytes, folder: Path) -> Pixels:
    path = folder / "decoded.mp4"
    path.write_bytes(data)
    return read_video(path).frames


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


# What differs


def test_sets_that_lack_pairs_are_refused_unless_told_to_take_the_common_ones(
    ours: Results, tmp_path: Path
) -> None:
    fewer = tiny_results(tmp_path / "fewer", "Fewer", turned=True,
                         sentences={"ball_1": SENTENCES["ball_1"], "kite": ("a kite flies in",)})
    fewer.expected()[0].path.unlink()
    with pytest.raises(ValueError, match="--common takes the 2 that all have") as refused:
        match_results(ours, [fewer])
    assert "Fewer does not expect 2 of 5 videos: ball_1_b_the_ball_rises_0" in str(refused.value)
    assert "Fewer lacks 1 of 5 videos: ball_1_the_ball_rises_0" in str(refused.value)
    groups = match_results(ours, [fewer], common=True)
    assert [group.name for group in groups] == [
        "ball_1_the_ball_falls_slowly_0.mp4", "kite_a_kite_flies_in_0.mp4"]
    layout = lay_out(ours, [fewer], Protocol(gold_every=0), reconcile=Reconcile(common=True))
    assert layout.material["mark"] == ("SUBSET: 2 of 5 pairs of tiny (those that all models have)")


def test_seeds_are_matched_too(ours: Results, tmp_path: Path) -> None:
    seeds = tiny_results(tmp_path / "seeds", "Seeds", seeds=(0, 1))
    with pytest.raises(ValueError, match=r"Ours does not expect 5 of 10 videos: .*_1"):
        match_results(ours, [seeds])
    assert len(match_results(ours, [seeds], common=True)) == 5
    ones = tiny_results(tmp_path / "ones", "Ones", seeds=(1,))
    with pytest.raises(ValueError, match="should have pairs in common, got none"):
        match_results(ours, [ones], common=True)


@pytest.mark.parametrize(("name", "words"), [
    ("Ours", "should have different names"), ("  ", "should have different names"),
    ("repeat", "no model should be called repeat"),
])  # fmt: skip
def test_models_need_names_that_tell_them_apart(
    name: str, words: str, ours: Results, theirs: Results
) -> None:
    with pytest.raises(ValueError, match=words):
        match_results(ours, [replace(theirs, model=name)])
    with pytest.raises(ValueError, match="two models or more"):
        match_results(ours, [])


@pytest.mark.parametrize(("other", "words", "reconcile"), [
    ({"side": 48}, r"size differs in 5 of 5 pairs \(Ours 32x32, Other 48x48; the first is "
     r"ball_1_the_ball_rises_0.mp4\): --size", Reconcile(size=(24, 40))),
    ({"fps": 16.0}, r"rate differs in 5 of 5 pairs \(Ours 8 frames/s, Other 16 frames/s;.*--fps",
     Reconcile(fps=8, frames=3)),
    ({"frames": 7}, r"length differs in 5 of 5 pairs \(Ours 5 frames, Other 7 frames;.*--frames or "
     "--seconds", Reconcile(seconds=0.5)),
])  # fmt: skip
def test_videos_that_differ_are_refused_until_it_is_said_how_to_bring_them_together(
    other: dict[str, Any], words: str, reconcile: Reconcile, ours: Results, tmp_path: Path
) -> None:
    results = tiny_results(tmp_path / "other", "Other", turned=True, **other)
    with pytest.raises(ValueError, match=words):
        lay_out(ours, [results], Protocol(gold_every=0))
    layout = lay_out(ours, [results], Protocol(gold_every=0), reconcile=reconcile)
    (form,) = set(layout.formats)
    assert (form.height, form.width) == (reconcile.size or (32, 32))
    assert form.frames == {None: 4, 3: 3}[reconcile.frames] if reconcile.size is None else 5
    for encoded in encoded_videos(layout, random.Random(0), random.randbytes, _ignore):
        for data in encoded.videos.values():
            frames = decoded(data, tmp_path)
            assert frames.shape == (form.frames, form.height, form.width, 3)


def _ignore(doing: str, done: int, total: int) -> None:
    pass


def test_all_that_differs_is_named_at_once(ours: Results, tmp_path: Path) -> None:
    results = tiny_results(tmp_path / "other", "Other", side=48, frames=7, fps=4)
    with pytest.raises(ValueError, match="should be alike") as refused:
        lay_out(ours, [results], PROTOCOL)
    for word in ("size differs", "rate differs", "length differs"):
        assert word in str(refused.value)


def test_a_video_that_is_too_short_for_the_length_asked_for_is_named(ours: Results) -> None:
    video = ours.expected()[0].path
    assert len(load_clip(video, Reconcile(frames=3))[0]) == 3
    assert len(load_clip(video, Reconcile(seconds=0.5))[0]) == 4
    with pytest.raises(VideoError, match=f"{video.name}: should have 6 frames, got 5"):
        load_clip(video, Reconcile(frames=6))
    for wrong in ({"frames": 0}, {"seconds": -1.0}, {"size": (0, 5)}, {"fit": "squeeze"},
                  {"frames": 2, "seconds": 1.0}):
        with pytest.raises(ValueError, match="should be"):
            Reconcile(**wrong)  # type: ignore[arg-type]


def test_stretching_keeps_what_cropping_cuts_off(tmp_path: Path) -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 56:] = 255
    write_video(tmp_path / "x.mp4", [picture] * 2, 8)
    cropped, _ = load_clip(tmp_path / "x.mp4", Reconcile(size=(32, 32)))
    stretched, _ = load_clip(tmp_path / "x.mp4", Reconcile(size=(32, 32), fit="stretch"))
    assert cropped.max() < 50
    assert stretched[:, :, 29:].min() > 200


def test_pairs_are_compared_with_the_benchmark(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    groups = match_results(ours, [theirs])
    benchmark = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    check_pairs(groups, benchmark, part=False)
    check_pairs(groups[:2], benchmark, part=True)
    with pytest.raises(ValueError, match="all 5 pairs of bench should be there, 3 are not"):
        check_pairs(groups[:2], benchmark, part=False)
    smaller = replace(benchmark, pairs=benchmark.pairs[:2])
    with pytest.raises(ValueError, match="all pairs should be of bench, got 3 others"):
        check_pairs(groups, smaller, part=True)


# Whole or not at all


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


# Media and gold


@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_padding_gives_all_files_one_length_and_a_whole_box(lengths: list[int]) -> None:
    padded = equally_long([b"x" * length for length in lengths], lambda length: b"\1" * length)
    assert {len(each) for each in padded} == {max(lengths) + 8}
    for length, each in zip(lengths, padded, strict=True):
        box = each[length:]
        assert int.from_bytes(box[:4], "big") == len(box)
        assert box[4:8] == b"free"
        assert box[8:] == b"\1" * (len(box) - 8)


def test_a_padded_video_shows_the_same_frames(tmp_path: Path) -> None:
    still = np.stack([textured(1)] * 5)
    moving = np.stack([textured(seed) for seed in range(5)])
    files = [encode(frames, 8) for frames in (still, moving)]
    assert len(files[0]) < len(files[1])
    for file, padded in zip(files, equally_long(files, random.randbytes), strict=True):
        assert np.array_equal(decoded(padded, tmp_path), decoded(file, tmp_path))
    assert encode(still, 8) == files[0]


@given(frames=st.integers(FEWEST_FRAMES, 60), seed=st.integers(0, 2**32))
def test_in_a_shuffled_video_no_frame_follows_the_one_it_should(frames: int, seed: int) -> None:
    order = shuffled_order(frames, random.Random(seed))
    assert sorted(order) == list(range(frames))
    assert order[0] == 0
    assert all(after != before + 1 for before, after in pairwise(order))


def test_too_few_frames_cannot_be_shuffled() -> None:
    with pytest.raises(ValueError, match="at least 4, got 3"):
        shuffled_order(3, random.Random(0))


def test_a_still_video_does_not_move_and_a_sliding_one_does() -> None:
    still = np.stack([textured(1, 64, 64)] * 5)
    noisy = still + np.random.default_rng(0).integers(0, 3, still.shape, np.uint8)
    sliding = np.stack([np.roll(still[0], 2 * at, axis=1) for at in range(5)])
    assert moving_share(still) == moving_share(still[:1]) == 0
    assert moving_share(noisy) < LEAST_SHARE < moving_share(sliding)


def _chosen(clips: Callable[[int, int], Pixels], kind: str, groups: list[Group]) -> list[Any]:
    return choose_gold(groups, [kind], 9, 1, clips, random.Random(0))


def test_videos_that_stand_still_make_no_gold(ours: Results, theirs: Results) -> None:
    groups = match_results(ours, [theirs])
    still = np.stack([textured(1)] * 5)
    sliding = np.stack([np.roll(textured(1), 2 * at, axis=1) for at in range(5)])
    for kind in ("still", "shuffled", "other_sentence"):
        assert _chosen(lambda group, model: still, kind, groups) == []
    assert len(_chosen(lambda group, model: sliding, "shuffled", groups)) == 5
    assert _chosen(lambda group, model: sliding[:3], "shuffled", groups) == []
    assert _chosen(lambda group, model: sliding, "other_sentence", groups) == []


def test_gold_is_spread_over_images(ours: Results, theirs: Results) -> None:
    groups = match_results(ours, [theirs])
    sliding = np.stack([np.roll(textured(1), 2 * at, axis=1) for at in range(5)])
    for seed in range(5):
        gold = choose_gold(groups, ["still"], 3, 2, lambda group, model: sliding,
                           random.Random(seed))
        assert {groups[each.group].pair.image_id for each in gold} == set(SENTENCES)


def test_kinds_of_gold_that_cannot_be_made_are_named(tmp_path: Path) -> None:
    one = {"kite": ("a kite flies in",), "ball": ("the ball rises",)}
    a, b = (tiny_results(tmp_path / name, name, sentences=one) for name in "ab")
    with pytest.raises(ValueError, match="of the kind other_prompt can be made") as refused:
        lay_out(a, [b], PROTOCOL)
    assert "--gold still,shuffled,repeat leaves it out" in str(refused.value)


def test_formats_are_those_of_the_videos(ours: Results, theirs: Results) -> None:
    groups, seen = match_results(ours, [theirs]), []
    found = measure_formats(["a", "b"], groups, Reconcile(), seen.append)
    assert {(each.frames, each.height, each.width, each.fps) for each in found} == {(5, 32, 32, 8)}
    assert seen == [1, 2, 3, 4, 5]


def test_sides_are_shuffled_within_a_pair() -> None:
    order = random.Random(0)
    assert len({sides(5, a_more=True, order=order) for _ in range(200)}) == 10


# The command


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
