"""Padding of a study's media, and damaged videos as gold."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_videos import PROTOCOL, decoded
from tiny_bench import SENTENCES, textured
from tiny_study import tiny_results

from motifocal.bench.results import Results
from motifocal.media.picture import Pixels
from motifocal.study.create.encoding import encode, equally_long
from motifocal.study.create.gold_videos import (
    FEWEST_FRAMES,
    LEAST_SHARE,
    choose_gold,
    moving_share,
    shuffled_order,
)
from motifocal.study.create.matching import Group, Reconcile, match_results, measure_formats
from motifocal.study.create.study import lay_out
from motifocal.study.schedule import sides


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
