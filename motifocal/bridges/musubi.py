"""musubi-tuner's own training, with its loss extended by the motion part.

Letters: B batch, C channels, F' latent frames, h w latents.

    accelerate launch -m motifocal.bridges.musubi wan --motif_weight 1.0 <their arguments>

in place of ``accelerate launch src/musubi_tuner/wan_train_network.py <their arguments>``. Nothing
of theirs is copied or changed on disk: their script's main runs, with a subclass of their trainer
made here. The weights come with the batch; `motifocal weights musubi` puts them there.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from motifocal.bridges.cached_latents import check_motif_weight, check_weight, weighted_residual
from motifocal.bridges.musubi_cache import BATCH_KEY, GRIDS, missing_weights


class Script(NamedTuple):
    """A module of theirs with a ``main``, and the names its trainer has had, newest first."""

    module: str
    trainers: tuple[str, ...]


SCRIPTS: dict[str, Script] = {
    "wan": Script("musubi_tuner.wan_train_network", ("WanNetworkTrainer",)),
    "hv": Script("musubi_tuner.hv_train_network", ("HunyuanVideoNetworkTrainer", "NetworkTrainer")),
    "hv15": Script("musubi_tuner.hv_1_5_train_network", ("HunyuanVideo15NetworkTrainer",)),
}
assert set(SCRIPTS) == set(GRIDS)


def motion_trainer(base: type[Any], motif_weight: float) -> type[Any]:
    """Make a subclass of musubi-tuner's NetworkTrainer: its loss + motif_weight * the motion part.

    The motion part is the trainer's own loss of m' * (prediction - target), so its weighting of
    timesteps and its mean are kept whatever they are. With ``motif_weight`` 0 every value is the
    trainer's own, bit for bit. Batches of single frames have no motion and keep the plain loss.

    Older versions have no ``compute_loss``: they square the difference in the training loop. There
    prediction and target are handed back as a difference scaled by sqrt(1 + motif_weight * m'^2),
    whose mean square is the same sum.

    Raises:
        ValueError: a motif_weight that is negative or not finite.
    """
    check_motif_weight(motif_weight)
    has_loss = hasattr(base, "compute_loss")

    class MotionTrainer(base):
        _motion_weights: Tensor | None = None

        def call_dit(
            self, args: Any, accelerator: Any, transformer: Any, latents: Tensor,
            batch: dict[str, Any], *rest: Any, **named: Any,
        ) -> Any:  # fmt: skip
            result = super().call_dit(
                args, accelerator, transformer, latents, batch, *rest, **named
            )
            self._motion_weights = batch_weights(batch, latents) if motif_weight else None
            if has_loss or self._motion_weights is None:
                return result
            _refuse_other_losses(args)
            prediction, target = result
            return _folded(prediction, target, self._motion_weights, motif_weight)

        def extra_metadata(self, args: Any) -> dict[str, Any]:
            """Add lambda to what newer versions write into the checkpoint."""
            theirs = super().extra_metadata(args) if hasattr(base, "extra_metadata") else {}
            return {**theirs, "ss_motif_weight": motif_weight}

    if not has_loss:
        return MotionTrainer

    class MotionLossTrainer(MotionTrainer):
        def compute_loss(self, args: Any, output: Any, *rest: Any, **named: Any) -> Any:
            loss, metrics = super().compute_loss(args, output, *rest, **named)
            if self._motion_weights is None:
                return loss, metrics
            residual = weighted_residual(output.pred, output.target, self._motion_weights)
            moved = replace(output, pred=residual, target=torch.zeros_like(residual))
            motion, _ = super().compute_loss(args, moved, *rest, **named)
            parts = {"loss/diffusion": loss.item(), "loss/motion": motion.item()}
            return loss + motif_weight * motion, {**metrics, **parts}

    return MotionLossTrainer


def batch_weights(batch: dict[str, Any], latents: Tensor) -> Tensor | None:
    """Return a batch's weights as (B, 1, F', h, w); None for single frames, which have no motion.

    Raises ValueError where a batch of clips has none, or those of other latents.
    """
    weights = batch.get(BATCH_KEY)
    if weights is None:
        if latents.shape[2] == 1:
            return None
        raise ValueError(
            f"this batch has no {BATCH_KEY}: make the weights of all its latents with "
            "`motifocal weights musubi`, and again whenever latents are cached anew"
        )
    shape = (latents.shape[0], *latents.shape[2:])
    check_weight(weights, shape, BATCH_KEY)
    heatmap: Tensor = weights[:, None]
    return heatmap


def _folded(
    prediction: Tensor, target: Tensor, heat: Tensor, motif_weight: float
) -> tuple[Tensor, Tensor]:
    """Return stand-ins for prediction and target whose squared difference is that of both parts."""
    heat = heat.to(prediction.device, torch.float32)
    residual = weighted_residual(prediction, target, (1 + motif_weight * heat.square()).sqrt())
    return residual, torch.zeros_like(residual)


def _refuse_other_losses(args: Any) -> None:
    """Refuse losses other than the square, which forks offer and the folding would not fit."""
    chosen = getattr(args, "loss_type", None)
    if chosen not in (None, "mse", "l2"):
        raise ValueError(f"--loss_type should be mse with motion weights, got {chosen}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of musubi-tuner's training scripts with the motion part in its loss."""
    parser = argparse.ArgumentParser(
        prog="python -m motifocal.bridges.musubi",
        description="musubi-tuner's training with the motion focal loss.",
        epilog="All other arguments go to musubi-tuner's own script; ask that for its --help.",
        allow_abbrev=False,
    )
    parser.add_argument("family", choices=list(SCRIPTS), help="which of its scripts")
    parser.add_argument(
        "--motif_weight", "--motif-weight", type=float, default=1.0,
        help="lambda of the motion part; the paper's is 1, and 0 is plain training (default: 1)",
    )  # fmt: skip
    ours, theirs = parser.parse_known_args(arguments)
    script = SCRIPTS[ours.family]
    module = _imported(script.module)
    name = next((name for name in script.trainers if hasattr(module, name)), None)
    if name is None or not hasattr(module, "main"):
        parser.error(f"{script.module} has no {' or '.join(script.trainers)}: an unknown version")
    try:
        trainer = motion_trainer(getattr(module, name), ours.motif_weight)
        _check_weights(theirs, ours.family, ours.motif_weight)
    except (ValueError, OSError) as error:  # of the weight, or of the data set and its caches
        parser.error(str(error))
    setattr(module, name, trainer)
    sys.argv = [str(module.__file__), *theirs]
    module.main()


def _check_weights(arguments: Sequence[str], family: str, motif_weight: float) -> None:
    """Stop before the model is loaded where cached clips have no weights.

    Only where the data set is on the command line; a --config_file is theirs to read, and there
    the first batch without weights is refused.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--dataset_config")
    config = parser.parse_known_args(arguments)[0].dataset_config
    if config is None or motif_weight == 0:
        return
    missing = missing_weights(config, family)
    if missing:
        sys.exit(
            f"{len(missing)} cached clips have no motion weights, the first is {missing[0]}; make "
            f"them with `motifocal weights musubi --dataset-config {shlex.quote(config)} --family "
            f"{family}`, and take the caches away that it refuses"
        )


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith("musubi_tuner"):
            raise  # something that musubi-tuner itself needs
        sys.exit(f"{name} is not there: install musubi-tuner here (pip install -e in its folder)")


if __name__ == "__main__":
    main()
