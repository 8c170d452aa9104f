"""Measure in one forward pass per pair whether a network follows the prompt.

Letters: B batch, C channels, F latent frames, h w latents, N prompts of one image, P pairs.

At the noisiest timestep, t = 999, the input is pure noise (zero terminal SNR), so the clean latents
x0 that the network predicts are its mean guess of the video given image and prompt, without
guidance: x0 = -v. The guess is compared with the true latents of every prompt of that image and
with the static clip, inside the region where any of them moves. That costs one forward pass where
sampling costs 20 to 50 guided ones, and the margin is continuous where "follows" is 0 or 1.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from einops import reduce
from torch import Tensor

from motifocal.media.video import to_tensor
from motifocal.models.autoencoder import downsampling_factor, encode
from motifocal.models.schedule import NoiseSchedule
from motifocal.models.unet import TI2VUNet
from motifocal.scenes.evaluation.evaluate import EvalPair, Truth, truth_of_pair
from motifocal.scenes.render import FPS, FRAMES
from motifocal.training.checkpoint import mixed_seed
from motifocal.training.loop import TextFeatures

NOISIEST = 999
FRAMES_PER_CHUNK = 16


@dataclass(frozen=True)
class ProbeImage:
    """The latents of all that can happen to one image.

    `candidates` (N + 1, C, F, h, w): the true clip of each prompt, the static clip last.
    `region` (F, h, w) bool: latents that cover a moving pixel of any of the true clips.
    """

    candidates: Tensor
    region: Tensor


@dataclass(frozen=True)
class ProbeSet:
    """Evaluation pairs and, by image id, what can happen to their images."""

    pairs: tuple[EvalPair, ...]
    images: dict[str, ProbeImage]


@dataclass(frozen=True)
class ProbeScore:
    """The judgement of one pair.

    `nearest` is the number of the nearest candidate (N is the static clip). `margin` is the squared
    distance to the nearest of the other candidates minus that to the right one, over the squared
    distance between the right one and the static clip: 1 at most, -1 for the static clip itself.
    """

    follows: bool
    static: bool
    nearest: int
    margin: float


def encode_probe_set(
    pairs: Sequence[EvalPair], vae: AutoencoderKL, progress: Callable[[], None] | None = None
) -> ProbeSet:
    """Encode the true clips of every image among `pairs`; `progress` is called once an image."""
    stride = downsampling_factor(vae)
    images: dict[str, ProbeImage] = {}
    for pair in pairs:
        if pair.image_id not in images:
            images[pair.image_id] = _encode_image(truth_of_pair(pair, FRAMES), vae, stride)
            if progress is not None:
                progress()
    return ProbeSet(tuple(pairs), images)


def _encode_image(truth: Truth, vae: AutoencoderKL, stride: int) -> ProbeImage:
    clips = (*truth.clips, truth.stands_still())
    latents = [encode(vae, to_tensor(clip)[None].to(vae.device), FRAMES_PER_CHUNK)[0].cpu()
               for clip in clips]
    mask = torch.from_numpy(truth.region).float()
    region = reduce(mask, "(h s) (w t) -> h w", "max", s=stride, t=stride) > 0
    return ProbeImage(torch.stack(latents), region.expand(latents[0].shape[1:]))


@torch.no_grad()
def probe(
    unet: TI2VUNet, schedule: NoiseSchedule, text: TextFeatures, probe_set: ProbeSet, *,
    batch: int = 16, seed: int = 0, progress: Callable[[int], None] | None = None,
) -> list[ProbeScore]:
    """Judge every pair of `probe_set`, in its order, on the device of `unet`.

    The noise is a function of (seed, image, prompt), so every network sees the same. `progress` is
    called with the number of pairs that each forward pass has done.

    Raises:
        ValueError: the schedule predicts noise, which says nothing of the video at t = 999.
    """
    if schedule.prediction_type != "v_prediction":
        raise ValueError("prediction_type should be v_prediction to be probed, got "
                         f"{schedule.prediction_type}: predicted noise does not tell x0 at t = 999")
    unet.eval()
    scores: list[ProbeScore] = []
    for begin in range(0, len(probe_set.pairs), batch):
        pairs = probe_set.pairs[begin : begin + batch]
        images = [probe_set.images[pair.image_id] for pair in pairs]
        predicted = _predict_clean(unet, schedule, text, pairs, images, seed)
        scores += [judge_latents(x0, image, pair.action)
                   for x0, image, pair in zip(predicted, images, pairs, strict=True)]
        if progress is not None:
            progress(len(pairs))
    return scores


def _predict_clean(
    unet: TI2VUNet, schedule: NoiseSchedule, text: TextFeatures, pairs: Sequence[EvalPair],
    images: Sequence[ProbeImage], seed: int,
) -> Tensor:
    """The clean latents (B, C, F, h, w) that one forward pass at t = 999 predicts, on the CPU."""
    noise = torch.stack([_noise(pair, image.candidates.shape[1:], seed)
                         for pair, image in zip(pairs, images, strict=True)]).to(unet.device)
    first = torch.stack([image.candidates[-1, :, 0] for image in images]).to(unet.device)
    times = torch.full((len(pairs),), NOISIEST, device=unet.device)
    features = text([pair.prompt for pair in pairs]).to(unet.device)
    fps = torch.full((len(pairs),), FPS, device=unet.device)
    prediction = unet(noise, times, features, fps, image_latent=first)
    return schedule.x0_from(prediction, noise, times).float().cpu()


def _noise(pair: EvalPair, shape: torch.Size, seed: int) -> Tensor:
    name = zlib.crc32(pair.file().encode())
    generator = torch.Generator().manual_seed(mixed_seed(seed, name))
    return torch.randn(shape, generator=generator)


def judge_latents(predicted: Tensor, image: ProbeImage, asked: int) -> ProbeScore:
    """Compare predicted latents (C, F, h, w) with all candidates inside the moving region.

    A tie with another candidate does not follow.
    """
    distances = _distances(predicted, image)
    static = len(distances) - 1
    if not 0 <= asked < static:
        raise ValueError(f"asked should be from 0 to {static - 1}, got {asked}")
    right = distances[asked]
    others = np.delete(distances, asked)
    scale = _distances(image.candidates[-1], image)[asked]
    nearest = int(np.argmin(distances))
    follows = bool(right < others.min())
    return ProbeScore(follows, nearest == static and not follows, nearest,
                      float((others.min() - right) / scale))


def _distances(latents: Tensor, image: ProbeImage) -> npt.NDArray[np.float64]:
    """Return (N + 1,): mean squared distance to each candidate inside the region."""
    error = (image.candidates - latents).double().square().mean(1)
    return np.asarray(error[:, image.region].mean(1).numpy())
