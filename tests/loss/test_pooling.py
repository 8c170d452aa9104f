"""A heatmap is pooled to one weight a latent."""

from __future__ import annotations

import torch
from geometries import clips
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from torch import Tensor

from motifocal.loss.latent_grid import LatentGeometry, pool


@steady
@given(clips())
def test_pooling_keeps_the_range_and_gives_one_weight_a_latent(
    clip: tuple[Tensor, LatentGeometry],
) -> None:
    heatmap, geometry = clip
    batch, frames, height, width = heatmap.shape
    pooled = pool(heatmap, geometry)
    stride = geometry.spatial_stride
    assert pooled.shape == (
        batch,
        1,
        geometry.latent_frames(frames),
        height // stride,
        width // stride,
    )
    assert pooled.min() >= heatmap.min() - 1e-6
    assert pooled.max() <= heatmap.max() + 1e-6


@steady
@given(clips(), st.sampled_from([0.0, 0.25, 1.0]))
def test_a_constant_map_stays_that_constant(
    clip: tuple[Tensor, LatentGeometry], value: float
) -> None:
    heatmap, geometry = clip
    assert pool(torch.full_like(heatmap, value), geometry).eq(value).all()


@steady
@given(clips(), st.data())
def test_a_hot_frame_shows_up_only_in_the_latents_that_cover_it(
    clip: tuple[Tensor, LatentGeometry], data: st.DataObject
) -> None:
    heatmap, geometry = clip
    frames = heatmap.shape[1]
    hot = data.draw(st.integers(0, frames - 1))
    heatmap = torch.zeros_like(heatmap)
    heatmap[:, hot] = 1
    pooled = pool(heatmap, geometry)
    # Counted afresh: latent 0 of a block holds its frame 0, latent k the next `temporal_stride`.
    counts = []
    for frame in range(frames):
        place = frame % (geometry.block_frames or frames)
        counts.append(place == 0 or (place - 1) % geometry.temporal_stride == 0)
    latent = sum(counts[: hot + 1]) - 1
    padding = geometry.latent_frames(frames) - sum(counts)
    expected = torch.zeros(pooled.shape[2])
    expected[padding + latent] = 1
    if latent == 0:  # whose copies the padding is
        expected[:padding] = 1
    assert torch.equal(pooled, expected[None, None, :, None, None].expand_as(pooled))


@steady
@given(clips(), st.data())
def test_a_hot_pixel_shows_up_only_in_the_latent_over_it_with_its_share(
    clip: tuple[Tensor, LatentGeometry], data: st.DataObject
) -> None:
    heatmap, geometry = clip
    y, x = (data.draw(st.integers(0, size - 1)) for size in heatmap.shape[2:])
    heatmap = torch.zeros_like(heatmap)
    heatmap[..., y, x] = 1
    pooled = pool(heatmap, geometry)
    share = pooled[..., y // geometry.spatial_stride, x // geometry.spatial_stride]
    torch.testing.assert_close(share, torch.full_like(share, 1 / geometry.spatial_stride**2))
    torch.testing.assert_close(pooled.sum(), share.sum())


@steady
@given(clips(), st.data())
def test_frames_in_another_order_inside_a_latent_change_nothing(
    clip: tuple[Tensor, LatentGeometry], data: st.DataObject
) -> None:
    heatmap, geometry = clip
    order: list[int] = []
    for start, stop in sorted(set(geometry.covered_frames(heatmap.shape[1]))):
        order += data.draw(st.permutations(range(start, stop)))
    assert torch.equal(pool(heatmap[:, order], geometry), pool(heatmap, geometry))


def test_the_weight_is_the_area_that_moved_at_some_time_in_the_latent() -> None:
    geometry = LatentGeometry(spatial_stride=2, temporal_stride=4)
    heatmap = torch.zeros(5, 2, 2)
    heatmap[1, 0, 0] = heatmap[3, 1, 1] = 1  # two of four pixels, at different times
    assert pool(heatmap, geometry).flatten().tolist() == [0.0, 0.5]
