"""Run other trainers' released code where fine-tuning of image to video goes wrong, beside ours.

Prints a table. Each cell is what the code does here and now, on tiny inputs: the loss and its
gradient, the loop that takes clips, the function that picks frames. `trainers_apart.py` finds the
trainers; one that is not installed has an empty column.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import torch
from measure import markdown
from torch import Tensor
from trainers_apart import apart

CLEAN = torch.randn(1, 48, 3, 4, 4, generator=torch.Generator().manual_seed(0))
CLIPS, KILLED = 12, 5
YES, NO = "yes", "no"


def main(arguments: Sequence[str] = ()) -> None:
    """Print the table; `arguments`, which the benchmarks have, change nothing."""
    columns: dict[str, Mapping[str, Callable[[], str]]] = {"Motifocal": OURS}
    if apart("diffsynth"):
        columns["DiffSynth-Studio 2.1.12"] = DIFFSYNTH
    if apart("finetrainers"):
        columns["finetrainers 0.2.0"] = FINETRAINERS
    print(markdown(("", *columns), [
        [fault, *(checks[fault]() for checks in columns.values())] for fault in OURS
    ]))  # fmt: skip


def in_loss(loss: Tensor, prediction: Tensor) -> str:
    """Tell whether the first latent of a prediction gets a gradient."""
    (gradient,) = torch.autograd.grad(loss, prediction)
    assert gradient[:, :, 1:].abs().min() > 0
    return YES if gradient[:, :, :1].abs().max() > 0 else NO


def leaf() -> Tensor:
    """Return what a network predicts."""
    return torch.zeros_like(CLEAN).requires_grad_()


# Ours.


def our_first_latent() -> str:
    """Compute the loss of TI2V-5B, whose first latent is the picture's."""
    from motifocal.loss.motion_loss import motion_loss
    from motifocal.training.families.wan import WanTI2V

    family = WanTI2V({}, {})
    draw = family.draw(CLEAN, [torch.Generator().manual_seed(1)])
    prediction = leaf()
    loss = motion_loss(prediction, draw.target, torch.ones_like(CLEAN[:, :1]), family.geometry)
    return in_loss(loss.total.mean(), prediction)


def our_order() -> str:
    """Compare the clips of the steps after a kill with those of an unbroken run."""
    from motifocal.data.shards import indices_of_step

    def order(first: int) -> list[int]:
        return [indices_of_step(step, CLIPS, 1, 0)[0] for step in range(first, CLIPS)]

    return NO if order(KILLED) == order(0)[KILLED:] else YES


def our_rate() -> str:
    """Select frames at a rate from clips of two rates: which times are they at?"""
    from motifocal.data.selection import FrameRule, Timeline, selected

    rule = FrameRule("uniform", 5, 8.0, samples=1, later=4)
    taken = set()
    for rate in (8, 16):
        times = tuple(index / rate for index in range(3 * rate))
        (chosen,) = selected(Timeline(times, 3.0, rate), rule, 32, 32)
        taken.add(tuple(times[i] - times[chosen.indices[0]] for i in chosen.indices))
    return NO if len(taken) == 1 else YES


# DiffSynth-Studio.


def diffsynth_first_latent() -> str:
    """Compute FlowMatchSFTLoss with the picture's latent given, as for TI2V-5B."""
    from diffsynth.diffusion.flow_match import FlowMatchScheduler
    from diffsynth.diffusion.loss import FlowMatchSFTLoss

    scheduler, prediction = FlowMatchScheduler("Wan"), leaf()
    scheduler.set_timesteps(1000, training=True)
    pipe = SimpleNamespace(scheduler=scheduler, torch_dtype=torch.float32, device="cpu",
                           in_iteration_models=(), model_fn=lambda **named: prediction)
    torch.manual_seed(0)
    loss = FlowMatchSFTLoss(pipe, input_latents=CLEAN, first_frame_latents=CLEAN[:, :, :1])
    return in_loss(loss, prediction)


def diffsynth_order() -> str:
    """Kill launch_training_task in the middle and start it again in its folder, as one must."""
    from accelerate import Accelerator
    from diffsynth.diffusion.logger import ModelLogger
    from diffsynth.diffusion.runner import launch_training_task
    from diffsynth.diffusion.training_module import DiffusionTrainingModule

    class Module(DiffusionTrainingModule):
        """Notes which clips come."""

        def __init__(self, killed: int) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))
            self.seen: list[int] = []
            self.killed = killed

        def forward(self, data: int) -> Tensor:
            if len(self.seen) == self.killed:
                raise KeyboardInterrupt
            self.seen.append(data)
            return self.weight.sum()

    class Clips(list[int]):
        load_from_cache = False

    def order(folder: str, killed: int = CLIPS) -> list[int]:
        torch.manual_seed(0)
        module = Module(killed)
        with suppress(KeyboardInterrupt):
            launch_training_task(Accelerator(cpu=True), Clips(range(CLIPS)), module,
                                 ModelLogger(folder), save_steps=1, num_workers=0)
        return module.seen

    with TemporaryDirectory() as unbroken, TemporaryDirectory() as broken:
        whole, begun = order(unbroken), order(broken, KILLED)
        return NO if begun + order(broken) == whole else YES


