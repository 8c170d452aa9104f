"""`motifocal bench run` from the command line: options, exit codes, resuming, the bundled model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from tiny_bench import DrawingModel, write_benchmark
from tiny_diffusers import TINY, save_tiny

from motifocal.bench.check import check
from motifocal.bench.results import manifest_lines, open_results
from motifocal.cli import cli
from motifocal.data.workers.processes import Processes
from motifocal.generate import open as models
from motifocal.generate.model import Sampling
from motifocal.media.video import write_video


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path / "bench")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Sampling]]:
    """What `open_model` was asked for; it gives a model that draws."""
    asked: list[tuple[str, Sampling]] = []

    def open_model(name: str, sampling: Sampling) -> DrawingModel:
        asked.append((name, sampling))
        unlucky = "unlucky" in name
        return DrawingModel(trouble=lambda job: "no luck" if unlucky and "its" in job.output.name
                            else None)  # fmt: skip

    monkeypatch.setattr(models, "open_model", open_model)
    return asked


def run(bench: Path, out: Path, *arguments: str, model: str = "some/model") -> Result:
    return CliRunner().invoke(cli, ["bench", "run", "--bench", str(bench), "--own-pairs", "-o",
                                    str(out), "--model", model, "--device", "cpu",
                                    *arguments])  # fmt: skip


def test_the_part_with_images_is_taken_by_its_earlier_name_with_a_warning(
    bench: Path, tmp_path: Path, asked: list[tuple[str, Sampling]]
) -> None:
    (bench / "images" / "kite.png").unlink()
    done = run(bench, tmp_path / "now", "--subset", "with-image")
    before = run(bench, tmp_path / "before", "--subset", "pictures")
    assert done.exit_code == before.exit_code == 0, done.output + before.output
    warning = "warning: --subset pictures is now with-image; the old name will go\n"
    assert (warning in done.stderr, warning in before.stderr) == (False, True)
    benchmarks = [open_results(tmp_path / name).benchmark for name in ("now", "before")]
    assert benchmarks[0] == benchmarks[1]
    assert benchmarks[0].mark == "SUBSET: 3 of 5 pairs of bench (those with an image)"


def test_options_reach_the_model_and_nothing_is_set_that_was_not_given(
    bench: Path, tmp_path: Path, asked: list[tuple[str, Sampling]]
) -> None:
    done = run(bench, tmp_path / "a")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "a")
    assert "5 made, 0 there before, 0 failed" in done.stderr
    run(bench, tmp_path / "b", "--steps", "7", "--size", "320x512", "--offload", "model",
        "--extra", "motion_bucket_id=180", "--extra", "note=as it is", "--precision", "bfloat16")
    extra = {"motion_bucket_id": 180, "note": "as it is"}
    assert [sampling for _, sampling in asked] == [
        Sampling(),
        Sampling(steps=7, size=(320, 512), offload="model", dtype="bfloat16", extra=extra),
    ]


def test_a_failed_video_makes_the_exit_code_one_and_is_tried_again(
    bench: Path, tmp_path: Path, asked: list[Any]
) -> None:
    done = run(bench, tmp_path / "out", model="some/unlucky")
    assert done.exit_code == 1
    assert "kite_its_still_0.mp4: no luck" in done.stderr
    assert "4 made, 0 there before, 1 failed" in done.stderr
    done = run(bench, tmp_path / "out")
    assert done.exit_code == 0
    assert "1 made, 4 there before, 0 failed" in done.stderr


def test_parts_are_said_and_recorded(bench: Path, tmp_path: Path, asked: list[Any]) -> None:
    mark = "SUBSET: 2 of 5 pairs of bench (scenarios ball, the first 2)"
    done = run(bench, tmp_path / "out", "--subset", "scenarios:ball", "--limit", "2", "--seeds",
               "3", "--name", "Mine")
    assert mark in done.stderr
    held = open_results(tmp_path / "out")
    assert (held.benchmark.mark, held.model, held.seeds) == (mark, "Mine", (0, 1, 2))
    assert len(held.expected()) == 6


def test_shards_fill_one_folder(bench: Path, tmp_path: Path, asked: list[Any]) -> None:
    for part in ("1/2", "2/2"):
        assert run(bench, tmp_path / "out", "--shard", part).exit_code == 0
    assert open_results(tmp_path / "out").missing() == []


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--shard", "3/2"], "1 <= i <= n"),
        (["--shard", "half"], "i/n"),
        (["--extra", "half"], "KEY=VALUE"),
        (["--command", "x {image} {output}"], "either --model or --command"),
        (["--timeout", "5"], "--timeout goes with --command"),
    ],
)
def test_options_that_make_no_sense_are_named(
    arguments: list[str], what: str, bench: Path, tmp_path: Path, asked: list[Any]
) -> None:
    done = run(bench, tmp_path / "out", *arguments)
    assert done.exit_code == 2
    assert what in done.output
    assert not (tmp_path / "out").exists()


def test_what_workers_do_can_be_sent_to_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes stand for a cluster: they get the same function and jobs, and send the same back.
    """
    bench = write_benchmark(tmp_path / "bench", {"ball": ("it rises", "it falls")})
    write_video(tmp_path / "clip.mp4", np.zeros((3, 32, 32, 3), np.uint8), 8)
    program = tmp_path / "copy.py"
    program.write_text("import shutil, sys\nshutil.copyfile(sys.argv[1], sys.argv[2])\n")
    template = f"{sys.executable} {program} {tmp_path / 'clip.mp4'} {{output}} {{image}}"
    common = ["bench", "run", "--bench", str(bench), "--own-pairs", "--name", "Copies",
              "--command", template]
    for name, ray in (("here", []), ("there", ["--ray", "local"])):
        monkeypatch.setattr("motifocal.cli.bench.run.workers_of",
                            lambda ray, count, local, gpus: Processes(1) if ray else local)
        done = CliRunner().invoke(cli, [*common, "-o", str(tmp_path / name), *ray])
        assert done.exit_code == 0, done.output
    for pattern in ("run.json", "pairs.csv", "videos/*", "pictures/*"):
        here, there = ({path.name: path.read_bytes() for path in (tmp_path / name).glob(pattern)}
                       for name in ("here", "there"))
        assert here == there != {}


