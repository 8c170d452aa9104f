"""A step of fine-tuning a LoRA beside the same step in two other trainers.

The same tiny Wan 2.1 image-to-video network (random weights, float32), one clip, LoRA of rank 16 on
the attention's projections, gradient checkpointing, AdamW. A step is what each trainer's loop does:
noise, forward, loss, backward, clipping where it clips, optimiser. The clip is encoded already and
read from a file, as all three do. The other trainers are those that `trainers_apart.py` finds.

Peak memory is the resident memory at the highest point of a step less that before it, in a process
for each way; a first step, in which code is loaded and the optimiser makes its state, goes before.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns
from torch import Tensor
from trainers_apart import apart

RANK, RATE = 16, 1e-6
TEXT, PICTURE = (512, 64), (257, 1280)  # tokens and their width, of a prompt and of a picture
LATENTS, QUICK = (16, 5, 24, 24), (16, 2, 8, 8)  # C, F', h, w
SHAPE = {"heads": 2, "head": 128, "ffn": 1024, "layers": 4}
Step = Callable[[], object]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=9)
    options.add_argument("--memory-of", help="print the peak memory of one way's step, in bytes")
    values = read(options, arguments)
    latents = QUICK if values.quick else LATENTS
    ways = available()
    with TemporaryDirectory() as folder:
        if values.memory_of is not None:
            step = ways[values.memory_of](Path(folder), latents)
            print(peak_memory(step))
            return
        steps = {name: make(Path(folder) / str(number), latents)
                 for number, (name, make) in enumerate(ways.items())}  # fmt: skip
        times = take_turns(steps, values.rounds)
    names = [*ways]
    measured = names[:1] if values.quick else names
    memory = {name: f"{memory_of(name, values.quick) / 2**20:.1f} MiB" for name in measured}
    rows = [[*row, memory.get(row[0], "")] for row in ratio_rows(times, names, names[0])]
    print(machine(values.rounds), markdown((*RATIO_HEADER, "peak memory"), rows), sep="\n\n")


def available() -> dict[str, Callable[[Path, tuple[int, ...]], Step]]:
    """Return how to make each way's step, in a folder and for latents of a size."""
    ways = {"Motifocal, λ = 1": ours(1.0), "Motifocal, plain loss": ours(0.0)}
    if apart("diffsynth"):
        ways["DiffSynth-Studio 2.1.12"] = diffsynth
    if apart("finetrainers"):
        ways["finetrainers 0.2.0"] = finetrainers
    return ways


def memory_of(name: str, quick: bool) -> int:
    """Measure a way in a process of its own."""
    command = [sys.executable, str(Path(__file__)), "--memory-of", name, *["--quick"] * quick]
    # Blocks of any size go back to the system as soon as they are free.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return int(result.stdout.split()[-1])


def peak_memory(step: Step) -> int:
    """Return by how many bytes the resident memory grows in steps after the first; Linux alone."""
    step()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    for _ in range(3):
        step()
    return resident("VmHWM") - before


def resident(field: str) -> int:
    """Return a number of bytes that the system tells of this process."""
    match = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise ValueError(f"/proc/self/status should hold {field}")
    return 1024 * int(match[1])


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def condition(latents: tuple[int, ...]) -> Tensor:
    """Return the picture's 4 channels of mask and its latents."""
    mask = torch.zeros(4, *latents[1:])
    mask[:, 0] = 1
    return torch.cat([mask, random(*latents, seed=2)])


def transformer() -> Any:
    """Return diffusers' Wan 2.1 image to video, small."""
    import diffusers

    torch.manual_seed(0)
    return diffusers.WanTransformer3DModel(
        num_attention_heads=SHAPE["heads"], attention_head_dim=SHAPE["head"], in_channels=36,
        out_channels=16, text_dim=TEXT[1], freq_dim=256, ffn_dim=SHAPE["ffn"],
        num_layers=SHAPE["layers"], image_dim=PICTURE[1],
        added_kv_proj_dim=SHAPE["heads"] * SHAPE["head"],
    )  # fmt: skip


def ours(motif_weight: float) -> Callable[[Path, tuple[int, ...]], Step]:
    """Return how to make a step of `motifocal train`, on a cache on disk."""

    def make(folder: Path, latents: tuple[int, ...]) -> Step:
        from accelerate import Accelerator

        from motifocal.training.families.wan import Wan21
        from motifocal.training.finetune.run import optimiser_step, start
        from motifocal.training.finetune.settings import finetune_settings

        family = Wan21({}, {"scheduler": {"flow_shift": 5.0}})
        settings = finetune_settings({
            "model": "random", "lora_rank": RANK, "motif_weight": motif_weight,
            "precision": "float32", "learning_rate": RATE, "steps": 10**6,
            "lora_targets": ["to_q", "to_k", "to_v", "to_out.0"],
        })  # fmt: skip
        run = start(folder, cache(folder / "cache", latents), family, "transformer", transformer(),
                    settings, Accelerator(cpu=True))  # fmt: skip
        return lambda: optimiser_step(run)

    return make


