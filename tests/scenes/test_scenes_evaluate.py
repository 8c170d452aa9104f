"""Scoring on synthetic scenes: who follows, what chance is, how wide the intervals are."""

from __future__ import annotations

import csv
import io
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny import UNET, tiny_base

import motifocal.models.pipeline
from motifocal.cli import cli
from motifocal.files.names import slug
from motifocal.media.codec import FINE_CRF
from motifocal.media.video import read_video, write_image, write_video
from motifocal.metrics import over_images, psnr, ssim
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import start_noise
from motifocal.models.schedule import ddim_scheduler
from motifocal.models.unet import TI2VUNet, UNetConfig
from motifocal.scenes.evaluation.evaluate import (
    ENTERS,
    KINDS,
    NAMED,
    EvalPair,
    Frames,
    Score,
    Scored,
    Truth,
    eval_pairs,
    fit,
    follows_text,
    judge,
    score,
    truth_of,
)
from motifocal.scenes.evaluation.report import (
    HELD_OUT,
    SEEN,
    summarise,
    to_csv,
    to_json,
    to_markdown,
)
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.training.run_folder import load_text, load_vae

SMALL = 32


@cache
def stage_truth(scenario: str, seed: int, size: int) -> Truth:
    return truth_of(make_stage(scenario, "eval", seed), size=size)


def truth(pair: EvalPair) -> Truth:
    return stage_truth(pair.scenario, pair.seed, pair.size)


def true_videos(pairs: list[EvalPair]) -> Iterator[tuple[EvalPair, Frames]]:
    return ((pair, truth(pair).clips[pair.action]) for pair in pairs)


@pytest.fixture(scope="module")
def pairs() -> list[EvalPair]:
    return eval_pairs(110, SMALL)


@pytest.fixture(scope="module")
def scored(pairs: list[EvalPair]) -> Scored:
    return score(true_videos(pairs), pairs)


# The pairs


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


# Following


def test_the_truth_always_follows_and_the_still_picture_never(scored: Scored) -> None:
    assert all(s.follows == 1 and s.stands_still == 0 for s in scored.scores["made"])
    assert all(s.follows == 1 for s in scored.scores["truth"])
    assert all(s.follows == 0 and s.stands_still == 1 for s in scored.scores["still image"])


def test_no_two_sentences_of_any_evaluation_picture_look_alike() -> None:
    """At 6 grey levels apart (root mean square over the region), 8-bit rounding cannot mix them."""
    seen = set()
    for pair in eval_pairs(320, SMALL):
        if (pair.scenario, pair.seed) in seen:
            continue
        seen.add((pair.scenario, pair.seed))
        true = truth(pair)
        candidates = [clip[:, true.region].astype(float) for clip in
                      (*true.clips, true.stands_still())]
        for i, one in enumerate(candidates):
            for other in candidates[:i]:
                assert np.sqrt(np.mean((one - other) ** 2)) > 6, pair.image_id


def test_another_sentences_clip_is_found_to_be_that_sentence(pairs: list[EvalPair]) -> None:
    for pair in pairs[:24]:
        true = truth(pair)
        for index, clip in enumerate(true.clips):
            noisy = clip + np.random.default_rng(index).normal(0, 12, clip.shape)
            made = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
            assert follows_text(made, true.clips, true.still, pair.action, true.region) == (
                index == pair.action, index)


def test_what_happens_outside_the_moving_region_does_not_count(pairs: list[EvalPair]) -> None:
    true = truth(pairs[0])
    made = true.clips[0].copy()
    made[:, ~true.region] = 255 - made[:, ~true.region]
    assert follows_text(made, true.clips, true.still, 0, true.region) == (True, 0)
    assert judge(made, true, 0).background_psnr < 20


