"""Runs over a benchmark: resumed, sharded, failing in parts, and recorded line by line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_bench import FPS, FRAMES, SIDE, DrawingModel, drawn_results, moving, write_benchmark

from motifocal.bench.pairs import SCENES, Benchmark, Pair, read_benchmark
from motifocal.bench.results import (
    MANIFEST,
    Results,
    claim_results,
    manifest_lines,
    open_results,
)
from motifocal.bench.run import Shard, run
from motifocal.files.json_lines import append_line
from motifocal.generate.model import Format, Job
from motifocal.media.video import read_image, read_video, write_video


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path / "bench")


def files(folder: Path) -> dict[str, bytes]:
    """Every file but the manifests, which hold times."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith(MANIFEST)}


def whole(bench: Path, folder: Path, **options: Any) -> dict[str, bytes]:
    model = DrawingModel()
    outcomes = run(model, drawn_results(bench, folder, model), **options)
    assert all(outcome.new for outcome in outcomes)
    return files(folder)


def test_a_run_makes_a_video_for_every_pair_and_seed_and_says_how(
    bench: Path, tmp_path: Path
) -> None:
    made = whole(bench, tmp_path / "out")
    videos = sorted(name for name in made if name.startswith("videos/"))
    assert len(videos) == 10
    assert "videos/ball_1_the_ball_falls_slowly_1.mp4" in videos
    lines = {line["file"]: line for line in manifest_lines(tmp_path / "out")}
    assert sorted(lines) == [Path(name).name for name in videos]
    line = lines["kite_its_still_0.mp4"]
    expected = {"scenario": "kite", "image_id": "kite", "prompt": "it's still", "seed": 0,
                "settings": {"strength": 3}, "status": "made", "frames": FRAMES, "height": SIDE,
                "width": SIDE, "fps": FPS}  # fmt: skip
    assert {key: line[key] for key in expected} == expected
    assert line["seconds"] >= 0
    assert {"motifocal", "torch", "python"} <= set(line["versions"])
    assert len(line["picture_sha256"]) == len(line["video_sha256"]) == 64


def test_a_folder_of_results_says_what_it_is(bench: Path, tmp_path: Path) -> None:
    whole(bench, tmp_path / "out")
    held = open_results(tmp_path / "out")
    benchmark = read_benchmark(bench, own_pairs=True)
    assert (held.model, held.seeds, held.settings) == ("drawing", (0, 1), {"strength": 3})
    assert held.benchmark.digest() == benchmark.digest()
    assert held.format == Format(FRAMES, SIDE, SIDE, FPS)
    assert held.missing() == []
    shown = read_image(held.image(held.benchmark.pairs[0]))
    assert shown.shape == (SIDE, SIDE, 3)
    first = moving(read_image(bench / "images/ball_1.png"), "", 0)[0]
    assert (shown == first).all()


@pytest.mark.parametrize("batch", [1, 3])
def test_a_run_killed_anywhere_and_resumed_gives_the_same_files(
    bench: Path, tmp_path: Path, batch: int
) -> None:
    expected = whole(bench, tmp_path / "whole", batch=batch)
    for stop in range(1, 10):
        folder = tmp_path / f"stopped{stop}"

        def dying(job: Job, made: list[str] = [], stop: int = stop) -> None:  # noqa: B006
            made.append(job.output.name)
            if len(made) == stop:
                raise KeyboardInterrupt

        model = DrawingModel(trouble=dying)
        with pytest.raises(KeyboardInterrupt):
            list(run(model, drawn_results(bench, folder, model), batch=batch))
        model = DrawingModel()
        list(run(model, drawn_results(bench, folder, model), batch=batch))
        assert files(folder) == expected


