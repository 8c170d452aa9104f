"""Initial weights for an added input: the network computes the same until it is trained."""

from __future__ import annotations

import torch
from torch import Tensor

from motifocal.models.unet import TI2VUNet
from motifocal.models.unet_config import UNetConfig
from motifocal.training.conditions import check_start


def first_weights(unet: TI2VUNet, config: UNetConfig) -> TI2VUNet:
    """Return a network of `config` that begins with the weights of `unet`, or `unet` itself.

    What is new says nothing at first: input channels and `to_v_ip` are zero and the score's
    embedding ends in zeros. `to_k_ip` is `to_k`, the projection of image tokens is drawn.

    Raises:
        ValueError: they differ in more than inputs, or `config` lacks one that has learnt weights.
    """
    old = unet.unet_config
    if old == config:
        return unet
    check_start(old, config)
    made = TI2VUNet.build(config)
    before, state = unet.state_dict(), made.state_dict()
    for name, tensor in state.items():
        if name == "conv_in.weight":
            _copy_inputs(before[name], old, tensor, config)
        elif name in before:
            tensor.copy_(before[name])
        elif name.endswith(".to_k_ip.weight"):
            tensor.copy_(before[name.replace(".to_k_ip.", ".to_k.")])
        elif name.endswith(".to_v_ip.weight"):
            tensor.zero_()
    return made


def _copy_inputs(before: Tensor, old: UNetConfig, now: Tensor, new: UNetConfig) -> None:
    """Fill the first convolution's weights by what each input channel is of."""
    now.zero_()
    places, had = _channels(new), _channels(old)
    for name, channels in had.items():
        if name in places:
            now[:, places[name]] = before[:, channels]
        elif torch.any(before[:, channels] != 0):
            raise ValueError(f"settings of the network should keep the {name} that unet/ has "
                             "learnt to look at; begin with new weights (--fresh)")


def _channels(config: UNetConfig) -> dict[str, slice]:
    """Which input channels are of what, in the order of the network."""
    sizes = {"noisy latents": config.latent_channels}
    if config.takes_image_latent:
        sizes["image latents"] = config.latent_channels
    if config.motion_mask:
        sizes["motion mask"] = 1
    places, begin = {}, 0
    for name, size in sizes.items():
        places[name] = slice(begin, begin + size)
        begin += size
    return places
