"""Stride and window are drawn in every epoch; a clip is as it would be prepared by itself."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save

from motifocal.cli import cli
from motifocal.data.captions import read_captions
from motifocal.data.prepare import PrepareSettings, prepare
from motifocal.data.shard_file import DamagedShard, write_shard
from motifocal.data.shards import Shards, epochs_of_step, indices_of_step
from motifocal.data.sources import SceneClips, VideoFolderClips, scan_videos, usable
from motifocal.data.stretches import Draw, dynamic_stride
from motifocal.data.workers.threads import Threads
from motifocal.loss.latent_grid import LatentGeometry, pool
from motifocal.media.video import read_video, to_tensor, write_video
from motifocal.models.autoencoder import encode
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap
from motifocal.training.loop import train

FRAMES, MOST, SIZE, LENGTHS = 3, 3, 16, (14, 4, 9)
# A unit of its own: that of the whole clip is that of what a clip is cut from.
# Regions look at frames around a clip too, where there are any.
HEATMAP = HeatmapSettings(unit="pixels", evidence="pixels")
SETTINGS = PrepareSettings(HEATMAP, LatentGeometry(8, 1), 2, 16, draw=Draw(FRAMES, MOST))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three captioned videos of different lengths."""
    folder = tmp_path_factory.mktemp("clips")
    for index, length in enumerate(LENGTHS):
        drawn = SceneClips(3, "train", SIZE, length, 0)[index]
        write_video(folder / f"{index}.mp4", drawn.frames, 8)
        (folder / f"{index}.txt").write_text(tiny.SENTENCES[index])
    return folder


def source(clips: Path, windows: int | str = "all") -> VideoFolderClips:
    notes = clips / ".notes.jsonl"
    found = usable(scan_videos(read_captions(clips).videos, notes, Threads(1)), FRAMES)
    return VideoFolderClips(*found[:3], FRAMES, SIZE, SIZE, MOST, windows, 0,
                            draw=SETTINGS.draw)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stretches(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    folder = tmp_path_factory.mktemp("shards")
    list(prepare(source(clips), folder, tiny.tiny_vae(), SETTINGS, described={}, workers=0))
    return Shards(folder)


def test_a_drawn_clip_is_the_clip_that_would_be_prepared_of_these_frames(
    stretches: Shards, clips: Path
) -> None:
    seen = set()
    for index, epoch in itertools.product(range(3), range(12)):
        drawn = stretches.batch([index], [epoch], seed=5)
        start, stride = dynamic_stride(LENGTHS[index], FRAMES, MOST,
                                       np.random.default_rng([5, epoch, 1 + index]))
        seen.add((index, start, stride))
        clip = read_video(clips / f"{index}.mp4", num_frames=FRAMES, start=start, stride=stride)
        latents = encode(tiny.tiny_vae(), to_tensor(clip.frames)[None], 16)
        torch.testing.assert_close(drawn.latents, latents.half().float(), atol=2e-3, rtol=2e-3)
        heatmap = torch.from_numpy(clip_heatmap(clip.frames, SETTINGS.heatmap, workers=1))
        expected = (pool(heatmap, SETTINGS.geometry) * 255).round() / 255
        assert torch.equal(drawn.heatmap, expected)
        assert drawn.captions == [tiny.SENTENCES[index]]
        assert float(drawn.fps) == pytest.approx(8 / stride)
    assert {stride for _, _, stride in seen} == {1, 2, 3}
    assert len(seen) > 12


def test_the_draw_is_a_function_of_seed_epoch_and_clip(stretches: Shards) -> None:
    one = stretches.batch([0, 1, 2], [4, 5, 6], seed=1)
    for place, (index, epoch) in enumerate(((0, 4), (1, 5), (2, 6))):
        alone = Shards(stretches.folder).batch([index], [epoch], seed=1)
        assert torch.equal(alone.latents[0], one.latents[place])
    drawn = {(seed, epoch): stretches.batch([0], [epoch], seed).latents.numpy().tobytes()
             for seed, epoch in itertools.product(range(4), range(4))}
    assert len(set(drawn.values())) > 8
    assert torch.equal(stretches.batch([0]).latents, stretches.batch([0], [0], 0).latents)


def test_a_stretch_of_some_windows_holds_the_frames_of_the_longest_stride(clips: Path) -> None:
    some = source(clips, 4)
    assert len(some) == 12
    lengths = [len(some[index].frames) for index in range(12)]
    assert lengths == [7, 4, 7] * 4
    assert len({some[index].frames.tobytes() for index in range(0, 12, 3)}) > 1


def test_an_epoch_after_the_other_is_counted_in_clips() -> None:
    assert epochs_of_step(0, 3, 4) == [0, 0, 0, 1]
    assert epochs_of_step(2, 3, 4) == [2, 3, 3, 3]
    seen = [list(zip(epochs_of_step(step, 3, 4), indices_of_step(step, 3, 4, 0), strict=True))
            for step in range(3)]
    assert len({pair for pairs in seen for pair in pairs}) == 12


def test_training_on_stretches_is_resumed_bit_for_bit(
    base: Path, stretches: Shards, tmp_path: Path
) -> None:
    unbroken = tiny.tiny_run(tmp_path / "a", base, stretches)
    list(train(unbroken))
    broken = tiny.tiny_run(tmp_path / "b", base, stretches)
    steps = train(broken)
    for _ in range(3):  # the last checkpoint is of step 2
        next(steps)
    resumed = tiny.tiny_run(tmp_path / "b", base, Shards(stretches.folder))
    assert resumed.step == 2
    list(train(resumed))
    assert tiny.equal(tiny.weights(unbroken), tiny.weights(resumed))


def test_clips_prepared_once_are_the_same_in_every_epoch_and_under_every_seed(
    tmp_path: Path,
) -> None:
    shards = tiny.tiny_shards(tmp_path, 5)
    assert "drawn" not in shards.manifest
    plain = shards.batch([3, 1, 4])
    drawn = shards.batch([3, 1, 4], [0, 7, 9], seed=3)
    assert torch.equal(plain.latents, drawn.latents)
    assert torch.equal(plain.heatmap, drawn.heatmap)
    assert torch.equal(plain.fps, drawn.fps)


def test_shards_of_clips_have_the_bytes_of_the_documented_form(tmp_path: Path) -> None:
    """What `shard_file.py` says, put together here: the form of version 0.1."""
    shards = tiny.tiny_shards(tmp_path / "shards", 4)
    file = shards.files[0]
    clips = [file.clip(row) for row in range(4)]
    stored = load_file(file.path)
    tensors = {"latents": torch.stack([clip.latents for clip in clips]),
               "heatmap": torch.stack([clip.heatmap for clip in clips]),
               "fps": torch.stack([clip.fps for clip in clips]),
               "source": stored["source"], "checksum": stored["checksum"]}
    captions = json.dumps([clip.caption for clip in clips])
    assert file.path.read_bytes() == save(tensors, {"captions": captions})
    write_shard(tmp_path / "again", clips, [bytes(row).hex() for row in stored["source"].numpy()])
    assert (tmp_path / "again").read_bytes() == file.path.read_bytes()


def test_damage_to_a_stretch_is_named_with_its_file(stretches: Shards, tmp_path: Path) -> None:
    for path in stretches.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    file = tmp_path / "shard-00000.safetensors"
    data = bytearray(file.read_bytes())
    tensors = load_file(file)
    place = bytes(data).index(tensors["latents"].numpy().tobytes()[:64])
    data[place] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(DamagedShard, match=r"shard-00000.*clip 0 has another checksum"):
        Shards(tmp_path).batch([0])
    tensors["length"] = tensors["length"] + torch.tensor([1, -1])
    file.write_bytes(save(tensors, {"captions": "[\"a\", \"b\"]"}))
    with pytest.raises(DamagedShard, match="another checksum"):
        Shards(tmp_path).batch([0])
    tensors["length"] = tensors["length"] + 1
    file.write_bytes(save(tensors, {"captions": "[\"a\", \"b\"]"}))
    with pytest.raises(DamagedShard, match="stretches of"):
        Shards(tmp_path)
    manifest = json.loads((tmp_path / "prepared.json").read_text())
    (tmp_path / "prepared.json").write_text(json.dumps({**manifest, "drawn": {"frames": 0}}))
    with pytest.raises(ValueError, match="drawn should hold frames"):
        Shards(tmp_path)


# The command.


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["prepare", *map(str, arguments)])


