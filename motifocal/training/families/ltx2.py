"""LTX-2, 2.3 and 2.5 I2V: the video stream of the network; no sound.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents, N tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motifocal.training.families.base import Batch, Config, Draw, dtype_of
from motifocal.training.families.ltx import LTX, one_rate

#: Lightricks' LTX-2.5 for diffusers has two networks: a distilled one in transformer/, which
#: pipelines load, and here the full one, which can be trained.
FULL = "transformer_full"


class LTX2(LTX):
    """LTX-2, 2.3 and 2.5, image to video.

    Noise, the clean first frame and the loss as in Lightricks' ltx-trainer (`text_to_video`,
    `with_audio: false`). As there, the video is trained without sound: the two streams are kept
    apart in the call, which the pipeline does for its guidance by modality, so that what the audio
    stream is given (a single token of zeros) changes nothing. The LoRA lies on the video's
    attention alone.

    The pipeline compresses the picture before it encodes it (`image_crf`), since the model was
    trained on frames out of compressed videos; clips are such frames already.
    """

    name = "ltx-2"
    grid = "ltx-2"
    pipeline = "LTX2ImageToVideoPipeline"
    fps = 24.0
    text_parts = ("tokenizer", "text_encoder", "connectors")
    lora_targets = tuple(f"attn{number}.{name}" for number in (1, 2)
                         for name in ("to_q", "to_k", "to_v", "to_out.0"))  # fmt: skip
    original_names = (
        *LTX.original_names,
        ("audio_proj_in", "audio_patchify_proj"), ("audio_time_embed", "audio_adaln_single"),
        ("av_cross_attn_video_scale_shift", "av_ca_video_scale_shift_adaln_single"),
        ("av_cross_attn_video_a2v_gate", "av_ca_a2v_gate_adaln_single"),
        ("av_cross_attn_audio_scale_shift", "av_ca_audio_scale_shift_adaln_single"),
        ("av_cross_attn_audio_v2a_gate", "av_ca_v2a_gate_adaln_single"),
        ("prompt_adaln", "prompt_adaln_single"),
        ("audio_prompt_adaln", "audio_prompt_adaln_single"),
    )  # fmt: skip

    @property
    def unlisted(self) -> str | None:
        kind = str(self.configs.get("text_encoder", {}).get("model_type"))
        return FULL if kind.startswith("gemma4") else None  # 2.5

    def weights_folder(self, part: str) -> str:
        return FULL if FULL in self.configs else part

    def is_distilled(self, folder: Path) -> bool:
        return FULL not in self.configs and (self.unlisted is not None
                                             or super().is_distilled(folder))  # fmt: skip

    @classmethod
    def matches(cls, index: Config, configs: Mapping[str, Config]) -> bool:
        return index.get("_class_name") in ("LTX2Pipeline", "LTX2ImageToVideoPipeline")

    def encode_text(self, pipe: Any, prompts: Sequence[str]) -> list[dict[str, Tensor]]:
        texts = []
        for prompt in prompts:
            hidden, mask, _, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False)
            video, audio, kept = pipe.connectors(
                hidden, mask, padding_side=pipe.tokenizer.padding_side
            )
            texts.append({"text": video[0], "audio_text": audio[0], "text_mask": kept[0]})
        return texts

    def encode_clip(
        self, pipe: Any, video: Tensor, fps: float, generator: torch.Generator
    ) -> dict[str, Tensor]:
        vae = pipe.vae
        encoded = vae.encode(video.to(vae.device, vae.dtype)).latent_dist.mode()
        latents = pipe._normalize_latents(encoded, vae.latents_mean, vae.latents_std)
        return {"latents": latents[0].float()}

    def forward(self, model: Any, draw: Draw, batch: Batch) -> Tensor:
        latents, mask = batch["latents"], batch["text_mask"]
        count, height, width = latents.shape[2:]
        dtype = dtype_of(model)
        noisy = draw.noisy.to(dtype)
        silence = noisy.new_zeros(len(noisy), 1, self.configs["transformer"]["audio_in_channels"])
        prediction, _ = model(
            hidden_states=noisy,
            audio_hidden_states=silence,
            encoder_hidden_states=batch["text"].to(dtype),
            audio_encoder_hidden_states=batch["audio_text"].to(dtype),
            timestep=1000 * self.token_times(draw, latents),
            audio_timestep=1000 * draw.time,
            sigma=1000 * draw.time,
            encoder_attention_mask=mask, audio_encoder_attention_mask=mask,
            num_frames=count, height=height, width=width, fps=one_rate(batch),
            audio_num_frames=1, isolate_modalities=True, use_cross_timestep=True,
            return_dict=False,
        )  # fmt: skip
        return prediction.float()
