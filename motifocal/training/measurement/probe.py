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
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from einops import reduce
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from motifocal.data.preparing.captioned_clip import score_of
from motifocal.media.video import to_tensor
from motifocal.models.autoencoder import downsampling_factor, encode
from motifocal.models.image.encoder import encode_images
from motifocal.models.image.inputs import image_inputs
from motifocal.models.pipeline_parts import check_image_encoder
from motifocal.models.schedule import NoiseSchedule
from motifocal.models.unet import TI2VUNet
from motifocal.models.unet_config import UNetConfig
from motifocal.scenes.evaluation.evaluate import EvalPair, Truth, truth_of_pair
from motifocal.scenes.render import FPS, FRAMES
from motifocal.training.checkpoint import mixed_seed
from motifocal.training.loop import TextFeatures

NOISIEST = 999
FRAMES_PER_CHUNK = 16
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProbeImage:
    """The latents of all that can happen to one image.

    `candidates` (N + 1, C, F, h, w): the true clip of each prompt, the static clip last.
    `region` (F, h, w) bool: latents that cover a moving pixel of any of the true clips. What a
    network may be told besides, the same for all prompts of the image: `mask` (1, h, w), how much
    of each latent is in that region; the mean motion `score` of the true clips; `tokens` (N, E) of
    the image. The last two are there where the network wants them.
    """

    candidates: Tensor
    region: Tensor
    mask: Tensor | None = None
    score: float | None = None
    tokens: Tensor | None = None


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
    pairs: Sequence[EvalPair], vae: AutoencoderKL, progress: Callable[[], None] | None = None,
    config: UNetConfig | None = None, image_encoder: CLIPVisionModelWithProjection | None = None,
) -> ProbeSet:  # fmt: skip
    """Encode the true clips of every image among `pairs`, and what a network of `config` wants.

    `image_encoder` makes the image's tokens. `progress` is called once an image.
    """
    check_image_encoder(config, image_encoder)
    stride = downsampling_factor(vae)
    images: dict[str, ProbeImage] = {}
    for pair in pairs:
        if pair.image_id not in images:
            truth = truth_of_pair(pair, FRAMES)
            image = _encode_image(truth, vae, stride)
            if config is not None and config.motion_score:
                image = replace(image, score=mean_score(truth))
            if config is not None and config.takes_encoded_tokens and image_encoder is not None:
                first = to_tensor(truth.still[None])[:, 0][None]
                image = replace(image, tokens=encode_images(image_encoder, first)[0].cpu())
            images[pair.image_id] = image
            if progress is not None:
                progress()
    return ProbeSet(tuple(pairs), images)


def mean_score(truth: Truth) -> float:
    """Return the mean motion score of the true clips of an image: it says nothing of a prompt."""
    return float(np.mean([score_of(clip) for clip in truth.clips]))


def _encode_image(truth: Truth, vae: AutoencoderKL, stride: int) -> ProbeImage:
    clips = (*truth.clips, truth.stands_still())
    latents = [encode(vae, to_tensor(clip)[None].to(vae.device), FRAMES_PER_CHUNK)[0].cpu()
               for clip in clips]
    mask = torch.from_numpy(truth.region).float()
    pattern, sizes = "(h s) (w t) -> h w", {"s": stride, "t": stride}
    region = reduce(mask, pattern, "max", **sizes) > 0
    return ProbeImage(torch.stack(latents), region.expand(latents[0].shape[1:]),
                      reduce(mask, pattern, "mean", **sizes)[None])


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
    check_probed(schedule)
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


def check_probed(schedule: NoiseSchedule) -> None:
    """Raise ValueError for a schedule that predicts noise."""
    if schedule.prediction_type != "v_prediction":
        raise ValueError("prediction_type should be v_prediction to be probed, got "
                         f"{schedule.prediction_type}: predicted noise does not tell x0 at t = 999")


def _predict_clean(
    unet: TI2VUNet, schedule: NoiseSchedule, text: TextFeatures, pairs: Sequence[EvalPair],
    images: Sequence[ProbeImage], seed: int,
) -> Tensor:
    """The clean latents (B, C, F, h, w) that one forward pass at t = 999 predicts, on the CPU."""
    noise = torch.stack([pair_noise(pair, image.candidates.shape[1:], seed)
                         for pair, image in zip(pairs, images, strict=True)]).to(unet.device)
    first = torch.stack([image.candidates[-1, :, 0] for image in images]).to(unet.device)
    times = torch.full((len(pairs),), NOISIEST, device=unet.device)
    features = text([pair.prompt for pair in pairs]).to(unet.device)
    fps = torch.full((len(pairs),), FPS, device=unet.device)
    known = [_stacked([getattr(image, name) for image in images], unet.device)
             for name in ("tokens", "score", "mask")]
    picture = image_inputs(unet.unet_config, first, *known)
    prediction = unet(noise, times, features, fps, **picture)
    return schedule.x0_from(prediction, noise, times).float().cpu()


def _stacked(values: Sequence[Tensor | float | None], device: torch.device) -> Tensor | None:
    """Stack what is known of each image, or None where it is known of none."""
    known = [torch.as_tensor(value) for value in values if value is not None]
    return torch.stack(known).float().to(device) if len(known) == len(values) else None


def pair_noise(pair: EvalPair, shape: torch.Size, seed: int) -> Tensor:
    """The noise (C, F, h, w) of a pair, a function of the seed, the image and the prompt."""
    name = zlib.crc32(pair.file().encode())
    generator = torch.Generator().manual_seed(mixed_seed(seed, name))
    return torch.randn(shape, generator=generator)


def judge_latents(predicted: Tensor, image: ProbeImage, prompt: int) -> ProbeScore:
    """Compare predicted latents (C, F, h, w) with all candidates inside the moving region.

    See `judge_distances`.
    """
    static = image.candidates[-1]
    return judge_distances(_distances(predicted, image), _distances(static, image), prompt)


def judge_distances(distances: Distances, of_static: Distances, prompt: int) -> ProbeScore:
    """Judge by squared distances (N + 1,) of a guess, and of the static clip, to all candidates.

    A tie with another candidate does not follow.
    """
    static = len(distances) - 1
    if not 0 <= prompt < static:
        raise ValueError(f"prompt should be from 0 to {static - 1}, got {prompt}")
    right = distances[prompt]
    others = np.delete(distances, prompt)
    nearest = int(np.argmin(distances))
    follows = bool(right < others.min())
    return ProbeScore(follows, nearest == static and not follows, nearest,
                      float((others.min() - right) / of_static[prompt]))


def _distances(latents: Tensor, image: ProbeImage) -> Distances:
    """Return (N + 1,): mean squared distance to each candidate inside the region."""
    error = (image.candidates - latents).double().square().mean(1)
    return np.asarray(error[:, image.region].mean(1).numpy())
