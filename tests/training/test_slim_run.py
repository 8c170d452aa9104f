"""A slim copy of a run measures like the run, and is refused where there is nothing to copy."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from slim_run import slim

from motifocal.models.unet import TI2VUNet
from motifocal.training.checkpoint import list_checkpoints, save_checkpoint
from motifocal.training.presets import resolve
from motifocal.training.run_folder import load_averaged

SMALL = {"unet": {"block_out_channels": [8, 16], "head_width": 8}}


def written_run(folder: Path) -> Path:
    settings = resolve("scenes", SMALL)
    folder.mkdir()
    (folder / "training.json").write_text(settings.model_dump_json())
    (folder / "log.jsonl").write_text('{"step": 7}\n')
    torch.manual_seed(0)
    unet = TI2VUNet.build(settings.unet)
    average = {"shadow_params": [torch.randn_like(p) for p in unet.parameters()], "decay": 0.98}
    save_checkpoint(folder / "checkpoints", 7, {
        "unet": unet.state_dict(), "average": average,
        "optimizer": {"moments": [torch.randn(p.shape) for p in unet.parameters()]}})
    return folder


def test_a_slim_copy_has_the_averaged_weights_in_half_precision(tmp_path: Path) -> None:
    run, copy = written_run(tmp_path / "run"), tmp_path / "slim" / "run"
    slim(run, copy)
    (unet, settings, step), (again, also, same) = load_averaged(run), load_averaged(copy)
    assert (settings, step) == (also, same)
    for p, q in zip(unet.parameters(), again.parameters(), strict=True):
        assert torch.equal(p.half().float(), q)
    assert (copy / "log.jsonl").read_text() == (run / "log.jsonl").read_text()
    sizes = [list_checkpoints(folder / "checkpoints")[-1].stat().st_size for folder in (run, copy)]
    assert sizes[1] < sizes[0] / 4


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    run = written_run(tmp_path / "run")
    for checkpoint in list_checkpoints(run / "checkpoints"):
        checkpoint.unlink()
    with pytest.raises(ValueError, match="none yet"):
        slim(run, tmp_path / "slim")
    with pytest.raises(ValueError, match="run"):
        slim(tmp_path, tmp_path / "slim")