def test_any_program_can_be_the_model(bench: Path, tmp_path: Path) -> None:
    script = tmp_path / "infer.py"
    script.write_text(
        "import sys\n"
        "import numpy as np\n"
        "from motifocal.media.video import read_image, write_video\n"
        "image, prompt, out, seed = sys.argv[1:]\n"
        "assert prompt in ('the ball rises', 'the ball falls, slowly!', 'a kite flies in',\n"
        '                  "it\'s still"), prompt\n'
        "picture = read_image(image)\n"
        "write_video(out, np.stack([np.roll(picture, k, 1) for k in range(3)]), 8)\n"
    )
    template = f"{sys.executable} {script} {{image}} {{prompt}} {{output}} {{seed}}"
    common = ["bench", "run", "--bench", str(bench), "--own-pairs", "-o", str(tmp_path / "out")]
    refused = CliRunner().invoke(cli, [*common, "--command", template])
    assert "--command needs a --name" in refused.output
    refused = CliRunner().invoke(cli, [*common, "--command", template, "--name", "x",
                                       "--steps", "3"])  # fmt: skip
    assert "--command ignores the sampling options --steps" in refused.output
    refused = CliRunner().invoke(cli, [*common, "--seeds", "2", "--name", "x", "--command",
                                       "infer {image} {output}"])  # fmt: skip
    assert str(refused.exception) == "a command without {seed} should get one seed, got 0, 1"
    assert not (tmp_path / "out" / "run.json").exists()
    done = CliRunner().invoke(cli, [*common, "--command", template, "--name", "Mine"])
    assert done.exit_code == 0, done.output
    held = open_results(tmp_path / "out")
    assert held.missing() == []
    assert {line["status"] for line in manifest_lines(held.folder)} == {"made"}


# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["wan21", "wan22-5b", "cogvideox", "ltx", "hunyuan", "svd", "i2vgen-xl", "modelscope"]
)
def test_a_diffusers_pipeline_runs_over_a_benchmark(kind: str, tmp_path: Path) -> None:
    bench = write_benchmark(tmp_path / "bench", {"kite": ["a kite flies in", "it's still"]})
    model = save_tiny(kind, tmp_path / kind)
    (height, width), frames = TINY[kind]
    options = ["--size", f"{height}x{width}", "--frames", str(frames), "--steps", "1"]
    done = run(bench, tmp_path / "out", *options, model=str(model))
    assert done.exit_code == 0, done.output
    held = open_results(tmp_path / "out")
    assert held.format is not None
    assert (held.format.height, held.format.width, held.format.frames) == (height, width, frames)
    # Random weights paint noise, so nothing is asked of its likeness to the picture.
    assert check(held, least_likeness=-1) == []
    again = run(bench, tmp_path / "out", *options, model=str(model))
    assert "0 made, 2 there before, 0 failed" in again.stderr


@pytest.mark.slow
def test_the_bundled_model_is_killed_half_way_resumed_and_sharded(tmp_path: Path) -> None:
    drawn = tmp_path / "drawn"
    done = CliRunner().invoke(cli, ["scenes", "export", "-o", str(drawn), "--kind", "benchmark",
                                    "--pairs", "6"])  # fmt: skip
    assert done.exit_code == 0, done.output
    command = [sys.executable, "-m", "motifocal", "bench", "run", "--bench", str(drawn),
               "--model", "bundled", "--steps", "2", "-o"]  # fmt: skip
    killed = subprocess.Popen([*command, str(tmp_path / "killed")], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "killed").glob("videos/*.mp4"))) < 2:
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert 0 < len(open_results(tmp_path / "killed").missing()) < 6
    for target, shards in (("killed", ["1/1"]), ("parts", ["1/2", "2/2"])):
        for shard in shards:
            subprocess.run([*command, str(tmp_path / target), "--shard", shard], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    folders = {name: tmp_path / name / "videos" for name in ("killed", "parts")}
    videos = {name: {path.name: path.read_bytes() for path in folder.iterdir()}
              for name, folder in folders.items()}  # fmt: skip
    assert len(videos["killed"]) == 6
    assert videos["killed"] == videos["parts"]
    lines = [json.dumps(line["file"]) for line in manifest_lines(tmp_path / "parts")]
    assert len(lines) == len(set(lines)) == 6
