"""The noise schedule: noised latents, training targets, and DDIM steps.

With s the x0 factor of the base model (1 where it is off) and a the cumulative alpha:
    x_t = sqrt(a) s x0 + sqrt(1 - a) noise        v = sqrt(a) noise - sqrt(1 - a) s x0
VideoCrafter2 was trained with s falling from 1 to 0.7 over t < 400 and 0.7 after ("use_scale").
DynamiCrafter has the same s ("use_dynamic_rescale") and differs in the last step of sampling.
diffusers has no counterpart, so its DDIM scheduler is subclassed here.

Shape letters: B batch, F frames, C latent channels, h w latents, T training timesteps.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput
from diffusers.schedulers.scheduling_utils import (
    SchedulerMixin as SchedulerMixin,  # `DiffusionPipeline` looks here for the scheduler's base
)
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from motifocal.models.folder_files import flow_shift

PredictionType = Literal["epsilon", "v_prediction"]
#: The share of the timesteps at which sampling begins at the least, lest `late_start` says so.
NOISY = 0.85


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """Noising and its inverse for any `(B, C, F, h, w)`; the arithmetic is float32 throughout.

    `t` is `(B,)` int64 or one timestep, 0 to T - 1. `velocity` and `x0_from` are safe where
    `alphas_cumprod` is 0 (zero terminal SNR); an epsilon schedule that holds a 0 is refused.
    """

    alphas_cumprod: Tensor  # (T,)
    scale: Tensor  # (T,) factor of x0
    prediction_type: PredictionType

    def __post_init__(self) -> None:
        if self.alphas_cumprod.shape != self.scale.shape or self.scale.ndim != 1:
            raise ValueError(
                f"alphas_cumprod and scale should be (T,) both, got "
                f"{tuple(self.alphas_cumprod.shape)} and {tuple(self.scale.shape)}"
            )
        if self.prediction_type not in ("epsilon", "v_prediction"):
            raise ValueError(
                f"prediction_type should be epsilon or v_prediction, got {self.prediction_type!r}"
            )
        if self.prediction_type == "epsilon" and not bool((self.alphas_cumprod > 0).all()):
            raise ValueError(
                "zero terminal SNR should go with v_prediction, got epsilon: "
                "pure noise does not tell x0"
            )

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor | int) -> Tensor:
        """The noised latent x_t, shaped like `x0`."""
        signal, sigma, scale = self._coefficients(t, x0)
        return (signal * scale * x0.float() + sigma * noise.float()).to(x0.dtype)

    def velocity(self, x0: Tensor, noise: Tensor, t: Tensor | int) -> Tensor:
        """The v target (Salimans and Ho 2022, arXiv 2202.00512), shaped like `x0`."""
        signal, sigma, scale = self._coefficients(t, x0)
        return (signal * noise.float() - sigma * scale * x0.float()).to(x0.dtype)

    def target(self, x0: Tensor, noise: Tensor, t: Tensor | int) -> Tensor:
        """What the network should predict: the noise or the velocity, by `prediction_type`."""
        return noise if self.prediction_type == "epsilon" else self.velocity(x0, noise, t)

    def x0_from(self, prediction: Tensor, x_t: Tensor, t: Tensor | int) -> Tensor:
        """The clean latent that a prediction at x_t implies, with the x0 factor divided out."""
        scaled, _ = self._split(prediction, x_t, t)
        return (scaled / self._coefficients(t, x_t)[2]).to(x_t.dtype)

    def clean_error(self, t: Tensor) -> Tensor:
        """How much an error of the prediction is one of the clean latent at t (B,): (B,)."""
        ones = torch.ones(len(t), 1, device=t.device)
        return self.x0_from(ones, torch.zeros_like(ones), t)[:, 0].abs()

    def step(
        self, prediction: Tensor, x_t: Tensor, t: int, t_prev: int, eta: float = 0.0,
        noise: Tensor | None = None, t_scale: int | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """One DDIM step from t to t_prev (Song et al. 2021, arXiv 2010.02502, equation 12).

        Returns x at t_prev and the predicted x0. With `eta` > 0, `noise` is required. The signal
        in x at t_prev has the x0 factor of `t_scale`, by default of `t_prev`.
        """
        if eta > 0 and noise is None:
            raise ValueError(f"noise should be a tensor with eta {eta}, got None")
        scaled, direction = self._split(prediction, x_t, t)
        x0 = scaled / self._coefficients(t, x_t)[2]
        signal, sigma, scale = self._coefficients(t_prev, x_t)
        if t_scale is not None:
            scale = self._coefficients(t_scale, x_t)[2]
        here, there = self.alphas_cumprod[t].item(), self.alphas_cumprod[t_prev].item()
        fresh = min(1.0, eta**2 * (1 - here / there) / (1 - here))  # share of new noise variance
        x_prev = signal * scale * x0 + sigma * (1 - fresh) ** 0.5 * direction
        if noise is not None and eta > 0:
            x_prev = x_prev + sigma * fresh**0.5 * noise.float()
        return x_prev.to(x_t.dtype), x0.to(x_t.dtype)

    def _coefficients(self, t: Tensor | int, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """sqrt(a), sqrt(1 - a) and s at t, broadcastable over `like`."""
        index = torch.as_tensor(t, device=like.device)
        if index.shape not in ((), (1,), like.shape[:1]):
            raise ValueError(
                f"t should be ({len(like)},) or one timestep, got {tuple(index.shape)}"
            )
        shape = (-1, *(1,) * (like.ndim - 1))
        alpha = self.alphas_cumprod.to(like.device)[index].float().reshape(shape)
        scale = self.scale.to(like.device)[index].float().reshape(shape)
        return alpha.sqrt(), (1 - alpha).sqrt(), scale

    def _split(self, prediction: Tensor, x_t: Tensor, t: Tensor | int) -> tuple[Tensor, Tensor]:
        """A prediction at x_t becomes (s x0, noise)."""
        if prediction.shape != x_t.shape:
            raise ValueError(
                f"prediction should be {tuple(x_t.shape)}, got {tuple(prediction.shape)}"
            )
        signal, sigma, _ = self._coefficients(t, x_t)
        prediction, x_t = prediction.float(), x_t.float()
        if self.prediction_type == "epsilon":
            return (x_t - sigma * prediction) / signal, prediction
        return signal * x_t - sigma * prediction, signal * prediction + sigma * x_t


class ScaledDDIMScheduler(DDIMScheduler):
    """diffusers' DDIM with the x0 factor, saved and loaded in `scheduler/` like any other.

    Three differences: the x0 factor, the previous timestep is read from the list of timesteps
    (diffusers subtracts T // steps, which is off by one where steps does not divide T and the
    spacing is trailing), and all timesteps are from 0 to T - 1. Neither clips.

    `dynamic_rescale` samples as DynamiCrafter does: its last step keeps the x0 factor of its own
    timestep, where VideoCrafter2 goes to that of t = 0, which is 1; and the predicted x0 that a
    step reports has the factor of the timestep that the step leads to, where otherwise it has none.
    """

    @register_to_config
    def __init__(
        self,
        prediction_type: PredictionType,
        timestep_spacing: Literal["leading", "trailing"],
        rescale_betas_zero_snr: bool,
        x0_scale_end: float,
        x0_scale_steps: int = 400,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        beta_schedule: str = "scaled_linear",
        steps_offset: int = 1,
        dynamic_rescale: bool = False,
    ) -> None:
        super().__init__(
            num_train_timesteps=num_train_timesteps,
            beta_start=beta_start,
            beta_end=beta_end,
            beta_schedule=beta_schedule,
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=steps_offset,
            prediction_type=prediction_type,
            timestep_spacing=timestep_spacing,
            rescale_betas_zero_snr=rescale_betas_zero_snr,
        )
        falling = torch.linspace(1.0, x0_scale_end, x0_scale_steps)
        flat = torch.full((num_train_timesteps,), x0_scale_end)
        self.noise_schedule = NoiseSchedule(
            alphas_cumprod=self.alphas_cumprod,
            scale=torch.cat([falling, flat])[:num_train_timesteps],
            prediction_type=prediction_type,
        )

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """See `NoiseSchedule.add_noise`."""
        return self.noise_schedule.add_noise(original_samples, noise, timesteps)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """See `NoiseSchedule.velocity`."""
        return self.noise_schedule.velocity(sample, noise, timesteps)

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None
    ) -> None:
        """Choose so many timesteps, from 0 to T - 1, falling; ValueError for more than T.

        diffusers' trailing spacing ends with one more, -1, for some numbers (61, 103, ...), since
        `numpy.arange` rounds; and T leading timesteps begin with T.
        """
        super().set_timesteps(num_inference_steps)
        chosen = self.timesteps[:num_inference_steps]
        beyond = int(chosen[0]) - (len(self.alphas_cumprod) - 1)
        self.timesteps = (chosen - max(0, beyond)).to(device)

    def previous_timestep(self, timestep: int) -> int:
        """The next, smaller timestep of the list that `set_timesteps` made; 0 after the last."""
        return int(max((t for t in self.timesteps.tolist() if t < timestep), default=0))

    def step(  # type: ignore[override]
        self,
        model_output: Tensor,
        timestep: Tensor | int,
        sample: Tensor,
        eta: float = 0.0,
        generator: torch.Generator | None = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, Tensor]:
        """From `timestep` to the one before it; call `set_timesteps` first.

        Raises:
            ValueError: no timesteps were set, or the shapes disagree.
        """
        if self.num_inference_steps is None:
            raise ValueError("set_timesteps should be called before step, got no timesteps")
        t = int(timestep)
        noise: Any = variance_noise
        if eta > 0 and noise is None:
            noise = randn_tensor(sample.shape, generator, sample.device, sample.dtype)
        previous = self.previous_timestep(t)
        schedule, rescaled = self.noise_schedule, bool(self.config["dynamic_rescale"])
        t_scale = t if rescaled and t == int(self.timesteps.min()) else previous
        x_prev, x0 = schedule.step(model_output, sample, t, previous, eta, noise, t_scale)
        if rescaled:
            x0 = x0 * float(schedule.scale[t_scale])
        if not return_dict:
            return x_prev, x0
        return DDIMSchedulerOutput(prev_sample=x_prev, pred_original_sample=x0)


def ddim_scheduler(
    prediction_type: PredictionType,
    zero_terminal_snr: bool = False,
    use_scale: bool = False,
    dynamic_rescale: bool = False,
) -> ScaledDDIMScheduler:
    """The sampler of the base model, or of its zero-terminal-SNR variant (arXiv 2305.08891).

    Zero terminal SNR starts at T - 1 (trailing), where the latent is pure noise; otherwise the
    timesteps are 1, 1 + T // steps, ... (leading). `use_scale` is what VideoCrafter2 was trained
    with; with `dynamic_rescale` too the sampler is DynamiCrafter's. The paper fine-tunes with
    v-prediction and does not say more about the schedule.
    """
    if dynamic_rescale and not use_scale:
        raise ValueError("dynamic_rescale should go with use_scale, got no x0 factor to keep")
    return ScaledDDIMScheduler(
        prediction_type=prediction_type,
        timestep_spacing="trailing" if zero_terminal_snr else "leading",
        rescale_betas_zero_snr=zero_terminal_snr,
        x0_scale_end=0.7 if use_scale else 1.0,
        dynamic_rescale=dynamic_rescale,
    )


def late_start(scheduler: ScaledDDIMScheduler, steps: int) -> str | None:
    """Say in a line where sampling in so many steps begins far from pure noise; None where not.

    Leading timesteps are multiples of T // steps, so that what is left over is left out at the
    noisy end: 334 of 1000 begin at 667, 333 at 997.
    """
    sampler, total = copy(scheduler), len(scheduler.noise_schedule.scale)

    def first(count: int) -> int:
        sampler.set_timesteps(count)
        return int(sampler.timesteps[0])

    start = first(steps)
    if start >= NOISY * total:
        return None
    ways = range(steps - 1, 0, -1), range(steps + 1, total + 1)
    near = [next((n for n in counts if first(n) >= NOISY * total), None) for counts in ways]
    return (f"sampling in {steps} steps begins at timestep {start} of {total}, where the network "
            f"expects less noise than it gets; take {' or '.join(str(n) for n in near if n)}")


def noise_schedule(
    prediction_type: PredictionType, zero_terminal_snr: bool = False, use_scale: bool = False
) -> NoiseSchedule:
    """The same schedule for training."""
    return ddim_scheduler(prediction_type, zero_terminal_snr, use_scale).noise_schedule


def set_flow_shift(pipeline: Any, shift: float) -> None:
    """Give the scheduler of a pipeline of flow matching another shift."""
    config = pipeline.scheduler.config
    if flow_shift(config) != shift:
        name = "flow_shift" if "flow_shift" in config else "shift"
        pipeline.scheduler = type(pipeline.scheduler).from_config(
            config, trust_remote_code=False, **{name: shift})
