"""Sets of clips of which half are still, a quarter calm and a quarter lively."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from motifocal.cli import cli
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips
from motifocal.models.pipeline import BUNDLED
from motifocal.scenes.evaluation.evaluate import eval_pairs
from motifocal.scenes.export import recipe
from motifocal.scenes.stage import SCENARIOS
from motifocal.scenes.variant import STANDARD, SceneVariant

MIXED, LIVELY, CALM = SceneVariant("mixed"), SceneVariant("lively"), SceneVariant("calm")
SIZE = 32


def test_half_of_a_mixed_set_is_still_and_a_quarter_calm_in_every_scenario() -> None:
    names = sorted(SCENARIOS)
    drawn = [recipe(index, "train", 3, variant=MIXED).stage for index in range(4 * len(names))]
    for name in names:
        kinds = [s.variant.background for s in drawn if s.scenario == name]
        assert sorted(kinds) == ["calm", "lively", "still", "still"]
    first = Counter(stage.variant.background for stage in drawn[: len(names)])
    assert min(first[kind] for kind in ("still", "calm", "lively")) >= len(names) // 4
    hard = recipe(1, "train", 3, variant=SceneVariant("mixed", "hard")).stage.variant
    assert hard.difficulty == "hard"


def test_a_clip_of_a_mixed_set_is_that_of_the_set_of_its_background() -> None:
    mixed = SceneClips(8, "train", SIZE, 4, 5, MIXED)
    for index in range(8):
        background = recipe(index, "train", 5, variant=MIXED).stage.variant.background
        alone = SceneClips(8, "train", SIZE, 4, 5, SceneVariant(background))
        assert np.array_equal(mixed[index].frames, alone[index].frames)
        assert mixed[index].caption == alone[index].caption
        assert mixed.source_digest(index) != alone.source_digest(index)


def test_a_mixed_set_is_tried_on_lively_pairs_and_others_on_their_own() -> None:
    assert MIXED.of_pairs() == LIVELY
    assert [v.of_pairs() for v in (STANDARD, CALM)] == [STANDARD, CALM]
    with pytest.raises(ValueError, match="background of a stage should be one, got 'mixed'"):
        eval_pairs(2, SIZE, MIXED)


def test_an_exported_mixed_set_tells_the_background_of_each_clip(tmp_path: Path) -> None:
    arguments = ["scenes", "export", "-o", str(tmp_path / "set"), "--size", "16",
                 "--background", "mixed"]
    done = CliRunner().invoke(cli, [*arguments, "--frames", "2", "--clips", "4", "--lossless"])
    assert done.exit_code == 0, done.output
    lines = (tmp_path / "set/metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["residue"] for line in lines] == ["still", "calm", "still", "lively"]
    refused = CliRunner().invoke(cli, [*arguments, "--kind", "benchmark"])
    assert refused.exit_code == 2
    assert "--background mixed goes with --kind dataset" in refused.output


def test_commands_that_draw_single_images_refuse_a_mixed_background(tmp_path: Path) -> None:
    for command in (["scenes", "preview", "fish", "-o", str(tmp_path / "fish.png")],
                    ["scenes", "eval", "bundled", "-o", str(tmp_path / "report")]):
        refused = CliRunner().invoke(cli, [*command, "--background", "mixed"])
        assert refused.exit_code == 2
        assert "'mixed' is not one of 'still', 'living'" in refused.output


def test_workers_change_nothing_of_a_mixed_set(tmp_path: Path) -> None:
    written = []
    for workers in ("0", "2"):
        folder = tmp_path / workers
        done = CliRunner().invoke(cli, [
            "prepare", "scenes", "--clips", "4", "--background", "mixed", "--size", "16",
            "--frames", "4", "--masks", "moving", "--model", str(BUNDLED), "--workers", workers,
            "--device", "cpu", "-o", str(folder)])
        assert done.exit_code == 0, done.output
        written.append({path.name: path.read_bytes() for path in folder.glob("*.safetensors")})
        drawn = Shards(folder).manifest["source"]["scenes"]
        assert drawn["variant"]["background"] == "mixed"
    assert written[0]
    assert written[0] == written[1]


def test_a_level_of_a_mixed_background_is_refused(tmp_path: Path) -> None:
    refused = CliRunner().invoke(cli, [
        "prepare", "scenes", "--background", "mixed", "--level", "calm", "--size", "16",
        "--model", str(BUNDLED), "-o", str(tmp_path / "shards")])
    assert refused.exit_code == 2
    assert "--level goes with --background living" in refused.output
