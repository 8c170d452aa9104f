"""Report a run at a step: a line of progress, curves, held-out losses and samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from motifocal.cli.output.progress import Progress
from motifocal.data.shards import Shards
from motifocal.media.sheet import labelled, side_by_side
from motifocal.media.video import to_frames, write_image
from motifocal.models.autoencoder import decode
from motifocal.models.noise import noise_generator
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.unet import TI2VUNet
from motifocal.scenes.evaluation.evaluate import eval_pairs
from motifocal.scenes.variant import SceneVariant
from motifocal.training.checkpoint import kept_weights
from motifocal.training.folders import call_of
from motifocal.training.log import CURVES, HELD_OUT, TrainingLog, read_log
from motifocal.training.loop import Run, averaged_unet
from motifocal.training.measurement.figure6 import evaluate_loss_ratio, middles
from motifocal.training.measurement.held_out import HELD_OUT_CLIPS, HELD_OUT_TIMES
from motifocal.training.measurement.probe_curve import Prober, keep_weights
from motifocal.training.run_folder import build_sampler

SMOOTH = 0.95  # of the loss and the speed that are shown


class TrainingBar:
    """Progress over the steps, with the smoothed loss, the rate and samples a second."""

    def __init__(self, bar: Progress, batch: int) -> None:
        self.bar, self.batch, self.loss, self.seconds = bar, batch, 0.0, 0.0

    def show(self, line: dict[str, float]) -> None:
        """Take the log line of a step."""
        first = self.seconds == 0.0
        self.loss = line["loss"] if first else _smooth(self.loss, line["loss"])
        self.seconds = line["seconds"] if first else _smooth(self.seconds, line["seconds"])
        self.bar.reach(int(line["step"]), f"loss {self.loss:.4f}, rate {line['rate']:.1e}, "
                       f"{self.batch / self.seconds:.2f} samples/s")


def _smooth(before: float, now: float) -> float:
    return SMOOTH * before + (1 - SMOOTH) * now


def open_prober(run: Run, vae: AutoencoderKL, pairs: int, every: int) -> Prober:
    """Draw the pairs of the learning curve, with the background of the clips trained on."""
    drawn = run.shards.manifest["source"].get("scenes", {}).get("variant", {})
    variant = SceneVariant(**drawn).of_pairs()
    chosen = eval_pairs(pairs, run.shards.clip_size[-1], variant)
    return Prober.prepare(chosen, vae, every, None, run.settings.unet, run.image_encoder,
                          run.schedule)


class Reporter:
    """Curves, held-out losses, samples and kept weights of a run; for the main process.

    Samples are of held-out clips, or of clips trained on where there are none held out, and are
    made as `base`, the model folder, is called.
    """

    def __init__(
        self, run: Run, base: Path, vae: AutoencoderKL, held_out: Shards | None, samples: int,
        prober: Prober | None, say: Callable[[str], None], keep_every: int = 0,
    ) -> None:  # fmt: skip
        self.run, self.base, self.vae, self.held_out = run, base, vae, held_out
        self.samples = samples
        self.prober, self.say, self.keep_every = prober, say, keep_every
        self.shards = held_out or run.shards

    def after(self, line: dict[str, float]) -> None:
        """Take the log line of a step."""
        self._log({key: line[key] for key in CURVES})
        if self._is_due():
            self._report()
        if self.keep_every and self.run.step % self.keep_every == 0:
            keep_weights(self.run)
        if self.prober is not None and self.prober.due(self.run):
            self._probe(self.prober)

    def catch_up(self) -> None:
        """Make up for what a kill cut off between the checkpoint that the run resumes at and this.
        """
        step = self.run.step
        if step and self._is_due() and self._is_missing():
            self._report()
        kept = kept_weights(self.run.folder, step)
        if step and self.keep_every and step % self.keep_every == 0 and not kept.exists():
            keep_weights(self.run)
        if self.prober is not None and self.prober.missed(self.run):
            self._probe(self.prober)

    def _is_due(self) -> bool:
        settings = self.run.settings
        return self.run.step % settings.sample_every == 0 or self.run.step == settings.steps

    def _is_missing(self) -> bool:
        """Tell whether held-out losses or samples of this step are not there."""
        scored = {line["step"] for line in read_log(self.run.folder / HELD_OUT)}
        unscored = self.held_out is not None and self.run.step not in scored
        return unscored or bool(self.samples and not self._sheet().exists())

    def _probe(self, prober: Prober) -> None:
        """Add a point to the learning curve of the averaged weights."""
        self.say(f"step {self.run.step}: learning curve")
        self._log({f"probe/{key}": value for key, value in prober.take(self.run).items()})

    def _log(self, values: dict[str, float]) -> None:
        """Add a point to the curves, wherever these go."""
        plain = {key: float(value) for key, value in values.items()}
        self.run.accelerator.log(plain, step=self.run.step)

    def _sheet(self) -> Path:
        return self.run.folder / "samples" / f"step-{self.run.step:08d}.png"

    def _report(self) -> None:
        """Held-out losses and samples of the averaged weights."""
        if self.held_out is None and not self.samples:
            return
        parts = [*(["held-out losses"] if self.held_out else []),
                 *(["samples"] if self.samples else [])]
        self.say(f"step {self.run.step}: {' and '.join(parts)}")
        unet = averaged_unet(self.run).to(self.run.accelerator.device)
        if self.held_out is not None:
            self._score(unet, self.held_out)
        if self.samples:
            self._sample(unet)

    def _score(self, unet: TI2VUNet, held_out: Shards) -> None:
        """The loss of held-out clips, everywhere and where they move, always at the same noise."""
        losses = evaluate_loss_ratio(unet, held_out, self.run.text, self.run.schedule,
                                    middles(HELD_OUT_TIMES), clips=HELD_OUT_CLIPS)
        ratio = float(losses.ratio().mean())
        # The second is the earlier name of the third, for one more release.
        scores = {"held_out": float(losses.mean.mean()), "hot_over_mean": ratio,
                  "moving_over_mean": ratio}
        with TrainingLog(self.run.folder / HELD_OUT, self.run.step - 1) as log:
            log.write({"step": self.run.step, **scores})
        self._log(scores)

    def _sample(self, unet: TI2VUNet) -> None:
        """True clips over what the network makes of their first frame and prompt."""
        vae = self.vae.to(self.run.accelerator.device)
        pipeline = _pipeline(self.run, self.base, unet, vae)
        chosen = np.linspace(0, len(self.shards) - 1, min(self.samples, len(self.shards)))
        batch = self.shards.batch(chosen.astype(int).tolist())
        truth = decode(vae, batch.latents.to(vae.device), 16).clamp(-1, 1).cpu()
        rows = []
        for video, caption, fps in zip(truth, batch.captions, batch.fps.tolist(), strict=True):
            made = pipeline(video[:, 0], caption, height=video.shape[-2], width=video.shape[-1],
                            num_frames=video.shape[1], fps=fps,
                            generator=noise_generator(0), output_type="uint8").frames[0]
            rows += [(f"true: {caption}", side_by_side(to_frames(video), 8)),
                     ("made", side_by_side(made, 8))]
        self._sheet().parent.mkdir(exist_ok=True)
        write_image(self._sheet(), labelled(rows))


def _pipeline(run: Run, base: Path, unet: TI2VUNet, vae: AutoencoderKL) -> TI2VPipeline:
    scheduler = build_sampler(run.settings, base)
    pipeline = TI2VPipeline(unet, vae, run.text.text_encoder, run.text.tokenizer, scheduler,
                            image_encoder=run.image_encoder, **call_of(base))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