def cache(folder: Path, latents: tuple[int, ...]) -> Any:
    """Return a cache of one random clip."""
    from safetensors.torch import save_file

    from motifocal.motion.settings import HeatmapSettings
    from motifocal.training.finetune.cache import (
        CachedClip,
        CacheSettings,
        ClipCache,
        clip_path,
        text_path,
    )
    from motifocal.training.finetune.prepare import lock_cache, write_index

    frames, height, width = 4 * latents[1] - 3, 8 * latents[2], 8 * latents[3]
    lock_cache(folder, CacheSettings("random", "wan-2.1", "", "float32", frames, height, width,
                                     16.0, 1, HeatmapSettings()))  # fmt: skip
    save_file({"latents": random(*latents, seed=1), "condition": condition(latents),
               "image": random(*PICTURE, seed=3), "weight": random(*latents[1:], seed=4).sigmoid()},
              clip_path(folder, "clip"))  # fmt: skip
    save_file({"text": random(*TEXT, seed=5)}, text_path(folder, "text"))
    write_index(folder, [CachedClip("clip", "", 16.0, "", "", "clip", "text")], [])
    return ClipCache(folder)


def on_disk(folder: Path, tensors: dict[str, Tensor]) -> Callable[[], dict[str, Tensor]]:
    """Return how to read a clip, in the format of the other two trainers' caches."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(tensors, folder / "clip.pt")
    return lambda: torch.load(folder / "clip.pt", weights_only=True)


def diffsynth(folder: Path, latents: tuple[int, ...]) -> Step:
    """Return the step of DiffSynth-Studio's launch_training_task with its FlowMatchSFTLoss."""
    from types import SimpleNamespace

    from diffsynth.diffusion.flow_match import FlowMatchScheduler
    from diffsynth.diffusion.loss import FlowMatchSFTLoss
    from diffsynth.diffusion.training_module import DiffusionTrainingModule
    from diffsynth.models.wan_video_dit import WanModel
    from diffsynth.pipelines.wan_video import model_fn_wan_video

    torch.manual_seed(0)
    network = WanModel(
        dim=SHAPE["heads"] * SHAPE["head"], in_dim=36, ffn_dim=SHAPE["ffn"], out_dim=16,
        text_dim=TEXT[1], freq_dim=256, eps=1e-6, patch_size=(1, 2, 2), num_heads=SHAPE["heads"],
        num_layers=SHAPE["layers"], has_image_input=True,
    ).requires_grad_(False)  # fmt: skip
    module = DiffusionTrainingModule()
    module.dit = module.add_lora_to_model(network, ["q", "k", "v", "o"], RANK)
    scheduler = FlowMatchScheduler("Wan")
    scheduler.set_timesteps(1000, training=True)
    pipe = SimpleNamespace(scheduler=scheduler, torch_dtype=torch.float32, dit=module.dit.train(),
                           device="cpu", in_iteration_models=("dit",), model_fn=model_fn_wan_video)
    read_clip = on_disk(folder, {
        "input_latents": random(*latents, seed=1)[None], "y": condition(latents)[None],
        "context": random(*TEXT, seed=5)[None], "clip_feature": random(*PICTURE, seed=3)[None],
    })  # fmt: skip
    optimizer = torch.optim.AdamW(module.trainable_modules(), lr=RATE, weight_decay=1e-2)

    def step() -> None:
        FlowMatchSFTLoss(pipe, **read_clip(), use_gradient_checkpointing=True).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def finetrainers(folder: Path, latents: tuple[int, ...]) -> Step:
    """Return the step of finetrainers' SFTTrainer._train with its WanModelSpecification."""
    from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler
    from finetrainers import utils
    from finetrainers.models.wan.base_specification import WanModelSpecification
    from finetrainers.optimizer import get_optimizer
    from finetrainers.parallel import ParallelBackendEnum
    from peft import LoraConfig

    network = transformer()
    network.save_config(folder / "transformer")
    AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).save_config(
        folder / "vae")  # fmt: skip
    (folder / "model_index.json").write_text(
        '{"transformer": ["diffusers", "WanTransformer3DModel"], '
        '"vae": ["diffusers", "AutoencoderKLWan"]}')  # fmt: skip
    specification = WanModelSpecification(str(folder), transformer_dtype=torch.float32)
    network.requires_grad_(False)
    network.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights=True,
                                   target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    network = utils.apply_activation_checkpointing(network, checkpointing_type="full")
    network.train()
    optimizer = get_optimizer(ParallelBackendEnum.ACCELERATE, "adamw", [network], RATE)
    scheduler = FlowMatchEulerDiscreteScheduler()
    sigmas = utils.get_scheduler_sigmas(scheduler)
    picture = condition(latents)[None]
    read_clip = on_disk(folder, {
        "latents": torch.cat([random(*latents, seed=1), torch.full(latents, -30.0)])[None],
        "latents_mean": torch.zeros(16), "latents_std": torch.ones(16),
        "latent_condition": torch.cat([picture[:, 4:], torch.full_like(picture[:, 4:], -30.0)], 1),
        "latent_condition_mask": picture[:, :4],
        "encoder_hidden_states_image": random(*PICTURE, seed=3)[None],
        "encoder_hidden_states": random(*TEXT, seed=5)[None],
    })  # fmt: skip

    def step() -> None:
        encoded = read_clip()
        text = {"encoder_hidden_states": encoded.pop("encoder_hidden_states")}
        drawn = utils.prepare_sigmas(scheduler, sigmas, 1, 1000)
        drawn = utils.expand_tensor_dims(drawn, 5)
        prediction, target, drawn = specification.forward(network, text, encoded, drawn)
        weights = utils.prepare_loss_weights(scheduler, sigmas=drawn)
        weights = utils.expand_tensor_dims(weights, prediction.ndim)
        loss = weights.float() * (prediction.float() - target.float()).pow(2)
        loss.mean(list(range(1, loss.ndim))).mean().backward()
        utils.torch._clip_grad_norm_while_handling_failing_dtensor_cases(
            [*network.parameters()], 1.0, foreach=True)  # fmt: skip
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    main()