def test_two_shards_equal_one_run_file_for_file(bench: Path, tmp_path: Path) -> None:
    expected = whole(bench, tmp_path / "whole", batch=2)
    for shard in (Shard(2, 3), Shard(1, 3), Shard(3, 3)):
        model = DrawingModel()
        list(run(model, drawn_results(bench, tmp_path / "parts", model), shard=shard, batch=2))
    assert files(tmp_path / "parts") == expected
    manifests = sorted(path.name for path in (tmp_path / "parts").glob("*.jsonl"))
    assert manifests == [f"manifest-{index}-of-3.jsonl" for index in (1, 2, 3)]
    assert len(list(manifest_lines(tmp_path / "parts"))) == 10


def test_which_videos_go_together_depends_on_nothing_but_the_batch(
    bench: Path, tmp_path: Path
) -> None:
    model = DrawingModel()
    list(run(model, drawn_results(bench, tmp_path / "whole", model), batch=3))
    resumed = DrawingModel()
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    gone = sorted((tmp_path / "part/videos").iterdir())[4]
    gone.unlink()
    outcomes = list(run(resumed, drawn_results(bench, tmp_path / "part", resumed), batch=3))
    assert [outcome.video.path.name for outcome in outcomes if outcome.new] == [gone.name]
    assert [call for call in model.calls if gone.name in dict(call)] == resumed.calls


def test_a_second_run_does_nothing(bench: Path, tmp_path: Path) -> None:
    whole(bench, tmp_path / "out")
    model = DrawingModel()
    outcomes = list(run(model, drawn_results(bench, tmp_path / "out", model)))
    assert model.calls == []
    assert not any(outcome.new or outcome.failure for outcome in outcomes)


def test_a_failure_is_recorded_the_run_goes_on_and_the_next_one_tries_again(
    bench: Path, tmp_path: Path
) -> None:
    model = DrawingModel(trouble=lambda job: "no luck" if job.seed and "its" in job.output.name
                         else None)  # fmt: skip
    outcomes = list(run(model, drawn_results(bench, tmp_path / "out", model)))
    failed = [outcome for outcome in outcomes if outcome.failure]
    assert [(o.video.path.name, o.failure) for o in failed] == [("kite_its_still_1.mp4", "no luck")]
    assert sum(outcome.new for outcome in outcomes) == 9
    line = next(line for line in manifest_lines(tmp_path / "out") if line["status"] == "failed")
    assert (line["file"], line["reason"]) == ("kite_its_still_1.mp4", "no luck")
    assert [v.path.name for v in open_results(tmp_path / "out").missing()] == [line["file"]]
    list(run(DrawingModel(), drawn_results(bench, tmp_path / "out", model)))
    assert open_results(tmp_path / "out").missing() == []


def garbage(job: Job) -> None:
    job.output.write_bytes(b"no video")


def short(job: Job) -> None:
    write_video(job.output, moving(read_image(job.image), "", 0, frames=2), FPS)


class Careless(DrawingModel):
    """Writes what `spoil` writes for one job."""

    spoil: Any

    def animate(self, jobs: Any) -> list[str | None]:
        reasons = super().animate(jobs)
        for job in jobs:
            if job.output.name == "kite_its_still_0.mp4":
                self.spoil(job)
        return reasons


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (garbage, "kite_its_still_0.mp4: "),
        (short, "should be 5 frames of 32x32 at 8/s, got 2 frames"),
        (lambda job: job.output.unlink(), "no such file"),
    ],
)
def test_what_is_no_proper_video_never_enters_the_folder(
    bench: Path, tmp_path: Path, spoil: Any, what: str
) -> None:
    model = Careless()
    model.spoil = spoil
    outcomes = list(run(model, drawn_results(bench, tmp_path / "out", model, seeds=1)))
    [failed] = [outcome for outcome in outcomes if outcome.failure]
    assert failed.failure is not None
    assert what in failed.failure
    assert str(tmp_path) not in failed.failure
    assert not failed.video.path.exists()


