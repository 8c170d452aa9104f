"""Our U-Net beside diffusers' own UNet3DConditionModel with the same sizes and weights.

Both have the scenes preset's sizes; the batch is 4 clips of 8 x 8 x 16 latents. Forward alone and
forward with backward, with torch's fused attention and with plain matrix products, in float32 and
(ours) under bfloat16 autocast. Before anything is timed, both have to give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from denoiser import Inputs, config, denoiser, inputs
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from motifocal.models.unet import TI2VUNet, UNetConfig

# diffusers fixes the heads of its first temporal attention.
INPUT_HEADS = 8

Context = Callable[[], AbstractContextManager[Any]]
CONTEXTS: dict[str, tuple[Context, ...]] = {
    "fused attention": (),
    "plain attention": (partial(sdpa_kernel, SDPBackend.MATH),),
}
BFLOAT16: Context = partial(torch.autocast, "cpu", torch.bfloat16)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=10)
    options.add_argument("--batch", type=int, default=4, help="clips; default: %(default)s")
    values = read(options, arguments)
    sizes = replace(config(values.quick), input_attention_heads=INPUT_HEADS)
    ours = denoiser(sizes)
    theirs = diffusers_network(sizes, ours)
    given = inputs(sizes, 1 if values.quick else values.batch, values.quick)
    calls = {"diffusers": partial(call_theirs, theirs), "ours": partial(call_ours, ours)}
    check_equal(calls, given)
    passes = {"forward": forward, "forward and backward": forward_and_backward}
    ways = {}
    for title, run in passes.items():
        for attention, contexts in CONTEXTS.items():
            for name, call in calls.items():
                ways[f"{title}: {name}, {attention}"] = partial(run, call, given, contexts)
            ways[f"{title}: ours in bfloat16, {attention}"] = partial(
                run, calls["ours"], given, (*contexts, BFLOAT16)
            )
    times = take_turns(ways, values.rounds)
    rows = []
    for title in passes:
        names = [name for name in ways if name.startswith(f"{title}: ")]
        rows += ratio_rows(times, names, f"{title}: diffusers, fused attention")
    print(machine(values.rounds), markdown(RATIO_HEADER, rows), sep="\n\n")


def diffusers_network(sizes: UNetConfig, ours: TI2VUNet) -> UNet3DConditionModel:
    """diffusers' network with the same weights; it has no frame rate."""
    attends = [("CrossAttn" if yes else "") for yes in sizes.attention]
    network = UNet3DConditionModel(
        in_channels=2 * sizes.latent_channels,
        out_channels=sizes.latent_channels,
        down_block_types=tuple(f"{kind}DownBlock3D" for kind in attends),
        up_block_types=tuple(f"{kind}UpBlock3D" for kind in reversed(attends)),
        block_out_channels=sizes.block_out_channels,
        layers_per_block=sizes.layers_per_block,
        norm_num_groups=sizes.norm_num_groups,
        cross_attention_dim=sizes.cross_attention_dim,
        attention_head_dim=sizes.head_width,
    )
    weights = {k: v for k, v in ours.state_dict().items() if not k.startswith("fps_embedding")}
    network.load_state_dict(weights, strict=True)
    return network.eval()


def call_ours(network: TI2VUNet, given: Inputs) -> Tensor:
    return network(given.latents, given.timesteps, given.text, given.fps, given.picture)


def call_theirs(network: UNet3DConditionModel, given: Inputs) -> Tensor:
    picture = given.picture[:, :, None].expand_as(given.latents)
    sample = torch.cat([given.latents, picture], dim=1)
    return network(sample, given.timesteps, given.text, return_dict=False)[0]


def check_equal(calls: dict[str, Callable[[Inputs], Tensor]], given: Inputs) -> None:
    """Raise AssertionError unless both networks compute the same."""
    with torch.no_grad():
        torch.testing.assert_close(
            calls["ours"](given), calls["diffusers"](given), rtol=1e-3, atol=1e-4
        )


def forward(call: Callable[[Inputs], Tensor], given: Inputs, contexts: Sequence[Context]) -> None:
    with ExitStack() as stack, torch.no_grad():
        for context in contexts:
            stack.enter_context(context())
        call(given)


def forward_and_backward(
    call: Callable[[Inputs], Tensor], given: Inputs, contexts: Sequence[Context]
) -> None:
    # Gradients pile up in place over the rounds, for all networks alike.
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context())
        loss = call(given).float().square().mean()
    loss.backward()


if __name__ == "__main__":
    main()
