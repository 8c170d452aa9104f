"""The ablations: the plan holds every arm, a small copy runs through, the page is up to date."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import ablations  # noqa: E402
import ablations_agreement  # noqa: E402
import ablations_kinds  # noqa: E402
import ablations_page  # noqa: E402
import ablations_plan  # noqa: E402
import ablations_results  # noqa: E402

from motifocal.cli import train as train_command  # noqa: E402
from motifocal.loss.neighbours import NEIGHBOURS  # noqa: E402
from motifocal.scenes.evaluation import evaluate  # noqa: E402
from motifocal.scenes.evaluation.probe_table import compressed, read_probe_table  # noqa: E402
from motifocal.training.checkpoint import kept_weights  # noqa: E402


def test_the_plan_holds_every_arm_with_its_seeds_and_the_deciding_ones_first() -> None:
    jobs = ablations_plan.plan(ablations_plan.FULL)
    assert len({job.name for job in jobs}) == len(jobs)
    still = [job for job in jobs if job.experiment.key == "still"]
    assert [job.arm.key for job in still[:4]] == ["lambda0", "lambda1"] * 2
    seeds = {arm.key: sum(job.arm.key == arm.key for job in still)
             for arm in ablations_plan.ALL_ARMS}
    assert seeds["lambda0"] == seeds["lambda1"] == 5
    assert min(seeds.values()) >= 3


def test_a_run_is_done_when_its_curve_figure_6_and_the_scores_of_sampled_videos_are_there(
    tmp_path: Path,
) -> None:
    runner = ablations.Runner(tmp_path, tmp_path / "results", ablations_plan.FULL, "cpu")
    jobs = {job.name: job for job in ablations_plan.plan(ablations_plan.FULL, ["hard"])}
    for name, sampled in (("hard/normalised-seed4", True), ("hard/lambda5-seed2", False)):
        assert not runner.is_done(jobs[name])
        ablations.keep(runner.result(jobs[name]), b"")
        assert not runner.is_done(jobs[name])
        ablations.keep(runner.figure6(jobs[name]), b"")
        assert runner.is_done(jobs[name]) is not sampled
        ablations.keep(runner.sampled(jobs[name], "end"), b"")
        assert runner.is_done(jobs[name])


@pytest.mark.parametrize("kept", [(200, 400, 600, 800), ()], ids=["kept", "none kept"])
def test_videos_are_sampled_with_the_weights_of_the_half_of_the_training_and_of_its_end(
    kept: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = ablations.Runner(tmp_path, tmp_path / "results", ablations_plan.FULL, "cpu")
    job = next(job for job in ablations_plan.plan(ablations_plan.FULL, ["still"])
               if job.name == "still/lambda1-seed3")
    for step in kept:
        kept_weights(runner.folder(job), step).mkdir(parents=True)
    called: list[tuple[object, ...]] = []
    monkeypatch.setattr(ablations, "call", lambda *words: called.append(words))
    monkeypatch.setattr(ablations, "read_run", lambda folder: [])
    runner.sample(job)
    bundled = {words[words.index("-o") + 1]: words[words.index("--step") + 1:] if kept else ()
               for words in called if words[0] == "bundle"}
    sampled = [words[2] for words in called if words[:2] == ("scenes", "eval")]
    models = [runner.folder(job) / f"model-{when}" for when in ("half", "end")]
    if kept:
        assert bundled == {models[0]: (400,), models[1]: (800,)}
        assert sampled == models
    else:  # a run beside others on a GPU has the weights of its end alone
        assert list(bundled) == sampled == models[1:]
    assert runner.sampled(job, "half").exists() is bool(kept)
    assert runner.sampled(job, "end").exists()


def test_videos_of_the_half_of_the_training_are_compared_apart_from_those_of_its_end(
    tmp_path: Path,
) -> None:
    still = next(e for e in ablations_plan.EXPERIMENTS if e.key == "still")
    (tmp_path / "still").mkdir()
    for arm in ("lambda0", "lambda1"):
        for seed in range(5):
            run = f"still/{arm}-seed{seed}"
            shutil.copy(ROOT / "runs" / "ablations" / f"{run}.csv.gz", tmp_path / "still")
            for when, name in (("half", "lambda0"), ("end", arm)):  # at the half both are λ = 0
                source = ROOT / "runs" / "ablations" / f"still/{name}-seed{seed}.sampled.csv.gz"
                shutil.copy(source, tmp_path / ablations_plan.samples_name(run, when))
    part = ablations_page.block(tmp_path, still, None)
    before, _, after = part.partition("By sampling at the end (")
    half = before.partition("By sampling after half of the training (")[2]
    assert "| +0.0 |" in half
    assert "| +0.0 |" not in after
    (row,) = (line for line in ablations_page.summary(tmp_path, None).splitlines()
              if line.startswith("| still |"))
    head = ablations_page.summary(tmp_path, None).splitlines()[0].split(" | ")
    assert row.split(" | ")[head.index("sampled after half of the training")] == "+0.0"
    assert head[-1] == "sampled at the end |"


def test_the_page_has_a_place_for_every_experiment() -> None:
    page = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    places = [m[2] for m in ablations_page.BLOCK.finditer(page)]
    experiments = [e.key for e in ablations_plan.EXPERIMENTS]
    assert sorted(places) == sorted(["summary", "kinds", "agreement", *experiments])


def test_the_page_says_what_the_results_say() -> None:
    page = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    assert ablations_page.filled(page, ROOT / "runs" / "ablations", pictures=None) == page


def test_figure_6_has_no_table_where_the_baselines_is_not_measured(tmp_path: Path) -> None:
    experiment = next(e for e in ablations_plan.EXPERIMENTS if e.key == "hard")
    seeds, arms = (0, 1, 2), experiment.arms
    shutil.copytree(ROOT / "runs" / "ablations" / "hard", tmp_path / "hard")
    (table,) = ablations_page.figure6(tmp_path, experiment, seeds, arms)
    assert [f"| {arm.label} |" in table for arm in arms] == [True] * len(arms)
    (tmp_path / "hard" / "lambda5-seed1.figure6.csv").unlink()
    (table,) = ablations_page.figure6(tmp_path, experiment, seeds, arms)
    assert [f"| {arm.label} |" in table for arm in arms] == [arm.key != "lambda5" for arm in arms]
    (tmp_path / "hard" / "lambda0-seed1.figure6.csv").unlink()
    assert ablations_page.figure6(tmp_path, experiment, seeds, arms) == []


def test_every_loss_of_another_paper_is_an_arm_with_three_seeds() -> None:
    jobs = ablations_plan.plan(ablations_plan.FULL, ["losses"])
    new = [job for job in jobs if not job.arm.runs_of]
    assert len(new) == 3 * len(NEIGHBOURS)
    variants = {setting.partition("=")[2] for job in new for setting in job.arm.settings}
    assert variants == set(NEIGHBOURS)
    shared = {job.name for job in jobs if job.arm.runs_of}
    assert shared <= {job.name for job in ablations_plan.plan(ablations_plan.FULL, ["lively"])}


def test_losses_of_other_papers_are_compared_with_both_arms_on_the_seeds_that_they_have(
    tmp_path: Path,
) -> None:
    lively = ROOT / "runs" / "ablations" / "lively"
    shutil.copytree(lively, tmp_path / "lively")
    (tmp_path / "losses").mkdir()
    losses = next(e for e in ablations_plan.EXPERIMENTS if e.key == "losses")
    assert ablations_page.block(tmp_path, losses, None) == "No results yet.\n"
    for seed in range(2):  # two seeds of λ = 1 as if they were of another loss
        for end in (".csv.gz", ".json", ".figure6.csv"):
            shutil.copy(lively / f"lambda1-seed{seed}{end}",
                        tmp_path / "losses" / f"difference-seed{seed}{end}")
    both, alone = ablations_page.block(tmp_path, losses, None).split("against λ = 1")
    # The copy differs from λ = 0 as λ = 1 does, and from λ = 1 not at all.
    copies, originals = ([line.split("|")[2:] for line in both.splitlines()
                          if line.startswith(f"| {label} |")]
                         for label in ("difference of frames (VideoX-Fun)", "λ = 1 (the paper's)"))
    assert len(copies) == 5
    assert copies == originals
    assert "| +0.0 |" in alone
    assert "2 seeds" in alone
    assert "2 runs;" in alone


def test_arms_with_fewer_seeds_are_compared_with_the_second_arm_too_on_their_seeds(
    tmp_path: Path,
) -> None:
    (tmp_path / "hard").mkdir()
    for path in (ROOT / "runs" / "ablations" / "hard").glob("lambda[01]-seed*"):
        shutil.copy(path, tmp_path / "hard")
    for seed in range(2):  # two seeds of λ = 1 as if they were of another loss
        shutil.copy(tmp_path / "hard" / f"lambda1-seed{seed}.csv.gz",
                    tmp_path / "hard" / f"normalised-seed{seed}.csv.gz")
    hard = next(e for e in ablations_plan.EXPERIMENTS if e.key == "hard")
    first, second = ablations_results.groups(tmp_path, hard)
    assert (first.seeds, second.seeds) == ((0, 1, 2, 3, 4), (0, 1))
    assert [[arm.key for arm in group.arms] for group in (first, second)] == [
        ["lambda0", "lambda1"], ["lambda0", "lambda1", "normalised"]]
    against = ablations_plan.MOTIF.label
    assert first.against(against) == ()
    assert [arm.key for arm in second.against(against)] == ["lambda1", "normalised"]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]]
            for line in ablations_page.summary(tmp_path, None).splitlines() if "| hard |" in line]
    assert [row[1:4] for row in rows] == [
        ["λ = 1 (the paper's)", "λ = 0", "5"], ["normalised", "λ = 0", "2"],
        ["normalised", "λ = 1 (the paper's)", "2"]]
    assert set(rows[2][4:8]) == {"+0.0"}
    assert [bool(row[8]) for row in rows] == [True, False, False]


def test_the_summary_has_each_arm_once_with_the_differences_of_its_section() -> None:
    results = ROOT / "runs" / "ablations"
    table = ablations_page.summary(results, None)
    sections = "".join(ablations_page.block(results, e, None) for e in ablations_plan.EXPERIMENTS)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]]
             for line in table.splitlines() if line.startswith("|")][2:]
    assert len({tuple(line[:3]) for line in lines}) == len(lines)
    assert {line[0] for line in lines} >= {"still", "lively"}
    for line in lines:
        differences = [cell for cell in line[4:] if cell]
        assert len(differences) >= 4
        assert all(f"| {difference} |" in sections for difference in differences), line


def test_kinds_of_prompts_are_parts_of_the_pairs_and_their_differences_of_the_whole() -> None:
    results = ROOT / "runs" / "ablations"
    table = ablations_kinds.by_kind(results)
    lines = [[cell.strip() for cell in line.split("|")[1:-1]]
             for line in table.splitlines() if line.startswith("|")][2:]
    assert {line[0] for line in lines} >= {"still", "lively", "hard"}
    for scenes in {line[0] for line in lines}:
        rows = {line[1]: line[2:] for line in lines if line[0] == scenes}
        assert set(rows) == set(ablations_kinds.PAIRS)
        parts = [rows[kind] for kind in evaluate.KINDS]
        count = [int(part[0]) for part in parts]
        assert sum(count) == int(rows["all"][0]) == 320
        for column, whole in enumerate(rows["all"][1:], start=1):
            share, difference = (
                [float(re.sub("[*%]", "", cell.split()[place])) for cell in
                 (whole, *(part[column] for part in parts))] for place in (0, 1))
            for (total, *of_parts) in (share, difference):
                mean = sum(n * value for n, value in zip(count, of_parts, strict=True)) / 320
                assert total == pytest.approx(mean, abs=0.11), (scenes, column)


def test_networks_whose_videos_rank_as_the_probe_does_agree(tmp_path: Path) -> None:
    lively = next(e for e in ablations_plan.EXPERIMENTS if e.key == "lively")
    (tmp_path / "lively").mkdir()
    for seed in range(5):
        name = f"lively/lambda0-seed{seed}"
        rows = read_probe_table(ROOT / "runs" / "ablations" / f"{name}.csv.gz")
        (tmp_path / f"{name}.csv.gz").write_bytes(compressed(rows))
        last = [row for row in rows if row.step == 800]
        (tmp_path / f"{name}.sampled.csv.gz").write_bytes(compressed(last))
    agreed = ablations_agreement.agreement(tmp_path)
    assert len(agreed.splitlines()) == 3  # a row of lively scenes alone
    assert f"| {lively.scenes} | 5 |" in agreed
    assert agreed.strip().endswith("| 1.00 |")
    (tmp_path / "lively/lambda0-seed0.csv.gz").unlink()
    (tmp_path / "lively/lambda0-seed1.sampled.csv.gz").unlink()
    assert ablations_agreement.agreement(tmp_path) == "No results yet.\n"  # three networks


def test_runs_that_two_experiments_share_are_made_once_and_in_either() -> None:
    lively, conditioning, together = (
        [job.name for job in ablations_plan.plan(ablations_plan.FULL, only)]
        for only in (["lively"], ["conditioning"], ["lively", "conditioning"])
    )
    assert set(lively) & set(conditioning) == {f"lively/lambda1-seed{seed}" for seed in range(3)}
    assert sorted(together) == sorted(set(lively) | set(conditioning))


@pytest.mark.parametrize("arm", [arm for experiment in ablations_plan.EXPERIMENTS[-3:]
                                 for arm in experiment.arms
                                 if arm.label != ablations_plan.MOTIF.label],
                         ids=lambda arm: arm.label)
def test_the_arms_of_inputs_are_settings_of_the_bundled_network(
    arm: ablations_plan.Arm,
) -> None:
    words = [str(ROOT), "-o", "run", "--model", str(ROOT), "--preset", "scenes", *arm.options]
    given = train_command.train.make_context("train", words).params
    settings = train_command._settings(ROOT / "motifocal/bundled", arm.settings,
                                       {**given, "fresh": True})
    network = settings.unet
    assert network.image_condition == {"cross-attention": "attention", "both": "both"}.get(
        arm.key, "concat")
    told = (network.motion_score, network.motion_mask)
    assert told == tuple(f"with motion {name}" in arm.label for name in ("score", "mask"))
    assert (settings.motif_weight == 0) is (arm.key == "lambda0")


@pytest.mark.slow
def test_a_small_copy_trains_every_kind_of_arm_and_makes_a_page_of_the_same_form(
    tmp_path: Path,
) -> None:
    def run(script: str, *arguments: object) -> str:
        done = subprocess.run([sys.executable, str(ROOT / "scripts" / script),
                               *map(str, arguments)], capture_output=True, text=True)
        logs = [path.read_text()[-2000:] for path in sorted(tmp_path.rglob("*.log"))]
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
        return done.stdout

    first = run("ablations.py", "--quick", "--work", tmp_path, "--jobs", 2)
    results = tmp_path / "quick" / "results"
    assert first.count(": done") == len(ablations_plan.plan(ablations_plan.QUICK))
    assert run("ablations.py", "--quick", "--work", tmp_path).startswith("0 runs to do")
    for table in results.rglob("*.figure6.csv"):
        assert str(tmp_path) not in table.read_text()
    page = tmp_path / "page" / "proof.md"
    run("ablations_page.py", "--results", results, "--page", page)
    text = page.read_text(encoding="utf-8")
    still = re.search(r"<!-- ablations: still -->(.*?)<!-- /ablations -->", text, re.DOTALL)
    assert still is not None
    for words in ("Follows the prompt", "Margin", "Figure 6", "By sampling", "masks of all objects",
                  "bulbs, traffic light"):
        assert words in still[1], words
    for picture in re.findall(r"\]\((images/curves[^)]*)\)", text):
        assert (page.parent / picture).exists()
