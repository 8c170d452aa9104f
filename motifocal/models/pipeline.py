"""Sample short videos from an image and a prompt with the trained parts of a model folder.

Shape letters: B batch, F frames, C latent channels, H W pixels, h w latents, L tokens, D text
width, G guidance branches (2, or 1 where the guidance scale is 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.utils.outputs import BaseOutput
from torch import Tensor
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedTokenizerBase

from motifocal.models.autoencoder import decode, downsampling_factor
from motifocal.models.card import model_card
from motifocal.models.folder import (
    load_autoencoder,
    load_image_encoder,
    load_network,
    load_scheduler,
    load_text_encoder,
    load_tokenizer,
    model_folder,
    without_progress_bars,
)
from motifocal.models.folder_files import read_pipeline_index
from motifocal.models.image.encoder import encode_images, grey_tokens
from motifocal.models.image.inputs import image_inputs
from motifocal.models.pipeline_parts import (
    OUTPUTS,
    Conditions,
    Generators,
    Picture,
    StepCallback,
    check_clip,
    check_image_encoder,
    check_priors,
    check_sampling,
    guide,
    image_latents,
    motion_priors,
    paired,
    picture_tensor,
    start_noise,
)
from motifocal.models.schedule import ScaledDDIMScheduler
from motifocal.models.text import encode_distinct
from motifocal.models.text_limit import TextLimit
from motifocal.models.unet import TI2VUNet

#: The model of the synthetic scenes that comes with the package.
BUNDLED = Path(__file__).parents[1] / "bundled"
SAMPLE = ("height", "width", "frames", "fps", "steps", "guidance", "guidance_rescale")


@dataclass
class TI2VOutput(BaseOutput):
    """What `TI2VPipeline` returns; what `frames` is depends on `output_type`."""

    frames: Any


class TI2VPipeline(DiffusionPipeline):
    """Text-image-to-video sampling with DDIM and classifier-free guidance.

    `sample_*` is kept in `model_index.json` and holds where a call does not say otherwise: what the
    network was trained for. The defaults are the paper's, and the rate TI2V-Bench's.
    """

    _optional_components = ["image_encoder"]  # noqa: RUF012 (diffusers reads it from the class)
    model_cpu_offload_seq = "text_encoder->image_encoder->unet->vae"  # type: ignore[assignment]

    def __init__(
        self,
        unet: TI2VUNet,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: PreTrainedTokenizerBase,
        scheduler: ScaledDDIMScheduler,
        sample_height: int = 320,
        sample_width: int = 512,
        sample_frames: int = 16,
        sample_fps: float = 8.0,
        sample_steps: int = 50,
        sample_guidance: float = 7.5,
        sample_guidance_rescale: float = 0.0,
        image_encoder: CLIPVisionModelWithProjection | None = None,
    ) -> None:
        super().__init__()
        check_image_encoder(unet.unet_config, image_encoder)
        self.register_modules(
            unet=unet, vae=vae, text_encoder=text_encoder, tokenizer=tokenizer,
            scheduler=scheduler, image_encoder=image_encoder,
        )  # fmt: skip
        self.register_to_config(
            sample_height=sample_height, sample_width=sample_width, sample_frames=sample_frames,
            sample_fps=sample_fps, sample_steps=sample_steps, sample_guidance=sample_guidance,
            sample_guidance_rescale=sample_guidance_rescale,
        )  # fmt: skip

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, folder: str | Path | None = None, torch_dtype: torch.dtype | None = None,
        *, trust_remote_code: bool = False, **hub: Any,
    ) -> TI2VPipeline:  # fmt: skip
        """Load a folder that `save_pretrained` or an import wrote; without one, the bundled model.

        `folder` may be the id of a model on the Hugging Face hub, "owner/name", and `hub` the
        options of its download (revision, token, cache_dir, local_files_only). Only safetensors are
        read, and no code of a folder is imported. `torch_dtype` defaults to float32.

        Raises:
            ValueError: the folder is no model of this pipeline, lacks a part, brings code of its
                own, or has a part that is damaged or of another class; `trust_remote_code` is set.
        """
        if trust_remote_code:
            raise ValueError("trust_remote_code should be False: no code of a model is ever run")
        folder = BUNDLED if folder is None else model_folder(folder, **hub)
        index, dtype = read_pipeline_index(folder), torch_dtype or torch.float32
        return cls(
            unet=load_network(folder, dtype),
            vae=load_autoencoder(folder, dtype),
            text_encoder=load_text_encoder(folder, dtype),
            tokenizer=load_tokenizer(folder),
            scheduler=load_scheduler(folder),
            image_encoder=load_image_encoder(folder, dtype),
            **{key: index[key] for key in (f"sample_{name}" for name in SAMPLE) if key in index},
        )

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:  # type: ignore[override]
        """Write the folder that `from_pretrained` reads; `options` are those of diffusers.

        A model card, README.md, is written beside the parts unless the folder has one.
        """
        with without_progress_bars():
            super().save_pretrained(str(folder), **options)
        card = Path(folder).resolve() / "README.md"
        if not card.exists():
            text = model_card(card.parent.name, self.config, self.text_limit.tokens)
            card.write_text(text, encoding="utf-8")

    @torch.no_grad()
    def __call__(
        self,
        image: Picture | Sequence[Picture],
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str] = "",
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        fps: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_rescale: float | None = None,
        eta: float = 0.0,
        motion: float | Sequence[float] | None = None,
        motion_mask: Picture | Sequence[Picture] | None = None,
        generator: Generators | None = None,
        latents: Tensor | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: StepCallback | None = None,
        decode_chunk_size: int = 16,
    ) -> TI2VOutput:
        """Animate `image` as `prompt` says: B videos for a list of B of either, or of both.

        Args:
            image: a file, a PIL image or `(H, W, 3)` uint8 of any size, scaled and cropped at
                the centre to `height` x `width`; or a tensor `(3, height, width)` in [-1, 1].
            prompt: one text a video.
            negative_prompt: what guidance leads away from; "" is what training dropped to. The
                branch keeps the image (the paper's base model does).
            height: pixels, as `width`; multiples of `divisor`. Default: the folder's.
            width: see `height`.
            num_frames: length of the video. Default: the folder's, as for the next three.
            fps: frames per second that the network is told.
            num_inference_steps: DDIM steps, 50 in the paper.
            guidance_scale: 7.5 in the paper; 1 runs one branch.
            guidance_rescale: how much of the contrast that guidance adds is taken out again, in
                [0, 1] (arXiv 2305.08891, equation 16). Default: the folder's.
            eta: share of fresh noise a step.
            motion: how much should move, in [0, 1], or one a video; not told where left out.
            motion_mask: an image, white where something may move, or one a video; else everywhere.
            generator: one for the batch, or one for each video, which then does not depend on the
                others, up to rounding.
            latents: start noise `(B, C, F, h, w)`, instead of drawing it.
            output_type: as in diffusers "pil", "np" `(B, F, H, W, 3)`, "pt" `(B, F, 3, H, W)`, both
                in [0, 1], "latent"; or "uint8" `(B, F, H, W, 3)`, as `write_video` takes it.
            return_dict: False returns `(frames,)`.
            callback_on_step_end: called after each step; latents that it returns replace ours.
            decode_chunk_size: frames that the autoencoder decodes at once.

        Raises:
            ValueError: an argument is out of range, or numbers of things disagree.
        """
        frames, rate = self._default("frames", num_frames), self._default("fps", fps)
        steps = self._default("steps", num_inference_steps)
        scale = self._default("guidance", guidance_scale)
        rescale = self._default("guidance_rescale", guidance_rescale)
        size = self._default("height", height), self._default("width", width)
        images, prompts, negatives = paired(image, prompt, negative_prompt)
        check_clip(size, self.divisor, frames, rate, decode_chunk_size, output_type)
        check_sampling(steps, scale, rescale, eta)
        check_priors(self.unet.unet_config, motion, motion_mask)

        factor = downsampling_factor(self.vae)
        texts = prompts if scale == 1 else [*negatives, *prompts]
        priors = motion_priors(motion, motion_mask, size, factor, len(prompts),
                               len(texts) // len(prompts), self._execution_device)
        conditions = self._conditions(images, texts, len(prompts), size, rate, priors)

        # Latents stay float32 whatever the network computes in.
        latent_size = (side // factor for side in size)
        shape = (len(prompts), self.vae.config.latent_channels, frames, *latent_size)
        x = start_noise(shape, self._execution_device, generator, latents)
        self.scheduler.set_timesteps(steps, device=x.device)
        noise: dict[str, Any] = {"eta": eta, "generator": generator, "return_dict": False}
        with self.progress_bar(total=steps) as bar:
            for index, t in enumerate(self.scheduler.timesteps):
                prediction = self._predict(x, t, conditions, scale, rescale)
                x = self.scheduler.step(prediction, t, x, **noise)[0]
                if callback_on_step_end is not None:
                    changed = callback_on_step_end(self, index, int(t), {"latents": x})
                    x = (changed or {}).get("latents", x)
                bar.update()

        made = x if output_type == "latent" else decode(self.vae, x, decode_chunk_size)
        self.maybe_free_model_hooks()
        output = TI2VOutput(frames=OUTPUTS[output_type](made))
        return output if return_dict else output.to_tuple()  # type: ignore[return-value]

    @property
    def sample_size(self) -> tuple[int, int]:
        """The height and width that the network was trained for."""
        return self.config["sample_height"], self.config["sample_width"]

    @property
    def text_limit(self) -> TextLimit:
        """How much of a prompt the text encoder reads."""
        return TextLimit(self.tokenizer, self.text_encoder.config.max_position_embeddings)

    @property
    def divisor(self) -> int:
        """What height and width divide by: the autoencoder's factor times the network's."""
        return int(downsampling_factor(self.vae) * self.unet.unet_config.spatial_divisor)

    def _default(self, name: str, given: Any) -> Any:
        return self.config[f"sample_{name}"] if given is None else given

    def _conditions(
        self, images: list[Picture], texts: list[str], batch: int, size: tuple[int, int],
        fps: float, priors: tuple[Tensor | None, Tensor | None],
    ) -> Conditions:  # fmt: skip
        """For B videos and their G B texts."""
        device, config, tower = self._execution_device, self.unet.unet_config, self.image_encoder
        pixels = torch.stack([picture_tensor(image, *size) for image in images]).to(device)
        latent, tokens, blank, branches = None, None, None, len(texts) // batch
        if config.takes_image_latent or config.image_token_source == "latents":
            latent = image_latents(self.vae, pixels, batch, branches)
        if config.takes_encoded_tokens:
            tokens, blank = encode_images(tower, pixels).to(device), grey_tokens(tower)
            tokens = tokens.expand(batch, -1, -1).repeat(branches, 1, 1)
        without = torch.arange(len(texts), device=device) < len(texts) - batch
        inputs = image_inputs(config, latent, tokens, *priors, dropped=without, blank=blank)
        text = encode_distinct(self.tokenizer, self.text_encoder, texts, device)
        # The score is embedded 1000 times as large: bfloat16 would move it by up to 2.
        told = {name: value if name == "motion_score" else value.to(self.unet.dtype)
                for name, value in inputs.items()}
        return Conditions(text.to(self.unet.dtype), pixels.new_full((len(texts),), float(fps)),
                          told)

    def _predict(
        self, x: Tensor, t: Tensor, conditions: Conditions, scale: float, rescale: float
    ) -> Tensor:
        """The network's prediction at latents `(B, C, F, h, w)`, guided where there are two."""
        branches = len(conditions.text) // len(x)
        predicted = self.unet(
            x.repeat(branches, 1, 1, 1, 1).to(self.unet.dtype),
            t,
            encoder_hidden_states=conditions.text,
            fps=conditions.fps,
            **conditions.image,
        ).float()
        if branches == 1:
            return predicted
        return guide(predicted[: len(x)], predicted[len(x) :], scale, rescale)


# `DiffusionPipeline.from_pretrained` looks up the class of model_index.json among diffusers' own
# names and has no registry. With this line it loads our folders, trust_remote_code=False.
setattr(diffusers, TI2VPipeline.__name__, TI2VPipeline)
