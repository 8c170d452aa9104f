"""The LTX-2 trainer's own training, with its strategy's loss extended by the motion part.

Letters: B batch, N tokens, C channels, F' latent frames, h w latents.

    accelerate launch -m motifocal.bridges.ltx config.yaml --motif_weight 1.0

in place of ``accelerate launch scripts/train.py config.yaml``. The configuration stays as it is
(the trainer refuses keys it does not know): whatever strategy it names is built by the trainer and
then subclassed here, and the weights are one more folder of the data, which
`motifocal weights ltx` makes. Nothing of theirs is copied or changed on disk.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from motifocal.bridges.cached_latents import check_motif_weight, check_weight, weighted_residual
from motifocal.bridges.ltx_weights import BATCH_KEY, FOLDER, GRID, missing_weights
from motifocal.loss.latent_grid import to_layout

#: What the strategies call the video's latents in a batch; get_data_sources names their folder.
_VIDEO_KEYS = ("video_latents", "latents", "latent_conditions")


def motion_strategy(strategy: Any, motif_weight: float) -> Any:
    """Make a training strategy like the given one, whose loss has the motion part added.

    The motion part is the strategy's own loss of m' * (prediction - target), so its mask of
    conditioned tokens, its mean over the other tokens and its shape (a number, or one a sample)
    are kept: the gradient on a conditioned token is exactly zero. Sound keeps the plain loss.

    Raises:
        ValueError: a motif_weight that is negative or not finite.
    """
    check_motif_weight(motif_weight)
    base: type[Any] = type(strategy)

    class MotionStrategy(base):
        _motion_weights: Tensor | None = None

        def prepare_training_inputs(self, batch: dict[str, Any], *rest: Any, **named: Any) -> Any:
            inputs = super().prepare_training_inputs(batch, *rest, **named)
            self._motion_weights = batch_weights(batch) if motif_weight else None
            return inputs

        def compute_loss(self, video_pred: Tensor | None, audio_pred: Any, inputs: Any) -> Any:
            loss = super().compute_loss(video_pred, audio_pred, inputs)
            heat, target = self._motion_weights, inputs.video_targets
            if heat is None or video_pred is None or target is None:
                return loss
            residual = _residual(video_pred, target, heat)
            moved = replace(inputs, video_targets=torch.zeros_like(target, dtype=torch.float32),
                            audio_targets=None)  # fmt: skip
            return loss + motif_weight * super().compute_loss(residual, None, moved)

        def get_checkpoint_metadata(self) -> dict[str, Any]:
            return {**super().get_checkpoint_metadata(), "motif_weight": motif_weight}

    # The strategy has been built, and may have given parts of itself to the model: share them.
    moved = object.__new__(MotionStrategy)
    moved.__dict__ = strategy.__dict__
    return moved


def batch_weights(batch: Mapping[str, Any]) -> Tensor:
    """Return a batch's weights as tokens (B, N, 1), in the trainer's order.

    Raises ValueError where there are none, or those of other latents.
    """
    latents = next((batch[key]["latents"] for key in _VIDEO_KEYS if key in batch), None)
    if BATCH_KEY not in batch or latents is None:
        raise ValueError(f"the batch should have {BATCH_KEY} and latents, got {sorted(batch)}")
    weight = batch[BATCH_KEY]["weight"]
    check_weight(weight, (latents.shape[0], *latents.shape[2:]), BATCH_KEY)
    return to_layout(weight[:, None], GRID)


def _residual(prediction: Tensor, target: Tensor, heat: Tensor) -> Tensor:
    """Return m' * (prediction - target), 0 at the tokens of references in front."""
    tokens = heat.shape[1]
    in_front = prediction.shape[1] - tokens
    if in_front < 0 or target.shape[1] < tokens:
        shapes = f"{tuple(prediction.shape)} and {tuple(target.shape)}"
        raise ValueError(f"prediction and target should have {tokens} tokens or more, got {shapes}")
    residual = weighted_residual(prediction[:, in_front:], target[:, -tokens:], heat)
    return pad(residual, (0, 0, in_front, 0))


