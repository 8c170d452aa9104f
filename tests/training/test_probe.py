"""The one-pass probe: what it says of known predictions, networks and tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from click.testing import CliRunner
from tiny_model import UNET
from torch import Tensor

from motifocal.cli import cli
from motifocal.cli.scenes.probe import own_size
from motifocal.data.shards import Shards
from motifocal.models.schedule import noise_schedule
from motifocal.scenes.evaluation.evaluate import eval_pairs
from motifocal.scenes.evaluation.probe_table import (
    PROBE_TABLE,
    ProbeRow,
    add_to_table,
    compressed,
    read_probe_table,
)
from motifocal.training.measurement.probe import (
    ProbeImage,
    ProbeSet,
    encode_probe_set,
    judge_latents,
    probe,
)
from motifocal.training.measurement.probe_curve import Prober, keep_weights
from motifocal.training.run_folder import load_text


@pytest.fixture(scope="module")
def probe_set() -> ProbeSet:
    return encode_probe_set(eval_pairs(8, 16), tiny.tiny_vae())


class KnownGuess:
    """Stands for a network: at pure noise its v is minus the latents that it is given to guess."""

    device, unet_config = torch.device("cpu"), UNET

    def __init__(self, guesses: list[Tensor]) -> None:
        self.guesses = iter(guesses)

    def eval(self) -> None:
        pass

    def __call__(self, noise: Tensor, *given: object, **named: object) -> Tensor:
        return -torch.stack([next(self.guesses) for _ in noise])


def probed(probe_set: ProbeSet, base: Path, guesses: list[Tensor]) -> list:
    schedule = noise_schedule("v_prediction", zero_terminal_snr=True, use_scale=False)
    return probe(KnownGuess(guesses), schedule, load_text(base), probe_set, batch=3)  # type: ignore[arg-type]


def test_a_network_that_predicts_the_truth_follows_every_prompt(
    probe_set: ProbeSet, tmp_path: Path
) -> None:
    truths = [probe_set.images[pair.image_id].candidates[pair.action] for pair in probe_set.pairs]
    scores = probed(probe_set, tiny.tiny_base(tmp_path), truths)
    assert all(score.follows and not score.static and score.margin > 0 for score in scores)
    assert all(score.margin <= 1 + 1e-6 for score in scores)


def test_a_network_that_copies_the_image_stands_still_with_a_margin_of_minus_one(
    probe_set: ProbeSet, tmp_path: Path
) -> None:
    copies = [probe_set.images[pair.image_id].candidates[-1] for pair in probe_set.pairs]
    scores = probed(probe_set, tiny.tiny_base(tmp_path), copies)
    assert all(score.static and not score.follows for score in scores)
    assert [score.margin for score in scores] == pytest.approx([-1.0] * len(scores), abs=1e-5)


def test_only_the_region_where_something_may_move_counts() -> None:
    candidates = torch.zeros(3, 1, 2, 4, 4)
    candidates[0, ..., 0, 0], candidates[1, ..., 0, 1] = 1.0, 1.0
    region = torch.zeros(2, 4, 4, dtype=torch.bool)
    region[:, 0, :2] = True
    image = ProbeImage(candidates, region)
    predicted = candidates[0].clone()
    predicted[..., 3, 3] = 100.0
    score = judge_latents(predicted, image, 0)
    assert (score.follows, score.margin) == (True, pytest.approx(1.0))
    assert judge_latents(predicted, image, 1).follows is False


def test_a_tie_does_not_follow() -> None:
    image = ProbeImage(torch.zeros(3, 1, 2, 2, 2) + torch.tensor([1.0, 1.0, 0]).view(3, 1, 1, 1, 1),
                       torch.ones(2, 2, 2, dtype=torch.bool))
    score = judge_latents(torch.ones(1, 2, 2, 2), image, 0)
    assert (score.follows, score.margin) == (False, 0.0)


def test_the_scores_do_not_depend_on_the_batch(probe_set: ProbeSet, tmp_path: Path) -> None:
    run = tiny.tiny_run(tmp_path / "run", tiny.tiny_base(tmp_path / "base"),
                        tiny.tiny_shards(tmp_path / "shards"))
    for parameter in run.unet.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    singly, together = (
        [score.margin for score in probe(run.unet, run.schedule, run.text, probe_set, batch=batch)]
        for batch in (1, 8)
    )
    assert singly == pytest.approx(together, abs=1e-4)
    assert len(set(singly)) == len(singly)


def test_a_network_that_predicts_noise_is_refused(probe_set: ProbeSet, tmp_path: Path) -> None:
    schedule = noise_schedule("epsilon", zero_terminal_snr=False, use_scale=False)
    with pytest.raises(ValueError, match="v_prediction"):
        probe(KnownGuess([]), schedule, load_text(tiny.tiny_base(tmp_path)), probe_set)  # type: ignore[arg-type]


ROW = ProbeRow(2, "bird0", 1, "bird", "one object", True, 5, False, True, -0.25)


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [ROW, dataclasses.replace(ROW, action=2, follows=True, static=False, margin=0.5)]
    add_to_table(tmp_path / PROBE_TABLE, rows)
    (tmp_path / "probe.csv.gz").write_bytes(compressed(rows))
    assert read_probe_table(tmp_path / PROBE_TABLE) == rows
    assert read_probe_table(tmp_path / "probe.csv.gz") == rows
    assert compressed(rows) == compressed(rows)


def test_rows_of_steps_that_are_taken_again_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / PROBE_TABLE
    for step, margin in ((2, 0.1), (4, 0.2), (6, 0.3), (4, 0.4)):
        add_to_table(path, [dataclasses.replace(ROW, step=step, margin=margin)])
    assert [(row.step, row.margin) for row in read_probe_table(path)] == [(2, 0.1), (4, 0.4)]


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\x1f\x8b damaged", b"\xff\xfe", b""])
def test_a_file_that_is_no_table_is_named(tmp_path: Path, content: bytes) -> None:
    for name in ("probe.csv", "probe.csv.gz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name):
            read_probe_table(tmp_path / name)


def test_a_compressed_table_is_named_whichever_byte_is_damaged(tmp_path: Path) -> None:
    rows = [dataclasses.replace(ROW, step=step, action=step % 3) for step in range(20)]
    path, whole = tmp_path / "probe.csv.gz", compressed(rows)
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_probe_table(path)  # a byte of the header that nothing depends on
        except ValueError as error:
            refused += str(path) in str(error)
    assert refused > len(whole) - 10


def train(folder: Path, shards: Path, base: Path, *more: str) -> None:
    tiny.fresh_accelerator()
    arguments = ["train", shards, "-o", folder, "--model", base, "--preset", "scenes", "--fresh",
                 "--samples", 0, "--device", "cpu", *tiny.assignments(), *more]
    result = CliRunner().invoke(cli, [str(x) for x in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def test_training_writes_a_learning_curve_and_keeps_weights(tmp_path: Path) -> None:
    base = tiny.tiny_base(tmp_path / "base")
    tiny.tiny_shards(tmp_path / "shards")
    train(tmp_path / "run", tmp_path / "shards", base, "--probe-every", "2", "--probe-pairs", "6",
          "--keep-every", "2")
    rows = read_probe_table(tmp_path / "run" / PROBE_TABLE)
    assert [row.step for row in rows] == [2] * 6 + [4] * 6 + [5] * 6
    kept = sorted(path.name for path in (tmp_path / "run/kept").iterdir())
    assert kept == ["step-00000002", "step-00000004"]
    result = CliRunner().invoke(cli, [
        "scenes", "probe", str(tmp_path / "run/kept/step-00000004"), "--text", str(base),
        "-o", str(tmp_path / "probe"), "--pairs", "6"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    again = read_probe_table(tmp_path / "probe" / PROBE_TABLE)
    assert [row.margin for row in again] == pytest.approx([row.margin for row in rows[6:12]],
                                                          abs=2e-4)


def test_a_point_that_a_kill_cut_off_is_made_up_for(tmp_path: Path) -> None:
    base, shards = tiny.tiny_base(tmp_path / "base"), tiny.tiny_shards(tmp_path / "shards")
    prober = Prober.prepare(eval_pairs(4, 16), tiny.tiny_vae(), every=2)
    run = tiny.tiny_run(tmp_path / "run", base, shards)
    assert not prober.missed(run)
    run.step = 4
    assert prober.missed(run)
    means = prober.take(run)
    assert not prober.missed(run)
    rows = read_probe_table(run.folder / PROBE_TABLE)
    assert means["margin"] == pytest.approx(np.mean([row.margin for row in rows]), abs=1e-4)
    assert keep_weights(run).is_dir()


@pytest.mark.parametrize(("background", "level"), [("living", "calm"), ("mixed", "lively")])
def test_a_probe_of_drawn_shards_is_of_the_same_kind_of_scenes(
    tmp_path: Path, background: str, level: str
) -> None:
    base = tiny.tiny_base(tmp_path / "base")
    result = CliRunner().invoke(cli, [str(x) for x in (
        "prepare", "scenes", "-o", tmp_path / "shards", "--model", base, "--size", 16, "--frames",
        16, "--clips", 4, "--workers", 0, "--background", background, "--device", "cpu")])
    assert result.exit_code == 0, result.output
    drawn = Shards(tmp_path / "shards").manifest["source"]["scenes"]
    assert drawn["variant"]["background"] == {"living": "calm"}.get(background, background)
    tiny.fresh_accelerator()
    train(tmp_path / "run", tmp_path / "shards", base, "--probe-every", "5", "--probe-pairs", "4")
    result = CliRunner().invoke(cli, [str(x) for x in (
        "scenes", "probe", tmp_path / "run", "--text", base, "-o", tmp_path / "alone", "--pairs", 4,
        "--background", "living", "--level", level)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    of_run, alone = (read_probe_table(tmp_path / name / PROBE_TABLE) for name in ("run", "alone"))
    assert [row.margin for row in of_run] == pytest.approx([row.margin for row in alone], abs=2e-4)


@pytest.mark.parametrize(
    ("text", "side"),
    [('{"sample_height": 32}', 32), ("{}", 64), (None, 64)],
)  # fmt: skip
def test_images_of_a_model_are_of_its_own_size(
    text: str | None, side: int, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "model_index.json").write_text(text)
    assert own_size(tmp_path) == side
