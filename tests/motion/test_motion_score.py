"""The motion score of a clip, and what shards hold beside latents and heatmaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch

from motifocal.data.prepare import PrepareSettings, prepare
from motifocal.data.shard_file import DamagedShard, ShardClip, ShardFile, write_shard
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips
from motifocal.loss.latent_grid import LatentGeometry
from motifocal.models.image.encoder import encode_images
from motifocal.motion.heatmap import HeatmapSettings, clip_flow
from motifocal.motion.score import HALF, motion_score

SETTINGS = PrepareSettings(HeatmapSettings(floor=0.05), LatentGeometry(8, 1), 4, 16,
                           motion_score=True)


def test_the_score_is_the_mean_displacement_over_the_diagonal_on_a_curve_to_one() -> None:
    flow = np.zeros((2, 2, 30, 40), np.float32)  # the diagonal is 50 pixels
    assert motion_score(flow) == 0
    flow[:, 0], flow[:, 1] = 0.06, 0.08  # 0.1 pixel: HALF of the diagonal
    assert motion_score(flow) == pytest.approx(0.5)
    assert motion_score(3 * flow) == pytest.approx(0.75)
    assert motion_score(np.zeros((0, 2, 30, 40), np.float32)) == 0
    assert pytest.approx(0.1 / 50) == HALF


def test_the_score_does_not_depend_on_the_size_in_pixels() -> None:
    flow = np.random.default_rng(0).normal(size=(3, 2, 8, 12)).astype(np.float32)
    larger = 2 * flow.repeat(2, axis=2).repeat(2, axis=3)
    assert motion_score(larger) == pytest.approx(motion_score(flow), rel=1e-5)


@pytest.mark.parametrize("masks", ["none", "objects"])
def test_shards_hold_the_score_of_the_flow_and_the_tokens_of_the_first_frame(
    masks: str, tmp_path: Path
) -> None:
    encoder, clips = tiny.tiny_image_encoder(), SceneClips(5, "train", 16, 3, 0, masks=masks)
    list(prepare(clips, tmp_path, tiny.tiny_vae(), SETTINGS, described={}, workers=0,
                 image_encoder=encoder))
    batch = Shards(tmp_path).batch([4, 0])
    for row, index in enumerate([4, 0]):
        frames = clips[index].frames
        flow = clip_flow(frames, SETTINGS.heatmap, workers=1, device=None)
        assert float(batch.motion_score[row]) == pytest.approx(motion_score(flow), rel=1e-6)
        first = torch.from_numpy(frames[0]).permute(2, 0, 1)[None] / 127.5 - 1
        torch.testing.assert_close(batch.image_tokens[row], encode_images(encoder, first)[0],
                                   rtol=1e-3, atol=1e-3)
    assert torch.equal(batch.motion_mask, batch.heatmap.amax(2))


def test_shards_that_nobody_asked_for_more_hold_no_more(tmp_path: Path) -> None:
    batch = tiny.tiny_shards(tmp_path, clips=2).batch([0])
    assert batch.image_tokens is None
    assert batch.motion_score is None
    assert set(ShardFile(tmp_path / "shard-00000.safetensors", 2).shapes) == {
        "latents", "heatmap", "fps"}


def clip(score: float) -> ShardClip:
    return ShardClip(torch.zeros(4, 3, 2, 2), torch.zeros(3, 2, 2, dtype=torch.uint8),
                     torch.tensor(8.0), "a cat", torch.ones(5, 6), torch.tensor(score))


def test_a_changed_score_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "shard-00000.safetensors"
    write_shard(path, [clip(0.25)], ["00" * 32])
    data = path.read_bytes()
    old, new = (np.float32(value).tobytes() for value in (0.25, 0.75))
    assert data.count(old) == 1
    ShardFile(path, 1).verify()
    path.write_bytes(data.replace(old, new))
    with pytest.raises(DamagedShard, match="another checksum"):
        ShardFile(path, 1).verify()


def test_a_shard_without_what_the_first_holds_is_named(tmp_path: Path) -> None:
    tiny.tiny_shards(tmp_path, clips=5)
    rows = Shards(tmp_path).batch([0, 1, 2, 3])
    clips = [replace(clip(0.5), latents=rows.latents[k], heatmap=clip(0).heatmap)
             for k in range(4)]
    write_shard(tmp_path / "shard-00000.safetensors", clips, ["00" * 32] * 4)
    with pytest.raises(ValueError, match=r"should hold image_tokens \(5, 6\) like the first"):
        Shards(tmp_path)