def motion_trainer(base: type[Any], dataset: type[Any], motif_weight: float) -> type[Any]:
    """Make a subclass of the LtxvTrainer that trains with ``motion_strategy`` and loads weights.

    dataset: the trainer's PrecomputedDataset. With ``motif_weight`` 0 nothing is loaded and every
    value is the trainer's own, bit for bit.

    Raises:
        ValueError: a motif_weight that is negative or not finite.
    """
    check_motif_weight(motif_weight)

    class MotionTrainer(base):
        _training_strategy: Any
        _dataset: Any

        def __init__(self, config: Any) -> None:
            if motif_weight and hasattr(config.training_strategy, "get_data_sources"):
                # Before the model is loaded, which takes minutes.
                sources = config.training_strategy.get_data_sources()
                _check_weights(config.data.preprocessed_data_root, sources)
            super().__init__(config)
            self._training_strategy = motion_strategy(self._training_strategy, motif_weight)

        def _init_dataloader(self) -> None:
            if motif_weight and self._dataset is None:
                root = self._config.data.preprocessed_data_root
                sources = data_sources(self._training_strategy, self._config.training_strategy)
                _check_weights(root, sources)
                self._dataset = dataset(root, data_sources={**sources, FOLDER: BATCH_KEY})
            super()._init_dataloader()

    return MotionTrainer


def data_sources(strategy: Any, config: Any) -> dict[str, str]:
    """Map folders to names in the batch: of the configuration, in older versions the strategy."""
    owner = config if hasattr(config, "get_data_sources") else strategy
    sources = owner.get_data_sources()
    return dict(sources) if isinstance(sources, Mapping) else {name: name for name in sources}


def _check_weights(root: str, sources: Mapping[str, str]) -> None:
    """Raise ValueError unless every sample has a weight: the trainer would leave the others out."""
    latents = next((name for name, key in sources.items() if key in _VIDEO_KEYS), None)
    if latents is None:
        raise ValueError(f"the configuration should train a video, its data are {list(sources)}")
    missing = missing_weights(root, latents)
    if missing:
        raise ValueError(
            f"{len(missing)} samples in {root} have no motion weights, the first is {missing[0]}; "
            "make them with `motifocal weights ltx`, or take those latents away"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the configuration says, with the motion part in the loss."""
    parser = argparse.ArgumentParser(
        prog="python -m motifocal.bridges.ltx",
        description="The LTX-2 trainer's training with the motion focal loss.",
    )
    parser.add_argument("config", type=Path, help="the trainer's own YAML configuration")
    parser.add_argument(
        "--motif_weight", "--motif-weight", type=float, default=1.0,
        help="lambda of the motion part; the paper's is 1, and 0 is plain training (default: 1)",
    )  # fmt: skip
    parser.add_argument("--disable-progress-bars", action="store_true", help="as in theirs")
    given = parser.parse_args(arguments)
    try:
        check_motif_weight(given.motif_weight)
    except ValueError as error:
        parser.error(str(error))
    if not given.config.is_file():
        parser.error(f"{given.config}: no such file")
    try:
        import yaml
        from ltx_trainer.config import LtxTrainerConfig
        from ltx_trainer.datasets import PrecomputedDataset
        from ltx_trainer.trainer import LtxvTrainer
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("yaml", "ltx_trainer"):
            raise  # something that the trainer itself needs
        sys.exit("ltx_trainer is not there: start this in the LTX-2 trainer's environment")
    config = LtxTrainerConfig(**yaml.safe_load(given.config.read_text(encoding="utf-8")))
    trainer = motion_trainer(LtxvTrainer, PrecomputedDataset, given.motif_weight)(config)
    trainer.train(disable_progress_bars=given.disable_progress_bars)


if __name__ == "__main__":
    main()
