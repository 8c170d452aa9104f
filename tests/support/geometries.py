"""Grids of latents, and heatmaps of clips on them, as hypothesis draws them."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from motifocal.loss.latent_grid import FAMILIES, LatentGeometry

families = st.sampled_from(sorted(FAMILIES)).map(FAMILIES.__getitem__)
geometries = st.one_of(
    families,
    st.builds(
        LatentGeometry,
        spatial_stride=st.sampled_from([1, 2, 8]),
        temporal_stride=st.integers(1, 8),
        temporal_multiple=st.integers(1, 3),
        conditioned_first=st.booleans(),
    ),
    st.builds(
        lambda stride, per_block, last: LatentGeometry(
            2, stride, block_frames=1 + per_block * stride,
            last_block_frames=None if last is None else 1 + min(last, per_block - 1) * stride),
        st.integers(1, 4), st.integers(1, 4), st.one_of(st.none(), st.integers(0, 3)),
    ),
)  # fmt: skip


def lengths_of(geometry: LatentGeometry, most: int = 60) -> list[int]:
    """The numbers of frames that clips may have, block by block."""
    block, stride = geometry.block_frames, geometry.temporal_stride
    if block is None:
        return list(range(1, most, stride))
    last = geometry.last_block_frames
    tails = [last] if last else [0, *range(1, block, stride)]
    return sorted({1, *(n + tail for n in range(0, most, block) for tail in tails)} - {0})


@st.composite
def clips(draw: st.DrawFn) -> tuple[Tensor, LatentGeometry]:
    """A random heatmap that fits a random geometry: B F H W from 1 batch and 1x1 latents up."""
    geometry = draw(geometries)
    frames = draw(st.sampled_from(lengths_of(geometry)[:6]))
    height, width = (geometry.spatial_stride * draw(st.integers(1, 3)) for _ in range(2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return torch.rand(draw(st.integers(1, 2)), frames, height, width, generator=generator), geometry
