"""`motifocal export`: weights that are hot exactly where and when a square moves, whole or not."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from command_line import CommandLine, command_line
from turned import turned_on_its_side

from motifocal import cli
from motifocal.bridges import export_samples
from motifocal.bridges.export_table import read_table
from motifocal.bridges.mask_video import loss_mask, spread
from motifocal.bridges.weight_cache import load_weight, stored_key, weight_key
from motifocal.cli import export as command
from motifocal.cli.options import frames as frame_options
from motifocal.data import clip_files
from motifocal.data.selection import RULES, Selection
from motifocal.data.trainer_rules import TRAINERS
from motifocal.files.atomic import sha256_of
from motifocal.loss.latent_grid import FAMILIES, pool
from motifocal.media.video import read_image, read_video, resize_crop, write_video
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap

SIDE, SQUARE, STEP = 128, 32, 4
FRAMES, STARTS, STOPS = 25, 8, 14  # frames; the square moves from frame 8 on and rests from 14 on


Export = CommandLine


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Export:
    """Runs the command line in this process; a traceback would fail the test."""
    monkeypatch.setitem(cli.COMMANDS, "export", ("export", "export", "Export weights."))
    return command_line(monkeypatch, capsys, "export")


def left_edge(frame: float) -> int:
    """Where the square is: at rest, then moving right, then at rest."""
    return round(8 + STEP * min(max(frame - STARTS, 0), STOPS - STARTS))


def square_clip(frames: int = FRAMES, slower: int = 1, side: int = SIDE) -> np.ndarray:
    texture = np.random.default_rng(0).integers(120, 255, (SQUARE, SQUARE, 3), dtype=np.uint8)
    clip = np.full((frames, side, side, 3), 60, np.uint8)
    for frame in range(frames):
        x = left_edge(frame / slower)
        clip[frame, SQUARE : 2 * SQUARE, x : x + SQUARE] = texture
    return clip


def write(path: Path, clip: np.ndarray | None = None, fps: float = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, square_clip() if clip is None else clip, fps, crf=4)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips, one of them with a caption."""
    write(tmp_path / "clips" / "a.mp4")
    write(tmp_path / "clips" / "deep" / "b.mp4", square_clip()[::-1].copy())
    (tmp_path / "clips" / "a.txt").write_text("the square moves right")
    return tmp_path / "clips"


def latents(family: str = "wan", frames: int = FRAMES, side: int = SIDE) -> list[object]:
    return ["--as", "latents", "--family", family, "--size", side, "--frames", frames]


