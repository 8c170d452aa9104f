"""The table of families against the autoencoders themselves: which pixel moves which latent.

A frame of a random clip is replaced by another, and the latents of both clips are compared. The
encoders are causal: a frame may change its own latent and later ones, never an earlier one. So the
first latent that changes is the one that covers the frame.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import diffusers
import pytest
import torch
from einops import rearrange
from tiny_vaes import encode, ltx095_vae, ltx23_vae, neutral, tiny_vae, unspread
from torch import Tensor

from motifocal.loss.latent_grid import FAMILIES, LatentGeometry

#: Rounding in float64 is a thousand times less, the least change that shows a thousand times more.
NOTHING = 1e-10

#: Clips that every kind of batching sees: CogVideoX encodes 8 frames at a time and 4 to 7 more at
#: first, HunyuanVideo cuts a clip of more than 16 frames into overlapping pieces.
LENGTHS = {
    "sd": (1, 5), "svd": (1, 5), "wan": (1, 5, 13, 21), "wan-5b": (1, 5, 13, 21),
    "cogvideox": (1, 5, 9, 13, 21, 29), "cogvideox-1.5": (1, 5, 9, 13, 21, 29),
    "ltx": (1, 9, 17), "ltx-2": (1, 9, 17), "hunyuan": (1, 5, 13, 17, 21, 33),
    "hunyuan-1.5": (1, 5, 13, 21), "minimax-h3": (5, 22, 39),
    # The same classes as above, so a clip of one length; Helios encodes 33 frames at a time.
    "kandinsky-5": (13,), "kandinsky-6": (13,), "cosmos-2.5": (13,), "cosmos-3": (13,),
    "sana-video": (13,), "motif-video": (13,), "skyreels-v1": (13,), "skyreels-v2-df": (13,),
    "framepack": (13,), "helios": (33, 38),
}  # fmt: skip
#: Families that are known by a pipeline of diffusers alone -> its class.
PIPELINES = {
    "kandinsky-5": "Kandinsky5I2VPipeline", "kandinsky-6": "Kandinsky6TI2VAPipeline",
    "cosmos-2.5": "Cosmos2_5_PredictBasePipeline", "cosmos-3": "Cosmos3OmniPipeline",
    "sana-video": "SanaImageToVideoPipeline", "motif-video": "MotifVideoImage2VideoPipeline",
    "skyreels-v1": "HunyuanSkyreelsImageToVideoPipeline",
    "skyreels-v2-df": "SkyReelsV2DiffusionForcingImageToVideoPipeline",
    "framepack": "HunyuanVideoFramepackPipeline", "helios": "HeliosPipeline",
}  # fmt: skip
CASES = [(family, frames) for family, lengths in LENGTHS.items() for frames in lengths]


def random_clip(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def first_to_change(family: str, vae: torch.nn.Module, frames: int) -> tuple[int, list[int]]:
    """F', and for each frame the first latent that another picture there changes."""
    stride = FAMILIES[family].spatial_stride
    # MiniMax-H3 reflects images at their margins, which takes two latents a side.
    height, width = stride * (2 if family == "minimax-h3" else 1), 2 * stride
    clips = random_clip(1, 3, frames, height, width).repeat(frames + 1, 1, 1, 1, 1)
    others = random_clip(frames, 3, height, width, seed=1)
    for frame in range(frames):
        clips[frame, :, frame] = others[frame]
    latents = encode(family, vae, clips)
    change = (latents[:-1] - latents[-1]).abs().amax((1, 3, 4))  # (F, F')
    seen = change > NOTHING * change.max()
    assert seen.any(1).all()
    return latents.shape[2], seen.int().argmax(1).tolist()


@cache
def measured(family: str, frames: int) -> tuple[int, list[int]]:
    return first_to_change(family, neutral(tiny_vae(family)), frames)


def faults(geometry: LatentGeometry, family: str, frames: int) -> list[str]:
    """Where the table and the autoencoder of a family differ for a clip of so many frames."""
    latents, first = measured(family, frames)
    spans = geometry.covered_frames(frames)
    found = [f"{latents} latents, the table says {len(spans)}"] if latents != len(spans) else []
    for frame, index in enumerate(first):
        own = next(i for i, (start, stop) in enumerate(spans) if start <= frame < stop)
        if own != index:
            found.append(f"frame {frame} changes latent {index} first, the table says {own}")
    return found


def test_every_family_is_measured() -> None:
    assert set(LENGTHS) == set(FAMILIES)


@pytest.mark.parametrize("family", PIPELINES)
def test_the_autoencoder_is_of_the_class_that_the_pipeline_asks_for(family: str) -> None:
    pipeline = getattr(diffusers, PIPELINES[family])
    asked_for = str(inspect.signature(pipeline.__init__).parameters["vae"].annotation)
    assert type(tiny_vae(family)).__name__ in asked_for


@pytest.mark.parametrize(("family", "frames"), CASES)
def test_a_frame_first_changes_the_latent_that_covers_it(family: str, frames: int) -> None:
    assert faults(FAMILIES[family], family, frames) == []


@pytest.mark.parametrize(("family", "build", "frames"), [
    ("ltx", ltx095_vae, 9), ("ltx", ltx095_vae, 17), ("ltx-2", ltx23_vae, 17),
])  # fmt: skip
def test_later_releases_of_ltx_have_the_same_grid(
    family: str, build: Callable[[], Any], frames: int
) -> None:
    torch.manual_seed(0)
    vae = build().double().eval()
    assert first_to_change(family, vae, frames) == measured(family, frames)


