"""Videos become latents and back, the same whatever the chunks."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from motifocal.models.autoencoder import decode, encode


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=3,
        norm_num_groups=4,
        scaling_factor=0.5,
    ).eval()


def video(frames: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, frames, 8, 12, generator=generator) * 2 - 1


@pytest.mark.parametrize("frames_per_chunk", [1, 3, 10, 100])
@pytest.mark.parametrize("sampled", [False, True])
def test_chunks_do_not_change_the_latents(
    autoencoder: AutoencoderKL, frames_per_chunk: int, sampled: bool
) -> None:
    def run(chunk: int) -> Tensor:
        generator = torch.Generator().manual_seed(2) if sampled else None
        return encode(autoencoder, video(), chunk, generator)

    whole = run(10)
    assert whole.shape == (2, 3, 5, 4, 6)
    torch.testing.assert_close(run(frames_per_chunk), whole, atol=1e-5, rtol=0)


def test_latents_are_the_scaled_mean_of_each_frame_alone(autoencoder: AutoencoderKL) -> None:
    latents = encode(autoencoder, video(), frames_per_chunk=4)
    with torch.no_grad():
        mean = autoencoder.encode(video()[1, :, 3][None]).latent_dist.mean
    torch.testing.assert_close(latents[1, :, 3], 0.5 * mean[0], atol=1e-5, rtol=0)


def test_samples_differ_from_the_mean_and_follow_the_generator(
    autoencoder: AutoencoderKL,
) -> None:
    mean = encode(autoencoder, video(), 4)
    first, again, other = (
        encode(autoencoder, video(), 4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 1e-2
    assert (first - mean).abs().max() > 1e-2


@pytest.mark.parametrize("frames_per_chunk", [1, 4, 100])
def test_decoding_undoes_the_scaling_frame_by_frame(
    autoencoder: AutoencoderKL, frames_per_chunk: int
) -> None:
    latents = torch.randn(2, 3, 5, 4, 6, generator=torch.Generator().manual_seed(3))
    decoded = decode(autoencoder, latents, frames_per_chunk)
    assert decoded.shape == (2, 3, 5, 8, 12)
    with torch.no_grad():
        frame = autoencoder.decode(latents[1, :, 2][None] / 0.5).sample[0]
    torch.testing.assert_close(decoded[1, :, 2], frame, atol=1e-5, rtol=0)


def test_wrong_shapes_are_refused(autoencoder: AutoencoderKL) -> None:
    with pytest.raises(ValueError, match=r"video should be \(B, 3, F, H, W\), got \(2, 1, 5, 8"):
        encode(autoencoder, video()[:, :1], 4)
    with pytest.raises(ValueError, match="height and width should divide by 2, got 8x11"):
        encode(autoencoder, video()[..., :11], 4)
    with pytest.raises(ValueError, match=r"latents should be \(B, 3, F, h, w\), got \(2, 4, 1"):
        decode(autoencoder, torch.zeros(2, 4, 1, 4, 6), 4)
    with pytest.raises(ValueError, match="frames_per_chunk should be at least 1, got 0"):
        decode(autoencoder, torch.zeros(2, 3, 1, 4, 6), 0)