def test_a_tie_does_not_follow() -> None:
    black = np.zeros((4, 16, 16, 3), np.uint8)
    region = np.ones((16, 16), bool)
    assert follows_text(black, [black, black + 9], black[0], 0, region) == (False, 0)
    assert follows_text(black, [black, black + 9], black[0] + 5, 0, region) == (True, 0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    clip, region = np.zeros((4, 16, 16, 3), np.uint8), np.ones((16, 16), bool)
    for truths, still, asked, where in (
        ([clip[:3]], clip[0], 0, region), ([clip], clip[0, :8], 0, region),
        ([clip], clip[0], 1, region), ([clip], clip[0], 0, region[:8]),
        ([clip], clip[0], 0, np.zeros_like(region)),
    ):
        with pytest.raises(ValueError, match="should"):
            follows_text(clip, truths, still, asked, where)


def test_choosing_at_random_scores_chance(pairs: list[EvalPair]) -> None:
    rng = np.random.default_rng(0)

    def random_choice() -> Iterator[tuple[EvalPair, Frames]]:
        for pair in pairs:
            true = truth(pair)
            candidates = (*true.clips, true.stands_still())
            yield pair, candidates[rng.integers(len(candidates))]

    group = summarise(score(random_choice(), pairs)).groups[0]
    follows = group.measures["made"]["follows"]
    sentences = [len(make_stage(p.scenario, "eval", p.seed).actions) for p in pairs]
    assert group.chance == pytest.approx(np.mean([1 / (n + 1) for n in sentences]))
    assert follows.low < group.chance < follows.high


# Fidelity and motion


def test_psnr_has_its_textbook_value_and_a_ceiling() -> None:
    grey = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(grey, grey + 5) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(grey, grey) == pytest.approx(10 * math.log10(255**2 * 12))


def test_ssim_equals_its_definition_in_one_window() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 11, 11, 3), dtype=np.uint8)
    place = np.arange(11) - 5
    kernel = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[..., None]
    x, y = a.astype(float), b.astype(float)
    mx, my = (x * kernel).sum((0, 1)), (y * kernel).sum((0, 1))
    vx, vy = ((x - mx) ** 2 * kernel).sum((0, 1)), ((y - my) ** 2 * kernel).sum((0, 1))
    cov = ((x - mx) * (y - my) * kernel).sum((0, 1))
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(a, b) == pytest.approx(expected.mean(), abs=1e-9)


def test_ssim_is_one_for_equals_symmetric_and_falls_with_blur() -> None:
    a, b = (make_stage(name, "eval", 0) for name in ("fish", "car"))
    one, two = (truth_of(stage, size=SMALL).still for stage in (a, b))
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, two) == pytest.approx(ssim(two, one))
    assert ssim(one, two) < 0.6
    with pytest.raises(ValueError, match="11 or more"):
        ssim(one[:8], one[:8])


def test_motion_tells_standing_still_from_moving_wrongly(pairs: list[EvalPair]) -> None:
    true = truth(pairs[0])
    assert judge(true.stands_still(), true, 0).motion == 0
    assert judge(true.clips[0], true, 0).motion == pytest.approx(1)
    wrong = judge(true.clips[1], true, 0)
    assert wrong.follows == 0
    assert wrong.stands_still == 0
    assert wrong.motion > 0.5


def test_fidelity_is_about_the_first_frame_alone(pairs: list[EvalPair]) -> None:
    true = truth(pairs[0])
    made = true.clips[0].copy()
    made[1:] = 0
    assert judge(made, true, 0).psnr == pytest.approx(10 * math.log10(255**2 * 12))
    assert judge(made, true, 0).ssim == pytest.approx(1)


# Many videos


def test_other_sizes_and_lengths_are_fitted(pairs: list[EvalPair]) -> None:
    some = pairs[:8]

    def larger() -> Iterator[tuple[EvalPair, Frames]]:
        for pair in some:
            clip = truth(pair).clips[pair.action]
            big = clip[np.repeat(np.arange(16), 2)].repeat(3, axis=1).repeat(3, axis=2)
            yield pair, np.pad(big, ((0, 0), (0, 0), (21, 21), (0, 0)))

    made = score(larger(), some).scores["made"]
    assert all(s.follows == 1 for s in made)
    assert all(s.psnr > 40 for s in made)