def masks(family: str = "wan", frames: int = FRAMES) -> list[object]:
    return ["--as", "masks", "--family", family, "--size", SIDE, "--frames", frames]


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def stamps(folder: Path, *suffixes: str) -> dict[str, tuple[int, int]]:
    """What tells whether a file was written anew."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.suffix in suffixes
    }


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
    family: str, export: Export, tmp_path: Path
) -> None:
    clip = write(tmp_path / "square.mp4")
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
    assert (weight[~rests].max((1, 2)) > 0.9 * expected[~rests].max((1, 2))).all()
    # In space: the map's outline is right to some 2 pixels on each side of the square.
    assert np.abs(weight - expected).max() <= 2.5 * SQUARE / STRIDE[family] ** 2 + 0.15
    assert weight[expected == 1].size == 0 or weight[expected == 1].min() > 0.9
    around = np.pad(expected > 0, ((0, 0), (1, 1), (1, 1)))
    near = np.lib.stride_tricks.sliding_window_view(around, (1, 3, 3)).any((-3, -2, -1))
    assert weight[~near].max() < 0.02


def test_a_rate_picks_frames_and_the_weight_belongs_to_these(
    export: Export, tmp_path: Path
) -> None:
    clip = write(tmp_path / "square.mp4", square_clip(2 * FRAMES, slower=2), fps=32)
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
    export: Export, folder: Path, tmp_path: Path
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
    export: Export, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *latents(frames=9), "--frames", 17, "--trainer",
                   "musubi", "--rule", "uniform", "--samples", 2)  # fmt: skip
    assert ended.code == 0
    found = [row for row in rows_in(tmp_path / "w" / "weights.jsonl") if row["clip"] == "a.mp4"]
    assert [(row["indices"][0], len(row["indices"])) for row in found] == [
        (0, 9), (16, 9), (0, 17), (8, 17)]  # fmt: skip
    assert {row["resize"] for row in found} == {"half-up"}


def test_masks_are_the_loss_weights_of_the_very_frames(
    export: Export, folder: Path, tmp_path: Path
) -> None:
    assert export(folder, "-o", tmp_path / "m", *masks(), "--with-clips").code == 0
    (a, b) = rows_in(tmp_path / "m" / "masks.jsonl")
    assert (a["file"], b["file"]) == ("masks/a.mp4", "masks/deep/b.mp4")
    frames = read_video(folder / "a.mp4").frames
    heat = clip_heatmap(frames)
    weight = pool(torch.from_numpy(heat), FAMILIES["wan"])
    mask, _ = load_heatmap(tmp_path / "m" / a["file"])
    assert read_video(tmp_path / "m" / a["file"]).fps == 16
    expected = loss_mask(spread(weight, FAMILIES["wan"], FRAMES))
    assert np.abs(mask - expected).max() < 0.007
    beside = read_video(tmp_path / "m" / "clips" / "a.mp4")
    assert (beside.fps, beside.frames.shape) == (16, frames.shape)
    assert np.abs(beside.frames.astype(int) - frames).mean() < 2
    texts = {row["file_name"]: row["text"] for row in rows_in(tmp_path / "m/clips/metadata.jsonl")}
    assert texts == {"a.mp4": "the square moves right", "deep/b.mp4": ""}


def test_masks_may_be_the_heatmap_itself_of_frames_picked_and_cropped(
    export: Export, tmp_path: Path
) -> None:
    wide = np.concatenate([square_clip(2 * FRAMES, slower=2)] * 2, axis=2)
    clip = write(tmp_path / "wide.mp4", wide, fps=32)
    options = [*masks(), "--fps", 16, "--values", "heat", "--unit", "pixels", "--threshold", 1]
    assert export(clip, "-o", tmp_path / "m", *options).code == 0
    cropped = resize_crop(read_video(clip).frames[::2], SIDE, SIDE)
    expected = clip_heatmap(cropped, HeatmapSettings(unit="pixels", threshold=1.0))
    mask, _ = load_heatmap(tmp_path / "m" / "masks" / "wide.mp4")
    assert np.abs(mask - expected).max() < 0.007


@pytest.mark.parametrize("kind", [latents, masks])
def test_running_again_does_what_is_missing(
    kind: Callable[[], list[object]], export: Export, folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    output = tmp_path / "out"
    suffix = ".safetensors" if kind is latents else ".mp4"
    first = export(folder, "-o", output, *kind())
    before = stamps(output, suffix)
    assert len(before) == 2
    measured = counted(monkeypatch)
    again = export(folder, "-o", output, *kind())
    assert (again.out, measured) == (first.out, [])
    assert stamps(output, suffix) == before
    gone = next(iter(before))
    (output / gone).unlink()
    write(folder / "c.mp4")
    assert export(folder, "-o", output, *kind()).code == 0
    after = stamps(output, suffix)
    kept = {name: stamp for name, stamp in before.items() if name != gone}
    assert kept.items() <= after.items()
    assert gone in after
    # c has the bytes of a, so with weights known by content there is nothing left to measure.
    assert len(measured) == (1 if kind is latents else 2)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every clip whose motion is measured."""
    measured: list[int] = []

    def measure(*arguments: Any, **options: Any) -> Any:
        measured.append(1)
        return clip_heatmap(*arguments, **options)

    monkeypatch.setattr(clip_files, "clip_heatmap", measure)
    return measured


def test_a_clip_that_has_changed_is_measured_anew(
    export: Export, folder: Path, tmp_path: Path
) -> None:
    export(folder, "-o", tmp_path / "m", *masks())
    before = stamps(tmp_path / "m", ".mp4")
    write(folder / "a.mp4", np.full((FRAMES, SIDE, SIDE, 3), 60, np.uint8))
    assert export(folder, "-o", tmp_path / "m", *masks()).code == 0
    after = stamps(tmp_path / "m", ".mp4")
    assert after["masks/a.mp4"] != before["masks/a.mp4"]
    assert after["masks/deep/b.mp4"] == before["masks/deep/b.mp4"]
    mask, _ = load_heatmap(tmp_path / "m" / "masks" / "a.mp4")
    assert mask.max() < 0.51


