"""The loss where things move over the loss everywhere: right numbers, fair to every network."""

from __future__ import annotations

import csv
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from tiny_model import UNET, tiny_folder
from torch import Tensor, nn

from motifocal.cli import cli
from motifocal.data.shards import LatentBatch
from motifocal.models.schedule import noise_schedule
from motifocal.training.loop import save
from motifocal.training.measurement.figure6 import (
    RegionLosses,
    draw_plot,
    evaluate_loss_ratio,
    middles,
    write_csv,
)

SCHEDULE = noise_schedule("v_prediction", True)
TIMES = [100, 600]
HOT = (slice(None), slice(None), slice(1, None), slice(0, 1))  # of (B, C, F', h, w)


class Clips:
    """Clips whose upper half moves from the second frame on; the last one stands still."""

    def __init__(self, count: int = 7) -> None:
        self.latents = torch.randn(count, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, indices: list[int]) -> LatentBatch:
        heatmap = torch.zeros(len(indices), 1, 3, 2, 2)
        heatmap[HOT] = 0.9
        heatmap[[i == len(self) - 1 for i in indices]] = 0.4
        fps = torch.full((len(indices),), 8.0)
        return LatentBatch(self.latents[indices], heatmap, ["x"] * len(indices), fps)


class Copier(nn.Module):
    """Knows the clean latents, and is wrong by 1 where still and by `wrong` where it moves."""

    device, unet_config = torch.device("cpu"), UNET

    def __init__(self, clips: Clips, wrong: float) -> None:
        super().__init__()
        self.clips, self.wrong, self.seen = clips, wrong, {}

    def forward(self, sample: Tensor, timestep: Tensor, text: Tensor, fps: Tensor,
                image_latent: Tensor) -> Tensor:  # fmt: skip
        distance = (self.clips.latents[:, None, :, 0] - image_latent).flatten(2).abs().sum(2)
        chosen = distance.argmin(0).tolist()
        signal = SCHEDULE.alphas_cumprod[timestep].reshape(-1, 1, 1, 1, 1).sqrt()
        noise = (sample - signal * self.clips.latents[chosen]) / (1 - signal**2).sqrt()
        for row, clip in enumerate(chosen):
            self.seen[clip, int(timestep[row])] = noise[row]
        error = torch.ones_like(sample)
        error[HOT] = self.wrong
        return SCHEDULE.velocity(self.clips.latents[chosen], noise, timestep) + error


def features(captions: list[str]) -> Tensor:
    return torch.zeros(len(captions), 8, 8)


def evaluate(shards: Any, wrong: float, **options: Any) -> tuple[RegionLosses, Copier]:
    copier: Any = Copier(shards, wrong)
    text: Any = features
    return evaluate_loss_ratio(copier, shards, text, SCHEDULE, TIMES, **options), copier


def test_the_ratio_is_the_error_where_it_moves_over_the_mean_error() -> None:
    found, _ = evaluate(Clips(), wrong=3.0)
    share = 2 / 6  # two of three frames, half of the picture
    mean = share * 9 + (1 - share)
    assert found.mean == pytest.approx(np.full((2, 7), mean), rel=1e-4)
    assert found.moving[:, :6] == pytest.approx(np.full((2, 6), 9.0), rel=1e-4)
    assert found.ratio() == pytest.approx([9 / mean] * 2, rel=1e-4)
    assert evaluate(Clips(), wrong=1.0)[0].ratio() == pytest.approx([1, 1], rel=1e-4)
    assert evaluate(Clips(), wrong=0.0)[0].ratio() == pytest.approx([0, 0], abs=1e-6)


def test_a_clip_in_which_nothing_moves_counts_for_neither_part() -> None:
    found, _ = evaluate(Clips(), wrong=3.0)
    assert found.clips == 6
    assert np.isnan(found.moving[:, 6]).all()
    found.mean[:, 6] = 1e9
    assert found.ratio() == pytest.approx(evaluate(Clips(), wrong=3.0)[0].ratio())


def test_clips_in_which_nothing_moves_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="something should move in the 1 clips"):
        evaluate(Clips(1), wrong=3.0)


def test_a_network_whose_loss_is_no_number_is_refused_as_such() -> None:
    with pytest.raises(ValueError, match="the network's loss should be finite"):
        evaluate(Clips(), wrong=math.nan)


def test_every_network_and_every_batch_size_sees_the_same_noise() -> None:
    clips = Clips()
    (_, one), (_, other), (_, seeded) = (
        evaluate(clips, 3.0, batch=7), evaluate(clips, 0.0, batch=2),
        evaluate(clips, 3.0, batch=7, seed=1),
    )  # fmt: skip
    assert one.seen.keys() == {(clip, t) for clip in range(7) for t in TIMES}
    for key, noise in one.seen.items():
        torch.testing.assert_close(other.seen[key], noise, atol=1e-4, rtol=0)
        assert not torch.allclose(seeded.seen[key], noise, atol=0.1)
    assert not torch.allclose(one.seen[0, 100], one.seen[0, 600], atol=0.1)
    assert not torch.allclose(one.seen[0, 100], one.seen[1, 100], atol=0.1)