def test_fitting_keeps_the_first_and_the_last_frame() -> None:
    frames = np.arange(25, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(20, 2)
    fitted = fit(frames.repeat(3, 3), 16, 16)
    assert fitted.shape == (16, 16, 16, 3)
    assert (fitted[0, 0, 0, 0], fitted[-1, 0, 0, 0]) == (0, 24)
    with pytest.raises(ValueError, match="got"):
        fit(frames[0], 16, 16)


def test_a_missing_video_is_refused_or_listed_but_never_averaged_away(
    pairs: list[EvalPair],
) -> None:
    some = pairs[:8]
    held = list(true_videos(some[:5]))
    with pytest.raises(ValueError, match=f"3 of 8 videos are missing: {some[5].file()}"):
        score(held, some)
    partial = summarise(score(held, some, allow_missing=True))
    assert partial.scored.missing == tuple(pair.file() for pair in some[5:])
    assert partial.groups[0].pairs == 5
    assert not partial.complete
    content = json.loads(to_json(partial))
    assert content["complete"] is False
    assert content["missing"] == [pair.file() for pair in some[5:]]
    assert "INCOMPLETE: 3 of 8" in to_markdown(partial)
    assert all(pair.file() in to_markdown(partial) for pair in some[5:])


def test_no_video_at_all_is_refused_in_any_case(pairs: list[EvalPair]) -> None:
    with pytest.raises(ValueError, match="8 of 8"):
        score([], pairs[:8], allow_missing=True)


def test_a_video_that_comes_twice_or_belongs_to_no_pair_is_refused(pairs: list[EvalPair]) -> None:
    videos = list(true_videos(pairs[:4]))
    with pytest.raises(ValueError, match="came twice"):
        score([*videos, videos[0]], pairs[:4])
    with pytest.raises(ValueError, match="none of the pairs"):
        score(videos, pairs[:3])


def test_further_reference_videos_are_scored_on_the_same_pairs(pairs: list[EvalPair]) -> None:
    backwards = {"backwards": lambda true, action: true.clips[action][::-1]}
    made = score(true_videos(pairs[:4]), pairs[:4], references=backwards)
    assert list(made.scores) == ["made", "backwards"]
    assert len(made.scores["backwards"]) == 4


# Reports


def test_intervals_over_pictures_are_wider_than_over_pairs_that_agree() -> None:
    """Four pairs a picture that always agree hold a quarter of the evidence."""
    rng = np.random.default_rng(1)
    values = np.repeat(rng.integers(0, 2, 50), 4).astype(float)
    pictures = np.repeat([f"p{i}" for i in range(50)], 4)
    over = over_images(values, list(pictures))
    alone = over_images(values, [f"{p}.{i}" for i, p in enumerate(pictures)])
    assert over.mean == alone.mean == values.mean()
    assert (over.high - over.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.15)


def test_the_interval_of_independent_pairs_is_the_binomial_one() -> None:
    values = np.r_[np.ones(120), np.zeros(80)]
    measured = over_images(values, [str(i) for i in range(200)])
    half = 1.96 * math.sqrt(0.6 * 0.4 / 200)
    assert measured.mean == 0.6
    assert measured.low == pytest.approx(0.6 - half, abs=0.01)
    assert measured.high == pytest.approx(0.6 + half, abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_one_picture_gives_none() -> None:
    values, pictures = np.array([1.0, 0, 0, 1, 1]), ["a", "a", "b", "b", "c"]
    assert over_images(values, pictures, seed=3) == over_images(values, pictures, seed=3)
    alone = over_images(values, ["a"] * 5)
    assert alone.mean == 0.6
    assert math.isnan(alone.low)


def test_every_pair_is_in_the_total_and_once_in_every_section(scored: Scored) -> None:
    groups = {group.name: group for group in summarise(scored).groups}
    assert groups["all"].pairs == 110
    assert groups[SEEN].pairs + groups[HELD_OUT].pairs == 110
    assert sum(groups[kind].pairs for kind in KINDS) == 110
    assert sum(groups[name].pairs for name in SCENARIOS) == 110
    assert groups["balloons"].chance == pytest.approx(1 / 6)


def test_a_scenario_that_fails_shows_in_its_row_and_in_the_total(scored: Scored) -> None:
    failed = Score(0.0, 1.0, 30.0, 0.9, 30.0, 0.0)
    made = tuple(failed if pair.scenario == "fish" else s
                 for pair, s in zip(scored.pairs, scored.scores["made"], strict=True))
    groups = {g.name: g.measures["made"]["follows"] for g in summarise(
        Scored(scored.pairs, scored.chance, {**scored.scores, "made": made}, ())).groups}
    assert groups["fish"].mean == 0
    assert groups["duck"].mean == 1
    assert groups["all"].mean == pytest.approx(102 / 110)
    assert groups["all"].low < 102 / 110 < groups["all"].high


def test_json_csv_and_markdown_hold_the_same_numbers(scored: Scored) -> None:
    report = summarise(scored, "the truth")
    content = json.loads(to_json(report))
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(content["pairs"]) == len(rows) == 110
    assert content["title"] == "the truth"
    assert content["groups"][0]["measures"]["made"]["follows"]["mean"] == 1
    assert np.mean([float(row["follows"]) for row in rows]) == 1
    line = next(line for line in to_markdown(report).splitlines() if line.startswith("| all |"))
    assert line.split(" | ")[1:8] == ["30", "110", "100.0%", "100-100%", "21.3%", "0.0%",
                                      "100.0%"]


# The command


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["scenes", "eval", *map(str, arguments)],
                                catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def write_truth(folder: Path, pairs: list[EvalPair]) -> None:
    folder.mkdir(exist_ok=True)
    for pair, frames in true_videos(pairs):
        write_video(folder / pair.file(), frames, 8, crf=FINE_CRF)


def test_the_command_scores_a_folder_of_videos(tmp_path: Path) -> None:
    write_truth(tmp_path / "videos", eval_pairs(8, 64))
    output = run(tmp_path / "videos", "--pairs", 8, "-o", tmp_path / "report")
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    group = content["groups"][0]
    assert group["measures"]["made"]["follows"]["mean"] == 1
    assert group["images"] == group["pictures"]
    assert group["measures"]["still image"] == group["measures"]["still picture"]
    assert "picture" not in (tmp_path / "report" / "report.md").read_text()
    for name in ("report.json", "report.md", "pairs.csv", "sheet.png"):
        assert (tmp_path / "report" / name).stat().st_size > 0
        assert str(tmp_path / "report" / name) in output
    assert "100.0%" in output


def test_the_command_refuses_missing_videos_unless_told_and_then_says_so(tmp_path: Path) -> None:
    write_truth(tmp_path / "videos", eval_pairs(8, 64)[:7])
    arguments = (tmp_path / "videos", "--pairs", 8, "-o", tmp_path / "report")
    with pytest.raises(ValueError, match="1 of 8 videos are missing"):
        run(*arguments)
    assert "INCOMPLETE: 1 of 8" in run(*arguments, "--allow-missing")


def test_the_command_names_a_damaged_video_and_scores_the_others(tmp_path: Path) -> None:
    pairs = eval_pairs(8, 64)
    write_truth(tmp_path / "videos", pairs)
    damaged = tmp_path / "videos" / pairs[2].file()
    damaged.write_bytes(damaged.read_bytes()[:300])
    arguments = ["scenes", "eval", str(tmp_path / "videos"), "--pairs", "8", "--allow-missing",
                 "-o", str(tmp_path / "report")]  # fmt: skip
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert f"left out: {damaged}: " in result.stderr
    assert "INCOMPLETE: 1 of 8" in result.stderr
    assert json.loads((tmp_path / "report/report.json").read_text())["missing"] == [damaged.name]


def test_the_command_animates_what_is_missing_and_resumes(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    # Noise of its own keeps the videos of an untrained network far apart.
    arguments = (model, "--noise", "file-name", "--pairs", 7, "--size", SMALL, "--steps", 2, "-o",
                 tmp_path / "report")
    run(*arguments, "--batch", 4, "--autoencoder", "--device", "cpu")
    videos = sorted((tmp_path / "report" / "videos").glob("*.mp4"))
    assert len(videos) == 7
    first = {path.name: read_video(path).frames for path in videos}
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    assert "truth through the autoencoder" in content["groups"][0]["measures"]

    kept, lost = videos[0], videos[3]
    stamp = kept.stat().st_mtime_ns
    lost.unlink()
    run(*arguments, "--batch", 1, "--device", "cpu")
    assert kept.stat().st_mtime_ns == stamp
    # Another batch size sums in another order; where that tips a pixel by one level, the codec may
    # spend its bits elsewhere. Another video is ten times as far away.
    again = read_video(lost).frames.astype(float)
    assert np.abs(again - first[lost.name]).mean() < 2
    assert np.abs(again - first[videos[4].name]).mean() > 10

    with pytest.raises(ValueError, match=r"steps 2 \(not 3\)"):
        run(*arguments[:-4], "--steps", 3, "-o", tmp_path / "report")


def test_videos_of_a_pair_differ_from_seed_to_seed(tmp_path: Path) -> None:
    model = tiny_model(tmp_path / "model")
    for seed in (0, 1, 2):
        run(model, "--pairs", 1, "--size", SMALL, "--steps", 1, "--seed", seed, "--device", "cpu",
            "-o", tmp_path / f"report{seed}")
    videos = [read_video(path).frames.tobytes() for path in tmp_path.glob("report*/videos/*.mp4")]
    assert len(videos) == len(set(videos)) == 3


@pytest.fixture
def start_noises(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """The start noise of every batch that the pipeline samples from now on."""
    drawn: list[torch.Tensor] = []

    def recorded(*arguments: Any) -> torch.Tensor:
        drawn.append(start_noise(*arguments))
        return drawn[-1]

    monkeypatch.setattr(motifocal.models.pipeline, "start_noise", recorded)
    return drawn


def test_a_seed_is_the_same_noise_in_eval_animate_and_bench_run(
    tmp_path: Path, start_noises: list[torch.Tensor]
) -> None:
    model = tiny_model(tmp_path / "model")
    given = ("--size", SMALL, "--steps", 1, "--device", "cpu")
    run(model, "--pairs", 3, "--batch", 3, "--seed", 1, *given, "-o", tmp_path / "report")
    (evaluated,) = start_noises
    seed = torch.Generator().manual_seed(1)
    expected = torch.randn(evaluated[:1].shape, generator=seed)
    assert torch.equal(evaluated, expected.expand_as(evaluated))

    pair = eval_pairs(1, SMALL)[0]
    write_image(tmp_path / "picture.png", pair.image())
    words = ["animate", tmp_path / "picture.png", pair.prompt, "--model", model, "--seed", 1,
             *given, "-o", tmp_path / "video.mp4"]
    assert CliRunner().invoke(cli, [str(word) for word in words]).exit_code == 0
    assert torch.equal(start_noises[-1], expected)

    export = ["scenes", "export", "-o", tmp_path / "bench", "--kind", "benchmark", "--pairs", 1,
              "--size", SMALL]
    bench = ["bench", "run", "--bench", tmp_path / "bench", "--model", model, "--seeds", 2, *given,
             "-o", tmp_path / "results"]
    for words in (export, bench):
        assert CliRunner().invoke(cli, [str(word) for word in words]).exit_code == 0
    assert len(start_noises) == 4
    assert torch.equal(start_noises[-1], expected)


def test_the_noise_of_published_scores_comes_from_the_file_name(
    tmp_path: Path, start_noises: list[torch.Tensor]
) -> None:
    model = tiny_model(tmp_path / "model")
    given = ("--pairs", 2, "--size", SMALL, "--steps", 1, "--device", "cpu", "-o", tmp_path / "out")
    run(model, "--noise", "file-name", *given)
    (drawn,) = start_noises
    for noise, pair in zip(drawn, eval_pairs(2, SMALL), strict=True):
        generator = torch.Generator().manual_seed(zlib.crc32(pair.file().encode()))
        assert torch.equal(noise[None], torch.randn(noise[None].shape, generator=generator))
    made = json.loads((tmp_path / "out" / "videos" / "made.json").read_text())
    assert set(made) == {"weights", "size", "steps", "guidance", "seed"}  # as version 0.1 wrote it
    with pytest.raises(ValueError, match=r"noise None \(not 'seed'\)"):
        run(model, *given)


def test_the_command_names_what_is_wrong(tmp_path: Path) -> None:
    for arguments, complaint in (
        (["eval", str(tmp_path / "nothing")], "is no folder"),
        (["eval", str(tmp_path), "--autoencoder"], "--autoencoder needs a model"),
    ):
        result = CliRunner().invoke(cli, ["scenes", *arguments])
        assert result.exit_code == 2
        assert complaint in result.output


def tiny_model(folder: Path) -> Path:
    """A model folder with untrained parts whose denoiser does not predict zero."""
    base = tiny_base(folder.with_name("base"))
    unet = TI2VUNet.build(UNetConfig.from_mapping(
        {**UNET, "image_condition": "concat", "image_token_dim": None}))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    text = load_text(base)
    scheduler = ddim_scheduler("v_prediction")
    TI2VPipeline(unet, load_vae(base), text.text_encoder, text.tokenizer, scheduler,
                 SMALL, SMALL, 16, 8.0).save_pretrained(folder)
    return folder