def test_a_folder_of_another_model_pairs_or_seeds_is_refused(bench: Path, tmp_path: Path) -> None:
    whole(bench, tmp_path / "out")
    model = DrawingModel()
    same = drawn_results(bench, tmp_path / "out", model)
    others = {
        "strength": replace(same, settings={"strength": 4}),
        "model": replace(same, model="other"),
        "seeds": replace(same, seeds=(0,)),
        "was begun with 5 pairs, these are 2: 3 no longer there": replace(
            same, benchmark=replace(same.benchmark, pairs=same.benchmark.pairs[:2])),
    }  # fmt: skip
    for what, results in others.items():
        with pytest.raises(ValueError, match=what):
            list(run(model, results))


def test_videos_of_one_image_in_two_sizes_are_told(bench: Path, tmp_path: Path) -> None:
    class Growing(DrawingModel):
        def animate(self, jobs: Any) -> list[str | None]:
            for job in jobs:
                side = SIDE + 16 * len(self.calls)
                frames = moving(read_image(job.image), "", 0)
                write_video(job.output, frames[:, :16] if side == SIDE else frames, FPS)
            self.calls.append(())
            return [None] * len(jobs)

    model = Growing(format=None)
    outcomes = list(run(model, drawn_results(bench, tmp_path / "out", model, seeds=1)))
    reasons = [outcome.failure or "" for outcome in outcomes]
    assert "like the other videos of ball_1, 16x32, got 32x32" in reasons[1]


def test_a_torn_line_of_a_manifest_loses_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    append_line(path, {"file": "a"})
    with path.open("ab") as file:
        file.write(b'{"file": "b", "pro')
    append_line(path, {"file": "c"})
    assert [line["file"] for line in manifest_lines(tmp_path)] == ["a", "c"]


@pytest.mark.parametrize("part", [(0, 2), (3, 2), (1, 0)])
def test_shards_that_are_none_are_refused(part: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="shard should be"):
        Shard(*part)


def test_videos_play_as_they_were_made(bench: Path, tmp_path: Path) -> None:
    whole(bench, tmp_path / "out")
    clip = read_video(tmp_path / "out/videos/kite_its_still_0.mp4")
    assert (clip.frames.shape, clip.fps) == ((FRAMES, SIDE, SIDE, 3), FPS)


def test_a_folder_that_holds_no_results_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should hold run\.json"):
        open_results(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"model": "x"}))
    with pytest.raises(ValueError, match=r"run\.json: benchmark should be text, got none"):
        open_results(tmp_path)


def test_results_whose_ids_lead_out_of_the_folder_are_refused(bench: Path, tmp_path: Path) -> None:
    whole(bench, tmp_path / "out")
    table = tmp_path / "out/pairs.csv"
    table.write_text(table.read_text().replace(",kite,", ",../../kite,"))
    with pytest.raises(ValueError, match="plain file name"):
        open_results(tmp_path / "out")


def test_results_of_synthetic_scenes_go_on_under_their_earlier_title(tmp_path: Path) -> None:
    benchmark = Benchmark(SCENES, (Pair("kite", "kite_1", "a kite rises"),), 1)
    results = Results(tmp_path / "results", "model", {}, benchmark, (0,), None)
    claim_results(results)
    path = tmp_path / "results" / "run.json"
    path.write_text(path.read_text().replace(f'"{SCENES}"', '"the drawn world"'))
    assert open_results(results.folder).benchmark.title == SCENES
    claim_results(results)


def test_results_of_earlier_versions_go_on_under_the_names_of_now(tmp_path: Path) -> None:
    benchmark = Benchmark("kites", (Pair("kite", "kite_1", "a kite rises"),), 3,
                          "those with an image, the first 1")
    results = Results(tmp_path / "results", "model", {"reads_prompt": True}, benchmark, (0,), None)
    claim_results(results)
    path = tmp_path / "results" / "run.json"
    path.write_text(path.read_text().replace("with an image", "with a picture")
                    .replace("reads_prompt", "reads_sentence"))
    opened = open_results(results.folder)
    assert opened.benchmark.subset == benchmark.subset
    assert opened.settings == {"reads_prompt": True}
    claim_results(results)