def test_progress_counts_every_pass_and_clips_can_be_fewer() -> None:
    passes: list[int] = []
    found, _ = evaluate(Clips(), 3.0, clips=5, batch=2, progress=passes.append)
    assert found.mean.shape == (2, 5)
    assert sum(passes) == 5 * 2


def test_the_interval_holds_the_ratio_and_shrinks_with_more_clips() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for clips in (8, 200):
        mean = rng.uniform(0.5, 1.5, (3, clips))
        losses = RegionLosses(np.arange(3), mean, mean * rng.uniform(1, 3, (3, clips)))
        low, high = losses.interval()
        assert (low < losses.ratio()).all()
        assert (losses.ratio() < high).all()
        widths.append(float((high - low).mean()))
    assert widths[1] < widths[0] / 3


def test_timesteps_are_the_middles_of_equal_parts() -> None:
    assert middles(4) == [125, 375, 625, 875]
    assert (middles(1), len(set(middles(1000)))) == ([500], 1000)
    with pytest.raises(ValueError, match="from 1 to 1000, got 0"):
        middles(0)


def test_the_table_and_the_plot_hold_every_model(tmp_path: Path) -> None:
    found = {"plain": evaluate(Clips(), 3.0)[0], "motif": evaluate(Clips(), 1.5)[0]}
    write_csv(tmp_path / "a.csv", found)
    with (tmp_path / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], int(row["timestep"])) for row in rows] == [
        ("plain", 100), ("plain", 600), ("motif", 100), ("motif", 600)
    ]  # fmt: skip
    for row, expected in zip(rows, [*found["plain"].ratio(), *found["motif"].ratio()], strict=True):
        assert float(row["ratio"]) == pytest.approx(expected, rel=1e-4)
        assert float(row["hot"]) / float(row["mean"]) == pytest.approx(expected, rel=1e-4)
        assert int(row["clips"]) == 6
    draw_plot(tmp_path / "a.png", found)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"


def test_the_command_compares_runs_on_held_out_shards(tmp_path: Path) -> None:
    base = tiny.tiny_base(tmp_path / "base")
    shards = tiny.tiny_shards(tmp_path / "shards")
    for name, seed in (("one", 0), ("two", 1)):
        save(tiny.tiny_run(tmp_path / name, base, shards, seed=seed))
    result = CliRunner().invoke(cli, [
        "figure6", str(tmp_path / "one"), str(tmp_path / "two"), str(tmp_path / "shards"),
        "-o", str(tmp_path / "out"), "--text", str(base), "--bins", "2", "--device", "cpu",
    ])  # fmt: skip
    assert result.exit_code == 0, result.output
    table, plot = result.stdout.split()
    assert Path(table).read_text().count("\n") == 5
    assert Path(plot).stat().st_size > 1000
    # Fresh networks predict zero whatever their seed, and so are equal.
    rows = [line.split(",")[1:] for line in Path(table).read_text().splitlines()[1:]]
    assert rows[:2] == rows[2:]


def test_without_text_every_model_reads_its_own_text_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one = tiny_folder(tmp_path / "one")
    two = Path(shutil.copytree(one, tmp_path / "two"))
    weights = two / "text_encoder/model.safetensors"
    save_file({key: torch.randn_like(x) for key, x in load_file(weights).items()}, weights,
              metadata={"format": "pt"})
    tiny.tiny_shards(tmp_path / "shards", clips=4)

    def losses(*given: str) -> list[list[str]]:
        result = CliRunner().invoke(cli, [
            "figure6", *given, str(tmp_path / "shards"), "-o", str(tmp_path / "out"),
            "--bins", "2", "--device", "cpu",
        ])  # fmt: skip
        assert result.exit_code == 0, result.output
        table = (tmp_path / "out/figure6.csv").read_text()
        return [line.split(",")[1:] for line in table.splitlines()[1:]]

    apart = losses(str(one)) + losses(str(two))
    assert apart[:2] != apart[2:]
    assert losses(str(one), str(two)) == apart
    shared = losses(str(one), str(two), "--text", str(one))
    assert shared == apart[:2] * 2


def test_what_is_no_run_and_no_model_is_refused(tmp_path: Path) -> None:
    base = tiny.tiny_base(tmp_path / "base")
    tiny.tiny_shards(tmp_path / "shards", clips=1)
    arguments = ["figure6", str(base), str(tmp_path / "shards"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, arguments)
    assert "should be a run or a model folder with unet/" in str(result.exception)