def diffsynth_rate() -> str:
    """Have LoadVideo read clips of two rates: which frames does it take?"""
    import numpy as np
    from diffsynth.core.data.operators import LoadVideo

    def taken(rate: int, **options: Any) -> list[int]:
        asked: list[int] = []

        def frame(index: int) -> Any:
            asked.append(index)
            return np.zeros((8, 8, 3), np.uint8)

        reader = SimpleNamespace(
            get_meta_data=lambda: {"fps": rate, "duration": 3.0}, count_frames=lambda: 3 * rate,
            get_data=frame, close=lambda: None)  # fmt: skip
        load = LoadVideo(num_frames=5, **options)
        load.get_reader = lambda path: reader
        load("clip")
        return asked

    read = taken(24, fix_frame_rate=True) != taken(48, fix_frame_rate=True)
    if taken(24) != taken(48):
        return NO
    return f"{YES}, unless fix_frame_rate=True" if read else YES


# finetrainers.


def finetrainers_first_latent() -> str:
    """Hand TI2V-5B's kind of network to WanModelSpecification, and take its trainer's loss.

    The trainer has no code for that network: without `image_dim` it takes a Wan as text to video.
    """
    import diffusers
    from finetrainers.models.wan.base_specification import WanModelSpecification

    with TemporaryDirectory() as name:
        folder = Path(name)
        diffusers.WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=12, in_channels=48, out_channels=48,
            text_dim=8, freq_dim=8, ffn_dim=16, num_layers=1,
        ).save_config(folder / "transformer")  # fmt: skip
        diffusers.AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).save_config(
            folder / "vae")  # fmt: skip
        (folder / "model_index.json").write_text(
            '{"transformer": ["diffusers", "WanTransformer3DModel"], '
            '"vae": ["diffusers", "AutoencoderKLWan"]}')  # fmt: skip
        specification = WanModelSpecification(name)
    encoded = {"latents": torch.cat([CLEAN, torch.full_like(CLEAN, -30.0)], 1),
               "latents_mean": torch.zeros(48), "latents_std": torch.ones(48)}  # fmt: skip
    prediction = leaf()
    made, target, _ = specification.forward(
        lambda **named: (prediction,), {}, encoded, torch.full((1, 1, 1, 1, 1), 0.5)
    )
    answer = in_loss((made.float() - target.float()).pow(2).mean(), prediction)
    as_text = specification.transformer_config.image_dim is None
    return answer + (": it trains that model as text to video" if as_text else "")


def finetrainers_order() -> str:
    """Read what its checkpoints hold: the place in the data, and no state of random numbers."""
    import inspect

    from finetrainers.parallel.ptd import PytorchDTensorParallelBackend
    from finetrainers.trainer.sft_trainer.trainer import SFTTrainer

    checkpointer = inspect.getsource(sys.modules[PytorchDTensorParallelBackend.__module__])
    loop = inspect.getsource(SFTTrainer._train)
    order = '"dataloader"' in checkpointer
    draws = "rng_state" in checkpointer or "manual_seed(self.args.seed)" not in loop
    return (NO if order else YES) + ("" if draws else ", but noise is drawn from the start again")


def finetrainers_rate() -> str:
    """Bring a short and a long clip to five frames: its function is told no rate."""
    from finetrainers.functional import resize_to_nearest_bucket_video

    def taken(frames: int) -> list[float]:
        video = torch.arange(frames, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
        made, _ = resize_to_nearest_bucket_video(video, [(5, 8, 8)], "center_crop")
        return made[:, 0, 0, 0].tolist()

    steps = {taken(frames)[1] for frames in (24, 240)}
    return NO if len(steps) == 1 else f"{YES}, frames are spread over the whole clip"


LATENT, ORDER, RATE = ("first latent in TI2V-5B's loss", "order of data lost on resume",
                       "rate of clips unread")  # fmt: skip
OURS = {LATENT: our_first_latent, ORDER: our_order, RATE: our_rate}
DIFFSYNTH = {LATENT: diffsynth_first_latent, ORDER: diffsynth_order, RATE: diffsynth_rate}
FINETRAINERS = {LATENT: finetrainers_first_latent, ORDER: finetrainers_order,
                RATE: finetrainers_rate}  # fmt: skip


if __name__ == "__main__":
    main()
