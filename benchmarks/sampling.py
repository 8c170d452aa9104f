"""Ten guided DDIM steps: both guidance branches in one batch, beside a call for each.

The network is the scenes preset's, for one video and for four at once. Before anything is timed,
both ways have to give the same video.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from denoiser import Inputs, config, denoiser, inputs
from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns
from torch import Tensor

from motifocal.models.pipeline_parts import guide
from motifocal.models.schedule import ddim_scheduler
from motifocal.models.unet import TI2VUNet
from motifocal.training.presets import SCENES

GUIDANCE = 7.5

#: (network, latents, timestep, conditions) -> guided prediction, like the latents
Predict = Callable[[TI2VUNet, Tensor, Tensor, Inputs], Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=10)
    options.add_argument("--steps", type=int, default=10, help="default: %(default)s")
    values = read(options, arguments)
    unet = denoiser(config(values.quick))
    ways, rows = {}, []
    for videos in (2,) if values.quick else (1, 4):
        given = inputs(unet.unet_config, videos, values.quick)
        made = [sample(unet, given, predict, steps=2) for predict in PREDICTIONS.values()]
        torch.testing.assert_close(*made, rtol=1e-3, atol=1e-3)
        for name, predict in PREDICTIONS.items():
            steps = 2 if values.quick else values.steps
            title = f"{videos} video{'s' if videos > 1 else ''}, {name}"
            ways[title] = partial(sample, unet, given, predict, steps)
    times = take_turns(ways, values.rounds)
    for pair in range(0, len(ways), 2):
        names = list(ways)[pair : pair + 2]
        rows += ratio_rows(times, names, names[0])
    print(machine(values.rounds), markdown(RATIO_HEADER, rows), sep="\n\n")


@torch.no_grad()
def sample(unet: TI2VUNet, given: Inputs, predict: Predict, steps: int) -> Tensor:
    """Latents (B, C, F, h, w) after so many steps from the noise in `given`."""
    scheduler = ddim_scheduler(SCENES.prediction_type, SCENES.zero_terminal_snr, SCENES.use_scale)
    scheduler.set_timesteps(steps)
    x = given.latents
    for t in scheduler.timesteps:
        x = scheduler.step(predict(unet, x, t, given), t, x, return_dict=False)[0]
    return x


def two_calls(unet: TI2VUNet, x: Tensor, t: Tensor, given: Inputs) -> Tensor:
    empty = torch.zeros_like(given.text)
    without, with_text = (
        unet(x, t, text, given.fps, given.picture) for text in (empty, given.text)
    )
    return guide(without, with_text, GUIDANCE)


def one_batch(unet: TI2VUNet, x: Tensor, t: Tensor, given: Inputs) -> Tensor:
    both = replace(given, text=torch.cat([torch.zeros_like(given.text), given.text]))
    fps, picture = given.fps.repeat(2), given.picture.repeat(2, 1, 1, 1)
    predicted = unet(x.repeat(2, 1, 1, 1, 1), t, both.text, fps, picture)
    return guide(*predicted.chunk(2), GUIDANCE)


PREDICTIONS: dict[str, Predict] = {"two calls": two_calls, "one batch": one_batch}


if __name__ == "__main__":
    main()
