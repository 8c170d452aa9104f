"""Duplicates of a clip are found among many, and other clips are none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from doctor_clips import moving, pan, save, still, tiny, world
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from motifocal.inspection.checks.duplicates import (
    Fingerprint,
    find_duplicates,
    fingerprint,
    first_near,
)
from motifocal.media.picture import Pixels
from motifocal.media.video import read_video


def prints_of(*clips: Pixels) -> list[Fingerprint | None]:
    return [fingerprint(tiny(clip)) for clip in clips]


def naive_first(bits: np.ndarray, most: int) -> list[int]:
    """By comparing all: the first row within `most` bits of each that `some` says is alike."""
    apart = (bits[:, None] != bits[None]).sum(-1)
    return [next(i for i in range(j + 1) if i == j or (apart[i, j] <= most and (i + j) % 3))
            for j in range(len(bits))]  # fmt: skip


def some(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return (i + j) % 3 != 0


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40), width=st.integers(20, 90),
       most=st.integers(0, 19), share=st.sampled_from([0.02, 0.2, 0.5]))  # fmt: skip
@hypothesis_settings(max_examples=60, deadline=None)
def test_bands_find_exactly_what_comparing_all_finds(
    seed: int, count: int, width: int, most: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.random((count, width)) < share
    for row in range(1, count, 2):  # near ones, on both sides of the limit
        bits[row] = bits[row - 1]
        bits[row, rng.choice(width, min(width, int(rng.integers(0, most + 3))), False)] ^= True
    assert first_near(bits, most, some).tolist() == naive_first(bits, most)


def test_large_buckets_are_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    from motifocal.inspection.checks import duplicates

    monkeypatch.setattr(duplicates, "_AT_ONCE", 16)
    monkeypatch.setattr(duplicates, "_PICTURES_AT_ONCE", 3)
    bits = np.random.default_rng(1).random((60, 40)) < 0.03
    assert first_near(bits, 3, some).tolist() == naive_first(bits, 3)


def test_of_thousands_of_takes_of_one_scene_only_few_pairs_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from motifocal.inspection.checks import duplicates

    compared = 0
    absdiff = cv2.absdiff

    def counted(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(before)
        return absdiff(before, after)

    monkeypatch.setattr(duplicates.cv2, "absdiff", counted)
    rng = np.random.default_rng(0)
    bits = np.tile(rng.random(378) < 0.5, (4000, 1))
    for row in bits:
        row[rng.choice(378, 5, replace=False)] ^= True
    picture = rng.integers(0, 250, (6, 12, 12), dtype=np.uint8)
    found = find_duplicates([Fingerprint(row, picture) for row in bits])
    assert found == dict.fromkeys(range(1, 4000), 0)
    assert compared < 2_000_000  # of 8 million pairs


def test_a_clip_encoded_or_scaled_again_is_a_duplicate_of_the_first(tmp_path: Path) -> None:
    first, other = moving(1, height=120, width=160), moving(2, height=120, width=160)
    again = read_video(save(tmp_path / "a.mp4", first, crf=36)).frames
    small = np.stack([cv2.resize(f, (64, 48), interpolation=cv2.INTER_AREA) for f in first])
    twice = np.repeat(first, 2, axis=0)  # at twice the rate
    found = find_duplicates(prints_of(other, first, again, small, twice, first))
    assert found == {2: 1, 3: 1, 4: 1, 5: 1}


def test_other_motion_in_the_same_place_is_no_duplicate() -> None:
    assert find_duplicates(prints_of(moving(1), moving(1, speed=-3.0), still(1), pan(1))) == {}


def test_plain_pictures_are_nobodys_duplicates() -> None:
    black = np.zeros((5, 60, 80, 3), np.uint8)
    assert prints_of(black, black + 1) == [None, None]
    assert find_duplicates([None, None]) == {}


def test_a_thousand_copies_are_duplicates_of_the_first() -> None:
    (one,) = prints_of(moving(1))
    assert find_duplicates([one] * 1000) == dict.fromkeys(range(1, 1000), 0)


def test_a_fingerprint_survives_being_written() -> None:
    (one,) = prints_of(moving(1))
    assert one is not None
    again = Fingerprint.from_text(one.to_text())
    assert np.array_equal(again.bits, one.bits)
    assert np.array_equal(again.pictures, one.pictures)
    with pytest.raises(ValueError, match="is none"):
        Fingerprint.from_text("AAAA")


def test_worlds_of_the_tests_differ() -> None:
    assert find_duplicates(prints_of(*(still(seed) for seed in range(40)))) == {}
    assert world(1).std() > 20
