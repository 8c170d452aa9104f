"""Determine a video autoencoder's latent grid by changing frames and pixels of its input.

Letters: F frames, H W pixels, C channels, F' latent frames, h w latents.

Encoders of video are causal: a frame changes the latent that covers it and later ones, never an
earlier one. So the first latent that changes covers the frame that was changed. A group norm over
the clip hides that, since it divides by the spread of all frames; it is taken out for the probe.
Where other parts still carry every frame to the first latent, the grid over time cannot be told,
and the ratios that the class states are taken instead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn

#: Frames of the clips on which a grid is guessed, and the most on which a guess is checked. They
#: hold two blocks of 17 frames and more than two batches of 16.
GUESSED_ON = (41, 40, 39, 33)
CHECKED_CLIPS = 4
#: Side in pixels of the images that give the spatial stride: every power of two to 64 divides it.
SIDE = 128
#: Least change that counts, of the largest; float64 rounds to a thousand times less.
NOTHING = 1e-10
#: Latents between where pixels lie and the centre of what they change.
MOST_OFFSET = 1.5


class Grid(Protocol):
    """What the probe asks of a ``latent_grid.LatentGeometry``."""

    @property
    def frame_rule(self) -> str: ...

    def nearest_frames(self, frames: int) -> list[int]: ...

    def covered_frames(self, frames: int) -> list[tuple[int, int]]: ...


G = TypeVar("G", bound=Grid)
#: Strides and blocks -> a geometry: the class LatentGeometry, which this module cannot import.
Make = Callable[..., G]


@dataclass(frozen=True)
class ProbedGrid(Generic[G]):
    """A geometry, whether perturbation showed its frames, and what was tried, a line each."""

    geometry: G
    measured: bool
    notes: tuple[str, ...]


class _Covering(NamedTuple):
    """For each frame of a clip the first latent that changes with it, and how many there are."""

    first: list[int | None]
    latents: int


class _Encoder:
    """An autoencoder's encoding in float64, without group norms: clip -> mean of the latents."""

    def __init__(self, autoencoder: nn.Module) -> None:
        model: Any = copy.deepcopy(autoencoder)
        self.model = model.double().eval().requires_grad_(False)
        for module in list(self.model.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.GroupNorm):
                    setattr(module, name, nn.Identity())
        if hasattr(self.model, "use_tiling"):
            self.model.disable_tiling()  # tiles are blended where they overlap
        encoder = getattr(self.model, "encoder", self.model)
        self.reads_clips = any(isinstance(module, nn.Conv3d) for module in encoder.modules())

    @torch.no_grad()
    def __call__(self, clip: Tensor) -> Tensor:
        """Encode (1, 3, F, H, W) to (C, F', h, w)."""
        if not self.reads_clips:
            images = rearrange(clip, "1 c f h w -> f c h w")
            return rearrange(_mean(self.model.encode(images)), "f c h w -> c f h w")
        return _mean(self.model.encode(clip))[0]


def _mean(encoded: Any) -> Tensor:
    posterior = getattr(encoded, "latent_dist", None)
    if posterior is None:
        latents: Tensor = encoded.latent
    elif hasattr(posterior, "mean"):
        latents = posterior.mean
    else:  # of an autoencoder without noise
        latents = posterior.mode()
    return latents


def probe_grid(autoencoder: nn.Module, make: Make[G]) -> ProbedGrid[G]:
    """Find the geometry of a diffusers autoencoder, which is left as it is.

    Encodes about 100 clips of at most 41 frames and a few latents: seconds for a small
    autoencoder, minutes on a CPU for a published one.

    Raises:
        ValueError: no grid of LatentGeometry's kind explains what it does, and the class states no
            ratios.
    """
    encode = _Encoder(autoencoder)
    stride = _spatial_stride(encode)
    size = (2 * stride, 2 * stride)  # reflecting paddings need two latents a side
    if not encode.reads_clips:
        return ProbedGrid(make(stride, 1), True,
                          ("encodes images one by one: a latent for each frame",))  # fmt: skip
    first_changed = cache(partial(_first_changed, encode, size=size))
    notes = []
    for frames in GUESSED_ON:
        covering = first_changed(frames)
        if covering is None:
            notes.append(f"takes no clip of {frames} frames")
            continue
        if len(set(covering.first) - {None}) < 2:
            notes.append(f"{frames} frames: every frame changes the first latent")
            continue
        for guess in _guesses(make, stride, covering.first):
            fault = _contradiction(first_changed, guess)
            if fault is None:
                return ProbedGrid(guess, True, (*notes, f"holds on clips of "
                                  f"{_in_words(_checked_lengths(guess))} frames"))  # fmt: skip
            notes.append(f"{guess.frame_rule} frames: {fault}")
    return _stated(autoencoder, make, stride, notes)


