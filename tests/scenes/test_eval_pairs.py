"""The pairs of images and prompts that models are evaluated on."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from motifocal.files.names import slug
from motifocal.scenes.evaluation.evaluate import ENTERS, KINDS, NAMED, eval_pairs
from motifocal.scenes.stage import SCENARIOS, make_stage


def test_the_default_pairs_are_whole_pictures_of_all_scenarios_about_equally_often() -> None:
    pairs = eval_pairs()
    assert len(pairs) == len({pair.file() for pair in pairs}) == 320
    pictures = Counter(scenario for scenario, _ in {(p.scenario, p.seed) for p in pairs})
    assert set(pictures) == set(SCENARIOS)
    assert max(pictures.values()) - min(pictures.values()) <= 1
    for (scenario, seed), count in Counter((p.scenario, p.seed) for p in pairs).items():
        assert count == len(make_stage(scenario, "eval", seed).actions)
    assert 0.4 < np.mean([pair.held_out for pair in pairs]) < 0.6
    assert {pair.kind for pair in pairs} == set(KINDS)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 55, 56, 57, 100])
def test_at_most_one_picture_is_cut_and_only_when_nothing_fits(count: int) -> None:
    pairs = eval_pairs(count)
    assert len(pairs) == count
    sizes = Counter((pair.scenario, pair.seed) for pair in pairs)
    cut = [key for key, n in sizes.items() if n < len(make_stage(key[0], "eval", key[1]).actions)]
    assert len(cut) == (count % 55 in (1, 2))


def test_fewer_pairs_are_drawn_from_the_same_pictures() -> None:
    many = {(pair.file(), pair.prompt) for pair in eval_pairs(320)}
    assert {(pair.file(), pair.prompt) for pair in eval_pairs(110)} <= many


def test_hard_kinds_are_told_by_what_moves() -> None:
    kinds = {pair.prompt: pair.kind for pair in eval_pairs()}
    assert all(kind == NAMED for prompt, kind in kinds.items() if "balloon " in prompt)
    assert all(kind == ENTERS for prompt, kind in kinds.items() if " in " in f"{prompt} "
               and prompt.split()[0] in ("a", "another"))
    assert {kinds["all the light bulbs light up"], kinds["the traffic light turns green"],
            kinds["the balance tilts to the left"]} == {"one object"}


def test_file_names_are_those_of_the_published_benchmark(shared: Path) -> None:
    with (shared / "ti2v-clips" / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 320
    for row in rows:
        assert row["file"] == f"{row['image_id']}_{slug(row['prompt'])}_0.mp4"


def test_slugs_keep_words_and_drop_punctuation() -> None:
    assert slug("A dog's Tail, wagging!") == "a_dogs_tail_wagging"