def test_nothing_is_lost_when_it_is_stopped(
    export: Export, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def stopping(job: Any, *rest: Any) -> Any:
        if done:
            raise KeyboardInterrupt
        done.append(job.clip.name)
        return real(job, *rest)

    real = export_samples.export_clip
    monkeypatch.setattr(export_samples, "export_clip", stopping)
    stopped = export(folder, "-o", tmp_path / "m", *masks(), "--workers", 1)
    assert (stopped.code, stopped.err.splitlines()[-1]) == (130, "stopped")
    assert [row["clip"] for row in rows_in(tmp_path / "m" / "masks.jsonl")] == done == ["a.mp4"]
    assert not list((tmp_path / "m").rglob("*.tmp"))
    before = stamps(tmp_path / "m", ".mp4")
    monkeypatch.undo()
    monkeypatch.setitem(cli.COMMANDS, "export", ("export", "export", "Export weights."))
    monkeypatch.setattr(
        sys, "argv", ["motifocal", "export", *map(str, [folder, "-o", tmp_path / "m", *masks()])]
    )
    cli.main()
    assert before.items() <= stamps(tmp_path / "m", ".mp4").items()
    assert len(rows_in(tmp_path / "m" / "masks.jsonl")) == 2


def test_bad_clips_are_listed_and_the_others_done(
    export: Export, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.mp4").write_bytes(b"no video at all")
    write(folder / "short.mp4", square_clip(7))
    ended = export(folder, "-o", tmp_path / "w", *latents())
    assert ended.code == 1
    assert "left out, 2 of 4 clips:" in ended.err
    assert "broken.mp4: cannot be opened" in ended.err
    assert "short.mp4: too short, it has 7 frames at 16 frames/s" in ended.err
    assert ended.err.splitlines()[-1] == "Error: 2 of 4 clips could not be exported"
    assert len(rows_in(tmp_path / "w" / "weights.jsonl")) == 2


def test_a_table_with_a_missing_video_lists_it(
    export: Export, folder: Path, tmp_path: Path
) -> None:
    table = folder / "metadata.jsonl"
    names = ["a.mp4", "gone.mp4", "../outside.mp4"]
    table.write_text("".join(json.dumps({"file_name": n, "text": "x"}) + "\n" for n in names))
    ended = export(table, "-o", tmp_path / "w", *latents())
    assert ended.code == 1
    assert "gone.mp4: no such file" in ended.err
    assert "../outside.mp4: should be a relative path inside the folder" in ended.err
    assert [row["clip"] for row in rows_in(tmp_path / "w" / "weights.jsonl")] == ["a.mp4"]


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
    options: list[object], said: str, export: Export, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())
    assert not (tmp_path / "w").exists()


def test_other_settings_are_refused_by_name(export: Export, folder: Path, tmp_path: Path) -> None:
    assert export(folder, "-o", tmp_path / "w", *latents()).code == 0
    ended = export(folder, "-o", tmp_path / "w", *latents(), "--floor", 0.3)
    assert ended.code == 1
    assert "says heatmap floor 0.15 (not 0.3); use the same settings" in ended.err


@pytest.mark.parametrize("kind", [latents, masks])
def test_a_folder_made_before_a_setting_was_there_is_gone_on_with(
    kind: Callable[[], list[object]], export: Export, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "w"
    assert export(folder, "-o", out, *kind()).code == 0
    before = stamps(out, ".safetensors", ".mp4")
    settings = json.loads((out / "export.json").read_text())
    assert settings.pop("heatmap evidence") == "pixels"
    (out / "export.json").write_text(json.dumps(settings))
    again = export(folder, "-o", out, *kind())
    assert again.code == 0, again.err
    assert before
    assert stamps(out, ".safetensors", ".mp4") == before
    refused = export(folder, "-o", out, *kind(), "--evidence", "regions")
    assert "heatmap evidence 'pixels' (not 'regions')" in refused.err


def test_two_clips_of_one_name_are_refused(export: Export, folder: Path, tmp_path: Path) -> None:
    write_video(folder / "A.gif", square_clip(), 16)
    ended = export(folder, "-o", tmp_path / "m", *masks())
    assert ended.code == 1
    assert "would have masks of one name" in ended.err


def test_its_own_masks_are_no_clips(export: Export, folder: Path) -> None:
    for _ in range(2):
        assert export(folder, "-o", folder / "out", *masks(), "--with-clips").code == 0
        assert len(rows_in(folder / "out" / "masks.jsonl")) == 2


@pytest.mark.parametrize("kind", [latents, masks])
def test_the_filmstrip_shows_the_square_hot(
    kind: Callable[[], list[object]], export: Export, folder: Path, tmp_path: Path
) -> None:
    export(folder / "a.mp4", "-o", tmp_path / "o", *kind())
    strip = read_image(tmp_path / "o" / "filmstrip.png")
    # The overlay paints heat yellow and red; the frames themselves are coloured noise on grey.
    red, green, blue = (strip[..., channel].astype(int) for channel in range(3))
    assert ((red > blue + 60) & (green < red)).mean() > 0.005


def test_the_choices_are_those_of_the_library() -> None:
    assert set(frame_options.FAMILIES) == set(FAMILIES)
    assert set(frame_options.TRAINERS) == set(TRAINERS)
    assert set(frame_options.EXTRACTIONS) <= set(RULES)


def test_help_shows_examples_that_the_command_takes() -> None:
    context = click.Context(command.export)
    for example in (command.export.epilog or "").replace("\\\n", " ").split("motifocal export")[1:]:
        words = example.split()
        parsed = command.export.make_context("export", ["/", *words[1:]])
        assert parsed.params["frames"]
    assert "--as" in command.export.get_help(context)


def test_the_pages_python_runs_as_it_stands(
    export: Export, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every block of docs/bridges.md up to the trainers' sections, one after the other."""
    page = (Path(__file__).parents[2] / "docs" / "bridges.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page.split("\n## musubi")[0], re.S | re.M)
    assert len(blocks) == 4
    # The page's clip is long and large; this one is what a test can afford.
    for theirs, ours in {'"head", 81': '"head", 25', "480, 832": "128, 128"}.items():
        assert sum(theirs in block for block in blocks) == 1
        blocks = [block.replace(theirs, ours) for block in blocks]
    assert export(folder, "-o", tmp_path / "weights", *latents(), "--fps", 16).code == 0
    monkeypatch.chdir(tmp_path)
    prediction = torch.zeros(1, 48, 7, 8, 8, requires_grad=True)
    names: dict[str, Any] = {
        "frames": square_clip(), "clip": folder / "a.mp4", "prediction": prediction,
        "target": torch.ones(1, 48, 7, 8, 8), "sigma": torch.tensor([0.5]),
    }  # fmt: skip
    for block in blocks:
        exec(block, names)
    assert prediction.grad is not None
    assert names["weights"].shape == (1, 1, 7, 16, 16)
    assert float(names["loss"].diffusion.detach()) == pytest.approx(5.0)


@pytest.mark.parametrize(("options", "said"), [
    (["--trainer", "ltx", "--fps", 16], "--fps: is not read by the LTX-2 trainer"),
    (["--trainer", "diffsynth", "--rule", "chunk"], "--rule: is not read by DiffSynth-Studio"),
    (["--frames", 17], "--frames: can be given once for a loop of your own"),
    (["--source-fps", 30], "--source-fps: is not read by a loop of your own"),
    (["--trainer", "musubi", "--fps", 16], "--fps: musubi-tuner resamples only with --source-fps"),
])  # fmt: skip
def test_an_option_that_the_trainer_would_not_heed_is_refused(
    options: list[object], said: str, export: Export, folder: Path, tmp_path: Path
) -> None:
    ended = export(folder, "-o", tmp_path / "w", *latents(), *options)
    assert ended.code == 2
    assert said in " ".join(ended.err.split())


def test_musubis_clips_are_resampled_to_the_rate_of_the_family(
    export: Export, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4", square_clip(2 * FRAMES), fps=32)
    options = [*latents(), "--trainer", "musubi", "--source-fps", 32]
    assert export(clip, "-o", tmp_path / "w", *options).code == 0
    (row,) = rows_in(tmp_path / "w" / "weights.jsonl")
    assert (row["indices"], row["fps"]) == (list(range(0, 2 * FRAMES, 2)), 16)
    options = [*latents("ltx"), "--trainer", "musubi", "--source-fps", 32]
    ended = export(clip, "-o", tmp_path / "v", *options)
    assert "--source-fps: needs --fps for ltx" in " ".join(ended.err.split())


def test_a_clip_that_is_stored_turned_is_refused_where_the_trainer_does_not_turn_it(
    export: Export, tmp_path: Path
) -> None:
    clip = write(tmp_path / "phone.mp4")
    turned_on_its_side(clip)
    for trainer, code in (("musubi", 1), ("ltx", 1), ("finetrainers", 0), ("plain", 0)):
        ended = export(clip, "-o", tmp_path / trainer, *latents(), "--trainer", trainer)
        assert ended.code == code
        assert ("is stored turned" in ended.err) == bool(code)
    beside = [*masks(), "--trainer", "ltx", "--with-clips"]
    assert export(clip, "-o", tmp_path / "m", *beside).code == 0


def test_no_two_clips_share_a_mask(export: Export, tmp_path: Path) -> None:
    """A clip too short for the second of two lengths is not taken for another's first sample."""
    write(tmp_path / "c" / "a.mp4")
    write(tmp_path / "c" / "a_000.mp4", square_clip(9))
    options = [*masks(frames=9), "--frames", 17, "--trainer", "musubi"]
    assert export(tmp_path / "c", "-o", tmp_path / "m", *options).code == 0
    files = [row["file"] for row in rows_in(tmp_path / "m" / "masks.jsonl")]
    assert sorted(files) == ["masks/a_000.mp4", "masks/a_000_000.mp4", "masks/a_001.mp4"]


def test_a_clip_that_breaks_later_leaves_the_table(
    export: Export, folder: Path, tmp_path: Path
) -> None:
    assert export(folder, "-o", tmp_path / "m", *masks()).code == 0
    (folder / "a.mp4").write_bytes(b"no video any more")
    assert export(folder, "-o", tmp_path / "m", *masks()).code == 1
    assert [row["clip"] for row in rows_in(tmp_path / "m" / "masks.jsonl")] == ["deep/b.mp4"]
    assert not (tmp_path / "m" / "masks" / "a.mp4").exists()


def test_captions_may_hold_any_line_end(export: Export, folder: Path, tmp_path: Path) -> None:
    table = folder / "metadata.jsonl"
    text = "one\u2028two\x85three"
    table.write_text(json.dumps({"file_name": "a.mp4", "text": text}) + "\n")
    for _ in range(2):
        assert export(folder, "-o", tmp_path / "w", *latents()).code == 0
    (line,) = (tmp_path / "w" / "weights.jsonl").read_text().removesuffix("\n").split("\n")
    assert json.loads(line)["caption"] == text


def test_a_damaged_table_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "masks.jsonl").write_text('{"clip": \n')
    with pytest.raises(ValueError, match=r"masks\.jsonl, line 1 should be JSON"):
        read_table(tmp_path / "masks.jsonl")


@pytest.mark.parametrize("elsewhere", ["../kept.mp4", "masks/../../kept.mp4", "/kept.mp4"])
def test_a_table_that_names_files_elsewhere_deletes_nothing(
    elsewhere: str, export: Export, folder: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"mine")
    elsewhere = str(kept) if elsewhere.startswith("/") else elsewhere
    export(folder, "-o", tmp_path / "m", *masks())
    table = tmp_path / "m" / "masks.jsonl"
    rows = [{**row, "file": elsewhere, "sha256": "0" * 64} for row in rows_in(table)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = export(folder, "-o", tmp_path / "m", *masks())
    assert (ended.code, kept.read_bytes()) == (1, b"mine")
    assert "should name a file below" in ended.err