@pytest.mark.parametrize("family", ["wan", "wan-5b", "ltx", "ltx-2", "hunyuan-1.5"])
def test_these_autoencoders_are_causal_as_they_are_published(family: str) -> None:
    frames = LENGTHS[family][-1]
    assert first_to_change(family, tiny_vae(family), frames) == measured(family, frames)


@pytest.mark.parametrize(("family", "frames"), [("cogvideox", 21), ("hunyuan", 13)])
def test_group_norm_alone_carries_a_frame_to_earlier_latents(family: str, frames: int) -> None:
    """Why the tests above take it out for these two."""
    _, as_published = first_to_change(family, tiny_vae(family), frames)
    _, without = measured(family, frames)
    assert all(early <= late for early, late in zip(as_published, without, strict=True))
    assert as_published[:13] == [0] * 13  # one batch of CogVideoX, one piece of HunyuanVideo


def wrong_tables() -> list[tuple[str, dict[str, Any], int]]:
    """A family, what is wrong in its table, and a clip that the wrong table takes."""
    tables: list[tuple[str, dict[str, Any], int]] = []
    for family in ("sd", "svd"):
        tables += [(family, {"temporal_stride": 2}, 5)]
    for family in ("wan", "wan-5b", "cogvideox", "cogvideox-1.5", "hunyuan", "hunyuan-1.5"):
        tables += [(family, {"temporal_stride": stride}, frames)
                   for stride, frames in ((2, 13), (3, 13), (5, 21))]
    for family in ("ltx", "ltx-2"):
        tables += [(family, {"temporal_stride": stride}, 17) for stride in (2, 4, 16)]
    for family in ("kandinsky-5", "kandinsky-6", "cosmos-2.5", "cosmos-3", "sana-video",
                   "motif-video", "skyreels-v1", "skyreels-v2-df", "framepack"):  # fmt: skip
        tables += [(family, {"temporal_stride": stride}, 13) for stride in (2, 3)]
    tables += [("helios", {"block_frames": 29}, 38), ("helios", {"temporal_stride": 2}, 33)]
    tables += [("minimax-h3", wrong, 22) for wrong in (
        {"temporal_stride": 2}, {"block_frames": 21, "last_block_frames": 1},
        {"temporal_stride": 1, "block_frames": None, "last_block_frames": None})]
    return [*tables, ("cogvideox-1.5", {"temporal_multiple": 1}, 9),
            ("wan", {"temporal_multiple": 2}, 9)]


@pytest.mark.parametrize(("family", "wrong", "frames"), wrong_tables())
def test_a_wrong_table_is_found_out(family: str, wrong: dict[str, Any], frames: int) -> None:
    assert faults(replace(FAMILIES[family], **wrong), family, frames)


@cache
def pixels_to_latents(family: str, height: int, width: int) -> Tensor:
    """(H, W, h, w), True where a pixel changes a latent; looked at for corners of squares only.

    A latent sees a rectangle of pixels, so the corners of a square stand for all that is in it. The
    squares are of half the stride, to serve wrong tables too.
    """
    half = FAMILIES[family].spatial_stride // 2
    edges = [[i for i in range(size) if i % half in (0, half - 1)] for size in (height, width)]
    places = [(y, x) for y in edges[0] for x in edges[1]]
    clips = random_clip(1, 3, 1, height, width).repeat(len(places) + 1, 1, 1, 1, 1)
    for clip, (y, x) in zip(clips, places, strict=False):
        clip[:, :, y, x] += 3.0
    latents = encode(family, unspread(tiny_vae(family)), clips)[:, :, -1]
    change = (latents[:-1] - latents[-1]).abs().amax(1)
    seen = torch.zeros(height, width, *latents.shape[-2:], dtype=torch.bool)
    rows, columns = (torch.tensor(axis) for axis in zip(*places, strict=True))
    seen[rows, columns] = change > NOTHING * change.max()
    return seen


def moved_by_all_corners(seen: Tensor, stride: int) -> Tensor:
    """(H, W, h, w) -> (rows, columns, h, w): the latents that every corner of a square changes."""
    squares = rearrange(seen, "(a s) (b t) h w -> s t a b h w", s=stride, t=stride)
    corners = [squares[y, x] for y in (0, stride - 1) for x in (0, stride - 1)]
    return torch.stack(corners).all(0)


def alone_in_its_square(rows: int, columns: int) -> Tensor:
    """What it has to be: square (a, b) and latent (a, b), and no other."""
    eye = torch.eye(rows * columns, dtype=torch.bool)
    return eye.reshape(rows, columns, rows, columns)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_latent_is_the_only_one_that_every_pixel_of_its_square_changes(family: str) -> None:
    stride = FAMILIES[family].spatial_stride
    seen = pixels_to_latents(family, 2 * stride, 4 * stride)
    assert seen.shape[2:] == (2, 4)
    assert torch.equal(moved_by_all_corners(seen, stride), alone_in_its_square(2, 4))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_wrong_stride_is_found_out(family: str, factor: float) -> None:
    stride = FAMILIES[family].spatial_stride
    seen = pixels_to_latents(family, 2 * stride, 4 * stride)
    found = moved_by_all_corners(seen, int(stride * factor))
    assert found.shape != (2, 4, 2, 4) or not torch.equal(found, alone_in_its_square(2, 4))
    # Too large a square has no latent of its own; of too small ones, two share a latent.
    owned = found.flatten(2).sum(2)
    assert (owned == 0).all() if factor > 1 else (found.sum((0, 1)) > 1).all()
