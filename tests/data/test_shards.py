"""Preparation is resumable and exact, and every epoch visits every clip once."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from scene_shards import SETTINGS, SOURCE, begin

from motifocal.cli import cli
from motifocal.data.prepare import prepare
from motifocal.data.preparing.captioned_clip import CaptionedClip
from motifocal.data.shards import Shards, indices_of_step
from motifocal.data.sources import SceneClips
from motifocal.loss.latent_grid import pool
from motifocal.models.autoencoder import encode
from motifocal.motion.flow import ESTIMATORS, FlowOptions
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap


def test_a_preparation_that_was_killed_goes_on_and_gives_the_same_bytes(
    whole: Path, tmp_path: Path
) -> None:
    steps = begin(tmp_path)
    assert next(steps) == 4
    steps.close()
    first = tmp_path / "shard-00000.safetensors"
    before = first.stat().st_mtime_ns
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"half a sha")
    assert list(begin(tmp_path)) == [8, 10]
    assert first.stat().st_mtime_ns == before
    for path in whole.glob("shard-*.safetensors"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_a_preparation_of_a_time_with_fewer_settings_is_gone_on_with(
    whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    manifest = json.loads((folder / "prepared.json").read_text())
    for name in ("source", "camera", "raft_iterations", "raft_weights"):
        del manifest["heatmap"][name]
    (folder / "prepared.json").write_text(json.dumps(manifest))
    (folder / "shard-00002.safetensors").unlink()
    assert list(begin(folder)) == [10]
    camera = replace(SETTINGS, heatmap=replace(SETTINGS.heatmap, camera=True))
    with pytest.raises(ValueError, match=r"says camera False \(not True\)"):
        next(begin(folder, settings=camera))


@pytest.mark.parametrize(("source", "here"), [("dis", False), ("raft-small", True)])
def test_what_runs_on_an_accelerator_stays_out_of_worker_processes(
    source: str, here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dis = ESTIMATORS["dis"]

    def told(frames: np.ndarray, options: FlowOptions) -> np.ndarray:
        (tmp_path / f"process-{os.getpid()}").touch()
        return dis(frames, options)

    monkeypatch.setitem(ESTIMATORS, source, told)
    # Threads of this process, for which a worker could wait in vain.
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((512, 512), np.float32), (0, 0), 3)
    settings = replace(SETTINGS, heatmap=HeatmapSettings(source=source))
    clips = SceneClips(2, "train", 16, 3, 0)
    made = prepare(clips, tmp_path / source, tiny.tiny_vae(), settings, described={}, workers=1)
    assert list(made) == [2]
    assert cv2.getNumThreads() == 2
    cv2.setNumThreads(before)
    (process,) = tmp_path.glob("process-*")
    assert (process.name == f"process-{os.getpid()}") is here
    expected = pool(torch.from_numpy(clip_heatmap(clips[0].frames)), SETTINGS.geometry)[0]
    found = Shards(tmp_path / source).batch([0]).heatmap[0]
    assert (found - expected).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(("device", "words"), [
    ("nowhere", "should be auto, cpu, cuda, cuda:1 or mps, got 'nowhere'"),
    ("cuda:99", "should be one of this machine's (cpu"),
])  # fmt: skip
def test_a_device_that_is_not_there_is_told_before_anything_is_read(
    device: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "vae").mkdir()
    given = ["scenes", "-o", str(tmp_path / "out"), "--model", str(tmp_path), "--size", "16",
             "--device", device]  # fmt: skip
    done = CliRunner().invoke(cli, ["prepare", *given])
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_finished_preparation_has_nothing_left_to_do(whole: Path) -> None:
    assert list(begin(whole)) == []


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"settings": replace(SETTINGS, heatmap=HeatmapSettings(unit="pixels"))}, "unit"),
        ({"settings": replace(SETTINGS, clips_per_shard=5)}, "clips_per_shard"),
        ({"described": {"clips": 10, "autoencoder": "another"}}, "autoencoder"),
        ({"source": SceneClips(11, "train", 16, 3, 0)}, "clips"),
    ],
)
def test_other_settings_or_clips_are_refused_in_a_folder_that_was_begun(
    changed: dict[str, object], named: str, whole: Path
) -> None:
    words = rf"says .*{named}.*\(not .*; use the same settings or another folder"
    with pytest.raises(ValueError, match=words):
        next(begin(whole, **changed))


def test_shards_of_an_unfinished_preparation_are_refused(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    (folder / "shard-00001.safetensors").unlink()
    with pytest.raises(ValueError, match="lacks 1 of 3 shards; prepare it again"):
        Shards(folder)


def test_a_shard_whose_clip_has_changed_is_made_anew_and_named(
    whole: Path, tmp_path: Path
) -> None:
    class Replaced(SceneClips):
        """The same clips but for one, which another source made."""

        def source_digest(self, index: int) -> str:
            return "ab" * 32 if index == 5 else SOURCE.source_digest(index)

        def __getitem__(self, index: int) -> CaptionedClip:
            return SOURCE[0 if index == 5 else index]

    folder, told = Path(shutil.copytree(whole, tmp_path / "copy")), list[str]()
    source = Replaced(10, "train", 16, 3, 0)
    assert list(begin(folder, source=source, notify=told.append)) == [10]
    assert told == [f"{folder / 'shard-00001.safetensors'}: 1 of its 4 clips have changed: "
                    "made anew"]  # fmt: skip
    before, after = Shards(whole), Shards(folder)
    assert torch.equal(after.batch([5]).latents, before.batch([0]).latents)
    assert torch.equal(after.batch([4]).latents, before.batch([4]).latents)
    assert list(begin(folder, source=source)) == []


def test_shards_of_an_earlier_version_are_read_and_kept_with_a_word(
    whole: Path, tmp_path: Path
) -> None:
    folder, told = Path(shutil.copytree(whole, tmp_path / "copy")), list[str]()
    for path in folder.glob("shard-*.safetensors"):
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in ("latents", "heatmap", "fps")}
            save_file(tensors, path, file.metadata())
    assert list(begin(folder, notify=told.append)) == []
    assert len(told) == 3
    assert "of an earlier version and does not say what its clips were made from" in told[0]
    batch = Shards(folder).batch([9, 2])
    assert torch.equal(batch.latents, Shards(whole).batch([9, 2]).latents)


def test_a_shard_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        next(begin(tmp_path))
    finally:
        os.umask(before)
    assert (tmp_path / "shard-00000.safetensors").stat().st_mode & 0o777 == 0o644


def test_a_batch_holds_the_latents_heatmaps_and_captions_of_its_clips(whole: Path) -> None:
    shards, chosen = Shards(whole), [9, 0, 4, 3]
    batch = shards.batch(chosen)
    assert (len(shards), shards.latent_shape, shards.clip_size) == (10, (4, 3, 2, 2), (3, 16, 16))
    for row, index in enumerate(chosen):
        clip = SOURCE[index]
        video = torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        heatmap = torch.from_numpy(clip_heatmap(clip.frames, SETTINGS.heatmap))
        latents = encode(tiny.tiny_vae(), video, 16)[0]
        assert batch.captions[row] == clip.caption
        assert float(batch.fps[row]) == clip.fps
        assert torch.allclose(batch.latents[row], latents, atol=2e-3)
        expected = pool(heatmap, SETTINGS.geometry)[0]
        assert (batch.heatmap[row] - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_the_moving_fraction_is_that_of_the_clips_in_order(whole: Path) -> None:
    shards = Shards(whole)
    share = shards.moving_fractions()
    heatmaps = shards.batch(list(range(10))).heatmap
    assert np.array_equal(share, (heatmaps > 0.5).double().flatten(1).mean(1).numpy())
    assert share.max() > share.min()


@given(clips=st.integers(1, 40), batch=st.integers(1, 50), seed=st.integers(0, 5))
def test_every_epoch_visits_every_clip_once(clips: int, batch: int, seed: int) -> None:
    epochs = 3
    steps = -(-epochs * clips // batch)
    visited = [i for step in range(steps) for i in indices_of_step(step, clips, batch, seed)]
    for epoch in range(epochs):
        assert sorted(visited[epoch * clips : (epoch + 1) * clips]) == list(range(clips))


def test_epochs_and_seeds_differ_in_their_order() -> None:
    first, second, other = (
        indices_of_step(0, 100, 100, 0), indices_of_step(1, 100, 100, 0),
        indices_of_step(0, 100, 100, 1),
    )  # fmt: skip
    assert first != second
    assert first != other
    assert first == indices_of_step(0, 100, 100, 0)
