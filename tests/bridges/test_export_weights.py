"""`motifocal export --as latents`: weights that are hot exactly where and when a square moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import CommandLine
from export_options import latents, masks, rows_in
from square_clips import (
    FRAMES,
    SIDE,
    SQUARE,
    STARTS,
    STOPS,
    left_edge,
    square_clip,
    write_square_clip,
)
from turned import turned_on_its_side

from motifocal.bridges.weight_cache import load_weight, stored_key, weight_key
from motifocal.data.selection import Selection
from motifocal.files.atomic import sha256_of
from motifocal.loss.latent_grid import FAMILIES
from motifocal.motion.heatmap import HeatmapSettings

# Which frames each latent covers, written down by hand from the autoencoders' own grouping.
SINGLE = [[frame] for frame in range(FRAMES)]
FOURS = [[0], *(list(range(start, start + 4)) for start in range(1, FRAMES, 4))]
EIGHTS = [[0], *(list(range(start, start + 8)) for start in range(1, FRAMES, 8))]
COVERED = {
    "sd": SINGLE, "svd": SINGLE, "wan": FOURS, "wan-5b": FOURS, "cogvideox": FOURS,
    "cogvideox-1.5": [[0], *FOURS], "ltx": EIGHTS, "ltx-2": EIGHTS, "hunyuan": FOURS,
    "hunyuan-1.5": FOURS,
    "minimax-h3": [[0], *FOURS[1:5], [17], list(range(18, 22))],
    **dict.fromkeys(("kandinsky-5", "kandinsky-6", "cosmos-2.5", "cosmos-3", "sana-video",
                     "motif-video", "skyreels-v1", "skyreels-v2-df", "framepack", "helios"), FOURS),
}  # fmt: skip
STRIDE = {"sd": 8, "svd": 8, "wan": 8, "wan-5b": 16, "cogvideox": 8, "cogvideox-1.5": 8,
          "ltx": 32, "ltx-2": 32, "hunyuan": 8, "hunyuan-1.5": 16,
          "minimax-h3": 16, "kandinsky-5": 8, "kandinsky-6": 8, "cosmos-2.5": 8, "cosmos-3": 16,
          "sana-video": 8, "motif-video": 8, "skyreels-v1": 8, "skyreels-v2-df": 8,
          "framepack": 8, "helios": 8}  # fmt: skip


def truth(family: str) -> np.ndarray:
    """Share of each latent's area that the square sweeps while it moves: (F', h, w)."""
    hot = np.zeros((FRAMES, SIDE, SIDE))
    for frame in range(STARTS, STOPS):  # the motion from each of these to the next
        x = left_edge(frame)
        hot[frame, SQUARE : 2 * SQUARE, x : x + SQUARE] = 1
    s, side = STRIDE[family], SIDE // STRIDE[family]
    swept = np.stack([hot[covered].max(0) for covered in COVERED[family]])
    return swept.reshape(-1, side, s, side, s).mean((2, 4))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_weight_is_hot_exactly_over_the_latents_that_the_moving_square_covers(
    family: str, export: CommandLine, tmp_path: Path
) -> None:
    clip = write_square_clip(tmp_path / "square.mp4")
    frames = COVERED[family][-1][-1] + 1
    assert export(clip, "-o", tmp_path / "w", *latents(family, frames)).code == 0
    selection = Selection(tuple(range(frames)), 16.0, SIDE, SIDE)
    key = weight_key(sha256_of(clip), selection, family, HeatmapSettings())
    weight = load_weight(tmp_path / "w", key)[0, 0].numpy()
    expected = truth(family)
    assert weight.shape == expected.shape
    # In time: latents during which it rests are cold, the others are not.
    rests = expected.max((1, 2)) == 0
    assert 0 < rests.sum() < len(rests)
    assert weight[rests].max() < 0.02
    assert (weight[~rests].max((1, 2)) > 0.85 * expected[~rests].max((1, 2))).all()
    # In space: the map's outline is right to some 2 pixels on each side of the square.
    assert np.abs(weight - expected).max() <= 2.5 * SQUARE / STRIDE[family] ** 2 + 0.15
    assert weight[expected == 1].size == 0 or weight[expected == 1].min() > 0.7
    around = np.pad(expected > 0, ((0, 0), (1, 1), (1, 1)))
    near = np.lib.stride_tricks.sliding_window_view(around, (1, 3, 3)).any((-3, -2, -1))
    assert weight[~near].max() < 0.02


def test_a_rate_picks_frames_and_the_weight_belongs_to_these(
    export: CommandLine, tmp_path: Path
) -> None:
    clip = write_square_clip(tmp_path / "square.mp4", square_clip(2 * FRAMES, slower=2), fps=32)
    assert export(clip, "-o", tmp_path / "w", *latents(), "--fps", 16).code == 0
    (row,) = rows_in(tmp_path / "w" / "weights.jsonl")
    assert row["indices"] == list(range(0, 2 * FRAMES, 2))
    weight = load_weight(tmp_path / "w", stored_key(tmp_path / "w" / row["file"]))[0, 0]
    rests = truth("wan").max((1, 2)) == 0
    assert float(weight[rests].max()) < 0.02
    assert float(weight[~rests].amax((1, 2)).min()) > 0.9
    asked = Selection(tuple(range(FRAMES)), 16.0, SIDE, SIDE)
    with pytest.raises(ValueError, match=r"frames 0-24 against 0-48 in steps of 2$"):
        load_weight(tmp_path / "w", weight_key(row["sha256"], asked, "wan", HeatmapSettings()))


def test_every_sample_of_a_clip_gets_a_weight_of_its_own_frames(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *latents(frames=9), "--rule", "slide", "--step", 8)
    assert ended.code == 0
    found = rows_in(tmp_path / "w" / "weights.jsonl")
    assert [(row["clip"], row["indices"][0]) for row in found] == [
        (name, start) for name in ("a.mp4", "deep/b.mp4") for start in (0, 8, 16)]  # fmt: skip
    assert [row["caption"] for row in found] == ["the square moves right"] * 3 + [""] * 3
    means = [row["mean_weight"] for row in found[:3]]
    assert means[1] > 0.05 > 0.02 > max(means[0], means[2])
    assert [row["moves"] for row in found[:3]] == means  # the earlier name
    assert len({row["file"] for row in found}) == 6


def test_trainers_take_their_own_frames_and_crops(
    export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *latents(frames=9), "--frames", 17, "--trainer",
                   "musubi", "--rule", "uniform", "--samples", 2)  # fmt: skip
    assert ended.code == 0
    found = [row for row in rows_in(tmp_path / "w" / "weights.jsonl") if row["clip"] == "a.mp4"]
    assert [(row["indices"][0], len(row["indices"])) for row in found] == [
        (0, 9), (16, 9), (0, 17), (8, 17)]  # fmt: skip
    assert {row["resize"] for row in found} == {"half-up"}


@pytest.mark.parametrize(("options", "said"), [
    (latents("ltx", frames=24), "--frames: ltx: frames should be 1 + a multiple of 8 (nearest: 17 "
     "or 25), got 24"),
    (latents("wan", frames=80), "nearest: 77 or 81"),
    (latents("wan-5b", side=72), "16 for wan-5b, got 72x72 (nearest: 64x64, height x width)"),
    (latents("wan", side=0), "--size: should be multiples of 8 for wan, got 0x0"),
    (latents("wan", frames=100001), "--frames: 100001 frames of 128x128 are too much"),
    ([*latents(), "--with-clips"], "--with-clips: is for --as masks"),
])  # fmt: skip
def test_what_the_family_cannot_take_is_refused_at_once(
    options: list[object], said: str, export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(("options", "said"), [
    (["--trainer", "ltx", "--fps", 16], "--fps: is not read by the LTX-2 trainer"),
    (["--trainer", "diffsynth", "--rule", "chunk"], "--rule: is not read by DiffSynth-Studio"),
    (["--frames", 17], "--frames: can be given once for a loop of your own"),
    (["--source-fps", 30], "--source-fps: is not read by a loop of your own"),
    (["--trainer", "musubi", "--fps", 16], "--fps: musubi-tuner resamples only with --source-fps"),
])  # fmt: skip
def test_an_option_that_the_trainer_would_not_heed_is_refused(
    options: list[object], said: str, export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *latents(), *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())


def test_musubis_clips_are_resampled_to_the_rate_of_the_family(
    export: CommandLine, tmp_path: Path
) -> None:
    clip = write_square_clip(tmp_path / "a.mp4", square_clip(2 * FRAMES), fps=32)
    options = [*latents(), "--trainer", "musubi", "--source-fps", 32]
    assert export(clip, "-o", tmp_path / "w", *options).code == 0
    (row,) = rows_in(tmp_path / "w" / "weights.jsonl")
    assert (row["indices"], row["fps"]) == (list(range(0, 2 * FRAMES, 2)), 16)


@pytest.mark.parametrize("family", ["ltx", "wan-5b", "cogvideox", "minimax-h3", "skyreels-v1"])
def test_a_family_that_musubi_does_not_train_is_refused_with_it(
    family: str, export: CommandLine, folder: Path, tmp_path: Path
) -> None:
    frames = 22 if family == "minimax-h3" else FRAMES
    ended = export(folder, "-o", tmp_path / "v", *latents(family, frames), "--trainer", "musubi")
    assert ended.code == 2
    named = "should be one of wan, hunyuan, hunyuan-1.5, framepack, kandinsky-5 for musubi-tuner"
    assert f"--family: {named}, got {family}" in " ".join(ended.err.split())
    assert not (tmp_path / "v").exists()


def test_a_clip_that_is_stored_turned_is_refused_where_the_trainer_does_not_turn_it(
    export: CommandLine, tmp_path: Path
) -> None:
    clip = write_square_clip(tmp_path / "phone.mp4")
    turned_on_its_side(clip)
    for trainer, code in (("musubi", 1), ("ltx", 1), ("finetrainers", 0), ("plain", 0)):
        ended = export(clip, "-o", tmp_path / trainer, *latents(), "--trainer", trainer)
        assert ended.code == code
        assert ("is stored turned" in ended.err) == bool(code)
    beside = [*masks(), "--trainer", "ltx", "--with-clips"]
    assert export(clip, "-o", tmp_path / "m", *beside).code == 0
