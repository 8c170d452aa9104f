"""The latent grid of every family: lengths, padding, layouts, and the page that shows them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from geometries import clips, geometries, lengths_of
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from tiny_vaes import tiny_vae
from torch import Tensor

from motifocal.loss.focal import motion_focal_loss
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, pool, to_layout, valid_mask

PAGE = Path(__file__).parents[2] / "docs" / "latents.md"
# Of families whose clips are not 1 + a multiple of the stride.
LENGTHS = {"sd": "any number", "svd": "any number", "minimax-h3": "17n + 5",
           "helios": "33n, or 33n + 1 + 4m"}  # fmt: skip


@steady
@given(clips())
def test_every_frame_belongs_to_a_latent_and_latents_follow_each_other(
    clip: tuple[Tensor, LatentGeometry],
) -> None:
    heatmap, geometry = clip
    frames = heatmap.shape[1]
    spans = geometry.covered_frames(frames)
    assert len(spans) == geometry.latent_frames(frames)
    assert len(spans) % geometry.temporal_multiple == 0
    own = spans[geometry.padding(frames) :]
    assert [frame for span in own for frame in range(*span)] == list(range(frames))


@pytest.mark.parametrize(
    ("family", "frames", "latents"),
    [
        ("sd", 16, 16),
        ("svd", 14, 14),
        ("wan", 81, 21),
        ("wan-5b", 121, 31),
        ("cogvideox", 49, 13),
        ("cogvideox-1.5", 81, 22),  # 21 and one in front
        ("cogvideox-1.5", 85, 22),
        ("ltx", 161, 21),
        ("ltx-2", 121, 16),
        ("hunyuan", 129, 33),
        ("hunyuan", 1, 1),
        ("hunyuan-1.5", 121, 31),
        ("kandinsky-5", 121, 31),
        ("kandinsky-6", 125, 32),
        ("cosmos-2.5", 93, 24),
        ("cosmos-3", 189, 48),
        ("sana-video", 81, 21),
        ("motif-video", 121, 31),
        ("skyreels-v1", 97, 25),
        ("skyreels-v2-df", 97, 25),
        ("framepack", 145, 37),  # the image's, and four sections of nine
        ("helios", 99, 27),  # three sections of nine
        ("minimax-h3", 5, 2),
        ("minimax-h3", 124, 37),  # 17 n + 5 frames, 5 n + 2 latents, n = 7
    ],
)
def test_latent_frames_are_those_of_the_published_models(
    family: str, frames: int, latents: int
) -> None:
    assert FAMILIES[family].latent_frames(frames) == latents


@pytest.mark.parametrize(
    ("family", "frames", "nearest"),
    [
        ("wan", 80, "77 or 81"),
        ("wan", 4, "1 or 5"),
        ("ltx", 16, "9 or 17"),
        ("ltx", 0, "1"),
        ("minimax-h3", 17, "5 or 22"),
        ("helios", 65, "62 or 66"),
        ("minimax-h3", 2, "1 or 5"),
        ("sd", 0, "1"),
        ("wan", -7, "1"),
    ],
)
def test_a_wrong_frame_count_is_refused_and_the_nearest_named(
    family: str, frames: int, nearest: str
) -> None:
    with pytest.raises(ValueError, match=rf"\(nearest: {nearest}\), got {frames}"):
        FAMILIES[family].latent_frames(frames)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_takes_its_own_lengths_and_names_the_nearest_to_any_other(family: str) -> None:
    geometry = FAMILIES[family]
    for frames in range(40):
        lengths = lengths_of(geometry, 100)
        if frames in lengths:
            assert len(geometry.covered_frames(frames)) == geometry.latent_frames(frames)
            without_padding = geometry.latent_frames(frames) - geometry.padding(frames)
            assert geometry.frames_of(without_padding) == frames
            continue
        below = max((n for n in lengths if n < frames), default=None)
        above = min(n for n in lengths if n > frames)
        nearest = f"{below} or {above}" if below else str(above)
        for refuses in (geometry.latent_frames, geometry.covered_frames, geometry.padding):
            with pytest.raises(ValueError, match=rf"nearest: {nearest}\), got {frames}$"):
                refuses(frames)


@steady
@given(geometries, st.integers(-3, 40))
def test_the_nearest_counts_that_an_error_names_are_valid_and_nearest(
    geometry: LatentGeometry, frames: int
) -> None:
    valid = lengths_of(geometry, 500)
    if frames in valid:
        geometry.latent_frames(frames)
        return
    with pytest.raises(ValueError, match="nearest") as caught:
        geometry.latent_frames(frames)
    named = str(caught.value).split("nearest: ")[1].split(")")[0].split(" or ")
    neighbours = [max((n for n in valid if n < frames), default=None)]
    neighbours += [min(n for n in valid if n > frames)]
    assert [int(n) for n in named] == [n for n in neighbours if n is not None]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((16, 320, 516), "multiples of 8, got 320x516"),
        ((16, 321, 512), "multiples of 8, got 321x512"),
        ((320, 512), r"heatmap should be \(F, H, W\) or \(B, F, H, W\), got \(320, 512\)"),
        ((1, 1, 16, 320, 512), r"heatmap should be"),
    ],
)
def test_sizes_that_do_not_divide_are_refused(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pool(torch.zeros(shape), FAMILIES["sd"])


def test_a_map_of_whole_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"floating point, got torch.uint8"):
        pool(torch.zeros(16, 32, 32, dtype=torch.uint8), FAMILIES["sd"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spatial_stride": 0}, "spatial_stride should be at least 1, got 0"),
        ({"temporal_stride": -1}, "temporal_stride should be at least 1, got -1"),
        ({"temporal_multiple": 0}, "temporal_multiple should be at least 1, got 0"),
        ({"layout": "b c f h"}, "layout should order the letters"),
        ({"layout": "b c f h h"}, "layout should order the letters"),
    ],
)
def test_an_impossible_geometry_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LatentGeometry(**{"spatial_stride": 8, "temporal_stride": 4, **options})


def test_the_names_of_version_0_1_still_read_and_warn() -> None:
    geometry = FAMILIES["cogvideox-1.5"]
    for name, value in (("stride", 8), ("first", 1), ("later", 4), ("padded_to", 2)):
        with pytest.warns(DeprecationWarning, match=f"LatentGeometry.{name} is now"):
            assert getattr(geometry, name) == value


@steady
@given(clips())
def test_only_a_conditioned_first_latent_is_out_of_the_loss(
    clip: tuple[Tensor, LatentGeometry],
) -> None:
    heatmap, geometry = clip
    frames = heatmap.shape[1]
    valid = valid_mask(geometry, frames)
    latents = geometry.latent_frames(frames)
    assert valid.shape == (1, 1, latents, 1, 1)
    out = [index for index in range(latents) if not valid[0, 0, index, 0, 0]]
    first_and_its_copies = list(range(geometry.padding(frames) + 1))
    assert out == (first_and_its_copies if geometry.conditioned_first else [])


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_meet_the_latents_in_the_models_own_layout(family: str) -> None:
    geometry = FAMILIES[family]
    frames, channels = geometry.frames_of(7 if geometry.block_frames else 3), 4
    generator = torch.Generator().manual_seed(0)
    stride = geometry.spatial_stride
    heatmap = torch.rand(2, frames, stride * 2, stride * 3, generator=generator)
    weight = pool(heatmap, geometry)
    prediction, target = torch.randn(2, 2, channels, *weight.shape[2:], generator=generator)
    valid = valid_mask(geometry, frames)
    plain = motion_focal_loss(prediction, target, weight, valid=valid)
    laid_out = motion_focal_loss(
        to_layout(prediction, geometry),
        to_layout(target, geometry),
        to_layout(weight, geometry),
        valid=to_layout(valid.expand_as(weight), geometry),
    )
    torch.testing.assert_close(laid_out, plain)


def test_tokens_run_over_frames_then_rows_then_columns() -> None:
    weight = torch.arange(2.0 * 3 * 4).reshape(1, 1, 2, 3, 4)
    tokens = to_layout(weight, FAMILIES["ltx"])
    assert torch.equal(tokens, torch.arange(24.0).reshape(1, 24, 1))
    with pytest.raises(ValueError, match=r"weight should be \(B, 1, F', h, w\)"):
        to_layout(tokens, FAMILIES["ltx"])


def test_cogvideox_padding_repeats_the_first_latents_weight_and_stays_in_the_loss() -> None:
    geometry = FAMILIES["cogvideox-1.5"]
    heatmap = torch.rand(1, 9, 8, 8, generator=torch.Generator().manual_seed(0))
    pooled = pool(heatmap, geometry)
    assert pooled.shape[2] == 4
    assert torch.equal(pooled[:, :, 0], pooled[:, :, 1])
    assert torch.equal(pooled[:, :, 1:], pool(heatmap, FAMILIES["cogvideox"]))
    assert valid_mask(geometry, 9).all()


def test_the_page_shows_the_table_as_it_is() -> None:
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    rows = [line.strip("| ").split(" | ") for line in lines]
    shown = {row[0].strip("`"): row[2:] for row in rows}
    expected = {}
    for family, geometry in FAMILIES.items():
        spans = geometry.covered_frames(geometry.frames_of(7 if geometry.block_frames else 3))
        names = [str(a) if b - a == 1 else f"{a}–{b - 1}" for a, b in spans]
        if geometry.temporal_multiple > 1:
            names[0] = f"({names[0]},) {names.pop(1)}"
        expected[family] = [
            ", ".join([*names, "…"]),
            LENGTHS.get(family) or f"1 + {geometry.temporal_stride}n",
            str(geometry.spatial_stride),
            f"`{geometry.layout}`",
            "first latent" if geometry.conditioned_first else "–",
        ]
    assert shown == expected


def test_the_lines_on_the_page_run() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 5
    shapes = {"wan": (2, 16, 3, 8, 12), "cogvideox-1.5": (2, 4, 16, 8, 12), "ltx": (2, 18, 128)}
    names: dict[str, object] = {"weighting": torch.ones(2), "vae": tiny_vae("sd")}
    for block in blocks:
        family = re.findall(r"FAMILIES\[\"(.+?)\"\]|$", block)[0] or "an autoencoder's"
        frames = 17 if family == "ltx" else 9
        names["heatmap"] = torch.rand(2, frames, 64, 96)
        if family in shapes:
            names["prediction"], names["target"] = torch.randn(2, *shapes[family])
        exec(block, names)
        assert torch.as_tensor(names["loss"]).isfinite(), family
    assert names["geometry"] == LatentGeometry(spatial_stride=8, temporal_stride=1)
    assert names["weights"].shape == (2, 1, 9, 8, 12)  # type: ignore[attr-defined]