def test_the_command_stores_every_frame_and_masks_once(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "masks"
    masks.mkdir()
    for index, length in enumerate(LENGTHS):
        mask = np.zeros((length, SIZE, SIZE), np.uint8)
        mask[np.arange(length) % 2 == 0, :8] = 255
        np.savez(masks / f"{index}.npz", mask=mask)
    arguments = [clips, "-o", tmp_path / "shards", "--model", base, "--size", SIZE, "--frames",
                 FRAMES, "--max-stride", MOST, "--workers", 0, "--strides", "all", "--windows",
                 "all", "--masks", masks]  # fmt: skip
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    shards = Shards(tmp_path / "shards")
    tensors = load_file(shards.files[0].path)
    assert tuple(tensors["latents"].shape) == (sum(LENGTHS), 4, 2, 2)
    assert tuple(tensors["heatmap"].shape) == (sum(LENGTHS), 1, 2, 2)
    for epoch in range(6):
        generator = np.random.default_rng([0, epoch, 1])
        start, stride = dynamic_stride(LENGTHS[0], FRAMES, MOST, generator)
        expected = [float((start + place * stride) % 2 == 0) for place in range(FRAMES)]
        assert shards.batch([0], [epoch]).heatmap[0, 0, :, 0, 0].tolist() == expected
    again = run(*arguments[:-5], "all", "--windows", 2, "--masks", masks)
    assert isinstance(again.exception, ValueError)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clips", "--windows", "all"], "--windows all goes with --strides all"),
        (["scenes", "--strides", "all"], "--strides all goes with folders"),
        (["scenes", "--check-only"], "--check-only goes with folders"),
        (["clips", "--strides", "all", "--prior", "score"], "are of one window"),
        (["clips", "--strides", "all", "--image-tokens"], "are of one window"),
        (["clips", "--windows", "0"], "--windows"),
    ],
)
def test_draws_that_make_no_sense_are_refused(
    arguments: list[str], message: str, clips: Path, base: Path, tmp_path: Path
) -> None:
    at = str(clips) if arguments[0] == "clips" else arguments[0]
    result = run(at, *arguments[1:], "-o", tmp_path / "shards", "--model", base, "--size", SIZE)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
