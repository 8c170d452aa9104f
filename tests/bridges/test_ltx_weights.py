"""The weights beside the latents of the LTX-2 trainer, and the command that writes them."""

from __future__ import annotations

import errno
import os
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from ltx_latents import SETTINGS, processed, weighed
from square_clips import drawn_clip
from torch import Tensor

from motifocal.bridges.cached_latents import make_weights
from motifocal.bridges.ltx_weights import FOLDER, GRID, missing_weights, weight_jobs
from motifocal.cli.weights import weights
from motifocal.data.selection import Selection, frames_of
from motifocal.loss.latent_grid import pool
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap


def weight_of(root: Path, name: str) -> Tensor:
    held = torch.load(root / ".precomputed" / FOLDER / f"{name}.pt", weights_only=True)
    return held["weight"]


def test_the_weights_are_of_the_clips_first_frames_at_the_latents_size(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "videos" / "a b.mp4")
    processed(tmp_path, "videos/a b.mp4")
    outcome = weighed(tmp_path)
    assert (outcome.made, outcome.kept, outcome.refused) == (1, 0, {})
    selection = Selection(tuple(range(17)), 24.0, 64, 96, "floor")
    heatmap = clip_heatmap(frames_of(tmp_path / "videos" / "a b.mp4", selection), SETTINGS)
    got = weight_of(tmp_path, "videos/a b")
    assert got.dtype == torch.float16
    wanted = pool(torch.from_numpy(heatmap), GRID)[0, 0]
    torch.testing.assert_close(got.float(), wanted, atol=1e-3, rtol=0)
    assert got[0].max() > 0.2  # the first latent too: its mask is the strategy's affair


def test_a_picture_gets_no_motion_and_another_autoencoder_its_own_grid(tmp_path: Path) -> None:
    processed(tmp_path, "still.png", frames=1)
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4", frames=4, height=4, width=6)
    outcome = weighed(tmp_path, grid=replace(GRID, spatial_stride=16, temporal_stride=4))
    assert (outcome.made, outcome.refused) == (2, {})
    assert torch.equal(weight_of(tmp_path, "still"), torch.zeros(1, 2, 3).half())
    assert weight_of(tmp_path, "a").shape == (4, 4, 6)


def test_a_second_run_makes_only_what_is_missing_or_of_older_latents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        drawn_clip(tmp_path / f"{name}.mp4")
        processed(tmp_path, f"{name}.mp4")
    jobs = weight_jobs(tmp_path / ".precomputed", None, SETTINGS)
    assert make_weights(jobs[:1]).made == 1
    assert missing_weights(tmp_path, "latents") == ["b.pt"]
    outcome = weighed(tmp_path)
    assert (outcome.made, outcome.kept) == (1, 1)
    processed(tmp_path, "b.mp4", frames=2)
    outcome = weighed(tmp_path)
    assert (outcome.made, outcome.kept) == (1, 1)
    assert weight_of(tmp_path, "b").shape[0] == 2
    assert weighed(tmp_path, HeatmapSettings(floor=0.3)).made == 2


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    for name in ("slow", "short", "twice"):
        drawn_clip(tmp_path / f"{name}.mp4", 12 if name == "short" else 20)
    (tmp_path / "twice.mov").write_bytes((tmp_path / "twice.mp4").read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    processed(tmp_path, "slow.mp4", fps=25.0)
    for name in ("short", "twice", "broken", "gone"):
        processed(tmp_path, f"{name}.mp4")
    bad = processed(tmp_path, "bad.mp4")
    torch.save({"latents": torch.zeros(3)}, bad)
    evil = processed(tmp_path, "evil.mp4")
    torch.save({"latents": types.SimpleNamespace()}, evil)
    processed(tmp_path, "text.mp4").write_bytes(b"hello, this was never a pickle")
    refused = weighed(tmp_path).refused
    reasons = {
        "slow": "rate differs: the latents are of 25 frames/s, slow.mp4 has 24",
        "short": "too short, it has no frame 12",
        "twice": "should hold one video named twice, got twice.mov, twice.mp4",
        "broken": "broken.mp4",
        "gone": "should hold one video named gone, got none",
        "bad": "should have num_frames, height and width",
        "evil": "is damaged, or holds more than tensors",
        "text": "is damaged, or holds more than tensors",
    }
    assert set(refused) == {f"{name}.pt" for name in reasons}
    for name, words in reasons.items():
        assert words in refused[f"{name}.pt"]
    with pytest.raises(ValueError, match="should hold the latents of clips"):
        weighed(tmp_path, latents="elsewhere")


def test_the_command_writes_the_folder(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4")
    done = CliRunner().invoke(weights, ["ltx", str(tmp_path / ".precomputed")])
    assert (done.exit_code, done.stdout) == (0, "1 made, 0 there before, 0 refused\n")
    assert weight_of(tmp_path, "a").shape == (3, 2, 3)
    moved = tmp_path / "clips"
    moved.mkdir()
    (tmp_path / "a.mp4").rename(moved / "a.mp4")
    call = ["ltx", str(tmp_path / ".precomputed"), "--force"]
    assert CliRunner().invoke(weights, call).exit_code == 1
    assert CliRunner().invoke(weights, [*call, "--clips", str(moved)]).exit_code == 0


def test_clips_outside_of_the_tables_folder_lead_to_the_option_that_finds_them(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "elsewhere" / "a.mp4"
    drawn_clip(clip)
    table = tmp_path / "table"
    # As the trainer names the latents of a clip that is not below the table: by its whole path.
    processed(table, clip.relative_to(clip.anchor).as_posix())
    call = ["ltx", str(table / ".precomputed")]
    refused = CliRunner().invoke(weights, call)
    assert refused.exit_code == 1
    words = f"got none; {clip} is outside of the table's folder: --clips {clip.anchor}"
    assert words in refused.stderr
    assert CliRunner().invoke(weights, [*call, "--clips", clip.anchor]).exit_code == 0


def test_a_full_disk_stops_the_run_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        drawn_clip(tmp_path / f"{name}.mp4")
        processed(tmp_path, f"{name}.mp4")
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="the disk is full"):
        weighed(tmp_path)
    assert not list((tmp_path / ".precomputed" / FOLDER).iterdir())


def test_a_file_of_weights_that_is_not_ours_is_made_anew(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4")
    (tmp_path / ".precomputed" / FOLDER).mkdir()
    torch.save({"note": "a text"}, tmp_path / ".precomputed" / FOLDER / "a.pt")
    assert weighed(tmp_path).made == 1
    assert weight_of(tmp_path, "a").shape == (3, 2, 3)


def full_disk(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