def _spatial_stride(encode: _Encoder) -> int:
    """Return H / h, and check that the latents that a square changes lie where it lies."""
    base, latents = _shortest_clip(encode)
    rows, columns = latents.shape[-2:]
    stride = SIDE // rows
    if SIDE % rows or (rows * stride, columns * stride) != (SIDE, 2 * SIDE):
        raise ValueError(f"latents of {SIDE}x{2 * SIDE} pixels should divide them, got "
                         f"{rows}x{columns}")  # fmt: skip
    other = _noise(base.shape[2], SIDE, SIDE, seed=1)
    axis = torch.arange(columns, dtype=torch.float64)
    squares = torch.arange(columns // 4, columns - columns // 4)  # away from the margins
    centres = []
    for column in squares.tolist():
        changed = base.clone()
        changed[..., column * stride : (column + 1) * stride] = other[..., :stride]
        moved = (encode(changed) - latents).square().sum((0, 1, 2))
        centres.append(float((moved * axis).sum() / moved.sum()))
    offset = torch.tensor(centres, dtype=torch.float64) - squares
    # Half a latent where images are padded on one side before they are halved.
    if not offset.abs().max() <= MOST_OFFSET:  # nan where nothing changes
        raise ValueError(f"{stride} pixels should change the latent that covers them most, got "
                         f"latents {offset.abs().max():.1f} away")  # fmt: skip
    return stride


def _shortest_clip(encode: _Encoder) -> tuple[Tensor, Tensor]:
    """Return a clip of as few frames as the encoder takes, and its latents."""
    reason = "no latents"
    for frames in range(1, max(GUESSED_ON) + 1):
        clip = _noise(frames, SIDE, 2 * SIDE)
        try:
            latents = encode(clip)
        except (ValueError, RuntimeError) as error:  # encoders refuse a number of frames by both
            reason = str(error)
            continue
        if latents.shape[1]:
            return clip, latents
    raise ValueError(f"an autoencoder should encode a clip of at most {max(GUESSED_ON)} frames of "
                     f"{SIDE}x{2 * SIDE} pixels, got: {reason}")  # fmt: skip


def _first_changed(encode: _Encoder, frames: int, size: tuple[int, int]) -> _Covering | None:
    """Encode a clip and what it becomes with another image in each frame; None where refused."""
    base, other = _noise(frames, *size), _noise(frames, *size, seed=1)
    try:
        latents = encode(base)
    except (ValueError, RuntimeError):
        return None  # encoders refuse a number of frames with either
    changes = []
    for frame in range(frames):
        clip = base.clone()
        clip[:, :, frame] = other[:, :, frame]
        changes.append((encode(clip) - latents).abs().amax((0, 2, 3)))
    change = torch.stack(changes)  # (F, F')
    seen = change > NOTHING * change.max()
    return _Covering([int(row.int().argmax()) if row.any() else None for row in seen],
                     change.shape[1])  # fmt: skip


def _guesses(
    make: Make[G], stride: int, covering: Sequence[int | None]
) -> Iterator[G]:
    """Yield the geometries that a map from frames to latents suggests, the simplest first."""
    counts = [covering.count(latent) for latent in sorted({x for x in covering if x is not None})]
    temporal = max(counts)
    yield make(stride, temporal)
    begins = [sum(counts[:index]) for index, count in enumerate(counts) if count == 1]
    if len(begins) > 1 and temporal > 1:
        block = min(later - earlier for earlier, later in pairwise(begins))
        if (block - 1) % temporal == 0:
            yield make(stride, temporal, block_frames=block)
            for last in range(1, block, temporal):
                yield make(stride, temporal, block_frames=block, last_block_frames=last)


def _checked_lengths(geometry: Grid) -> list[int]:
    """Choose numbers of frames on which a guess is checked: the shortest clips, and a long one."""
    whole = [n for n in range(2, max(GUESSED_ON) + 1) if geometry.nearest_frames(n) == [n]]
    short = whole[: CHECKED_CLIPS - 1]
    return short + [n for n in whole[-1:] if n not in short]


def _contradiction(
    first_changed: Callable[[int], _Covering | None], geometry: Grid
) -> str | None:
    """Say in which clip a latent covers other frames than a geometry says; None where none does."""
    for frames in _checked_lengths(geometry):
        spans = geometry.covered_frames(frames)
        expected = [index for index, (start, stop) in enumerate(spans) for _ in range(start, stop)]
        covering = first_changed(frames)
        if covering is None:
            return f"a clip of {frames} is refused"
        if covering.first != expected:
            frame = next(i for i, pair in enumerate(zip(covering.first, expected, strict=True))
                         if pair[0] != pair[1])  # fmt: skip
            return (f"of {frames}, frame {frame} should change latent {expected[frame]} first, "
                    f"got {covering.first[frame]}")  # fmt: skip
        if covering.latents != len(spans):
            return (f"a clip of {frames} should give {len(spans)} latents, "
                    f"got {covering.latents}")  # fmt: skip
    return None


def _stated(
    autoencoder: Any, make: Make[G], stride: int, notes: Sequence[str]
) -> ProbedGrid[G]:
    """Return the grid by the temporal ratio that the class or its settings state."""
    places = (autoencoder, getattr(autoencoder, "config", None))
    names = ("temporal_compression_ratio", "scale_factor_temporal")
    ratios = [getattr(place, name, None) for place in places for name in names]
    ratio = next((int(ratio) for ratio in ratios if ratio), None)
    if ratio is None:
        raise ValueError(f"no latent grid explains {type(autoencoder).__name__}: "
                         f"{'; '.join(notes)}")  # fmt: skip
    return ProbedGrid(make(stride, ratio), False,
                      (*notes, f"{ratio} frames a latent is what the class states"))  # fmt: skip


def _noise(frames: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Draw (1, 3, F, H, W) in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 3, frames, height, width, generator=generator, dtype=torch.float64)


def _in_words(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths))
