"""A Ray cluster of two nodes, which are processes of this machine, and one of which is lost."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from compared_runs import EXPORT, INSPECT, OF_INSPECT, PREPARE, drawn, files, invoke
from doctor_clips import moving, save
from inspect_reports import thumbnails, without_places
from lost_node import losing_a_node, ray_cluster
from s3_server import Server, running
from tiny_bench import DrawingModel, write_benchmark
from worker_functions import Loading, deadly_model, poisonous, slow_model

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results, manifest_lines
from motifocal.bench.run import run as animate_all
from motifocal.bench.run import run_on
from motifocal.bench.score.run import score
from motifocal.cli.bench.run import run as bench_run
from motifocal.cli.export import export
from motifocal.cli.heatmap import heatmap
from motifocal.cli.inspect import inspect
from motifocal.cli.prepare import prepare
from motifocal.data.manifest import MANIFEST
from motifocal.data.workers.cluster import Cluster
from motifocal.data.workers.threads import Threads
from motifocal.files.atomic import write_bytes, write_text
from motifocal.files.json_lines import read_lines
from motifocal.files.remote import RemotePath
from motifocal.generate.model import ModelInfo

#: Clips of the test that loses a node; 600 take some minutes.
CLIPS = int(os.environ.get("MOTIFOCAL_CLUSTER_CLIPS", "40"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("clips"), CLIPS)


@pytest.fixture(scope="module")
def report(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `inspect` writes on one machine."""
    invoke(inspect, clips, "-o", (folder := tmp_path_factory.mktemp("report")), *INSPECT,
           "--workers", 1)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def shards(clips: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare` writes on one machine."""
    invoke(prepare, clips, "-o", (folder := tmp_path_factory.mktemp("shards")), "--model", base,
           *PREPARE, "--workers", 0)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("ray")
    with ray_cluster(tmp_path_factory.mktemp("aws")) as nodes:
        yield nodes


@pytest.mark.slow
def test_a_model_is_loaded_once_and_a_poisonous_item_given_up_by_name(cluster: Any) -> None:
    workers, taken = Cluster(cluster.address), []
    results = workers.run(Loading(), (taken.append(number) or number for number in range(400)))
    done = [next(results)]
    assert len(taken) < 200  # not all at once: there may be a million
    done += results
    assert sorted(one.result for one in done) == [(number, 1) for number in range(400)]
    answers = {one.job: one for one in workers.run(poisonous, list(range(12)))}
    assert {job: one.result for job, one in answers.items()} == {
        number: None if number in (3, 5) else number**2 for number in range(12)}
    assert answers[3].reason == "its process ended, 2 times"
    assert answers[5].reason == "ValueError: five is right out"


@pytest.mark.slow
def test_what_takes_too_long_is_given_up(cluster: Any) -> None:
    done = list(Cluster(cluster.address).run(
        time.sleep, [0, 600], lambda job: 1.5 if job else 600.0))
    assert [(one.job, one.reason) for one in done] == [
        (0, None), (600, "no end after 2 s, 2 times")]


@pytest.mark.slow
def test_inspect_loses_nothing_with_a_node_and_says_what_it_says_on_one_machine(
    cluster: Any, clips: Path, report: Path, tmp_path: Path
) -> None:
    findings = tmp_path / "findings.jsonl"

    def a_third() -> bool:
        return findings.exists() and findings.read_bytes().count(b"\n") >= CLIPS // 3

    (tmp_path / "thumbs").mkdir(parents=True)
    (tmp_path / "thumbs" / f".{'0' * 16}.tmp").write_bytes(b"half of what a killed worker wrote")
    with losing_a_node(cluster, a_third) as killed:
        invoke(inspect, clips, "-o", tmp_path, *INSPECT, "--ray", cluster.address)
    assert killed
    assert not list(tmp_path.glob("thumbs/.*"))
    assert files(tmp_path, *OF_INSPECT) == files(report, *OF_INSPECT)
    lines = [path.read_text().splitlines() for path in (findings, report / "findings.jsonl")]
    assert sorted(lines[0]) == sorted(lines[1])
    assert len({json.loads(line)["key"] for line in lines[0]}) == len(lines[0]) == CLIPS


@pytest.mark.slow
def test_prepare_loses_nothing_with_a_node_and_writes_what_it_writes_on_one_machine(
    cluster: Any, clips: Path, base: Path, shards: Path, tmp_path: Path
) -> None:
    def a_third() -> bool:
        return len(list(tmp_path.glob("*.safetensors"))) >= CLIPS // 6

    with losing_a_node(cluster, a_third) as killed:
        invoke(prepare, clips, "-o", tmp_path, "--model", base, *PREPARE, "--ray", cluster.address)
    assert killed
    kinds = ("*.safetensors", MANIFEST, "rejected.jsonl", "videos.jsonl", "look.png")
    assert files(tmp_path, *kinds) == files(shards, *kinds)
    assert len(files(tmp_path, *kinds)) == CLIPS // 2 + 4
    assert written_once(tmp_path)


def written_once(folder: Path) -> bool:
    lines = [line["shard"] for line in read_lines(folder / "written.jsonl")]
    return sorted(lines) == list(range(CLIPS // 2))


@pytest.fixture(scope="module")
def bucket(cluster: Any, clips: Path) -> Iterator[Server]:
    """A store that fails now and then, with the clips and their table at s3://data/clips."""
    pytest.importorskip("moto")
    pytest.importorskip("s3fs")
    import fsspec

    with running() as server:
        Path(os.environ["AWS_CONFIG_FILE"]).write_text(f"[default]\nendpoint_url = {server.url}\n")
        fsspec.filesystem("s3").mkdir("data")
        folder = RemotePath("s3://data/clips")
        for clip in clips.glob("*.mp4"):
            write_bytes(folder / clip.name, clip.read_bytes())
        write_text(folder / "metadata.jsonl", "".join(
            json.dumps({"file_name": f"{path.stem}.mp4", "text": path.read_text()}) + "\n"
            for path in sorted(clips.glob("*.txt"))))
        server.fail(slow=11, drop=17)
        yield server


def outcomes(log: list[str]) -> set[str]:
    """What became of requests."""
    return {line.split()[-1] for line in log}


@pytest.mark.slow
def test_inspect_on_a_cluster_of_a_bucket_says_what_it_says_of_local_clips_on_one_machine(
    cluster: Any, bucket: Server, report: Path
) -> None:
    there, before = RemotePath("s3://data/report"), len(bucket.log())
    invoke(inspect, "s3://data/clips/metadata.jsonl", "-o", there, *INSPECT,
           "--ray", cluster.address)  # fmt: skip
    assert thumbnails(there) == thumbnails(report)
    assert without_places(there) == without_places(report)
    keys = [line["key"] for line in read_lines(there / "findings.jsonl")]
    assert len({*keys}) == len(keys) == CLIPS
    assert outcomes(bucket.log(before)) == {"answered", "slow", "dropped"}


@pytest.mark.slow
def test_prepare_on_a_cluster_that_loses_a_node_writes_to_a_bucket_what_it_writes_on_one_machine(
    cluster: Any, bucket: Server, base: Path, shards: Path
) -> None:
    there, before = RemotePath("s3://data/shards"), len(bucket.log())
    log: list[str] = []

    def a_third() -> bool:
        log.extend(new := bucket.log(before + len(log)))
        return bool(new) and sum("PUT /data/shards/shard-" in line for line in log) >= CLIPS // 6

    with losing_a_node(cluster, a_third) as killed:
        invoke(prepare, "s3://data/clips/metadata.jsonl", "-o", there, "--model", base, *PREPARE,
               "--ray", cluster.address)  # fmt: skip
    assert killed
    kinds = ("*.safetensors", MANIFEST, "rejected.jsonl", "look.png")
    assert files(there, *kinds) == files(shards, *kinds)
    assert len(files(shards, *kinds)) == CLIPS // 2 + 3
    assert written_once(there)
    assert outcomes(bucket.log(before)) == {"answered", "slow", "dropped"}


@pytest.mark.slow
def test_heatmap_export_and_their_tables_are_those_of_one_machine(
    cluster: Any, few: Path, tmp_path: Path
) -> None:
    (few / "bad.mp4").write_bytes(b"no video")
    for name, command, options in (("h", heatmap, ("-q",)), ("e", export, EXPORT)):
        here, there = tmp_path / f"{name}-here", tmp_path / f"{name}-there"
        arguments = [few, *options]
        runner = CliRunner()
        first = runner.invoke(command, [*map(str, arguments), "-o", str(here)])
        second = runner.invoke(command, [*map(str, arguments), "-o", str(there), "--ray",
                                         cluster.address])
        assert first.exit_code == second.exit_code == 1
        assert first.stdout.replace(str(here), "") == second.stdout.replace(str(there), "")
        assert first.stderr in second.stderr  # where Ray may speak of a node that is lost
        assert files(there, "**/*.*") == files(here, "**/*.*")
    (few / "bad.mp4").unlink()


@pytest.mark.slow
def test_scores_are_those_of_one_machine(cluster: Any, tmp_path: Path) -> None:
    bench = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    model = DrawingModel()
    results = Results(tmp_path / "results", "drawing", model.settings, bench, (0,), model.format)
    assert all(outcome.new for outcome in animate_all(model, results))
    here = score([results], tmp_path / "here", workers=Threads(1))
    there = score([results], tmp_path / "there", workers=Cluster(cluster.address))
    assert repr(there) == repr(here).replace(str(tmp_path / "here"), str(tmp_path / "there"))


@pytest.mark.slow
def test_bench_run_loses_nothing_with_a_node_and_makes_what_one_machine_makes(
    cluster: Any, tmp_path: Path
) -> None:
    sentences = {f"ball{number}": ("it rises", "it falls") for number in range(8)}
    bench = read_benchmark(write_benchmark(tmp_path / "bench", sentences), own_pairs=True)
    model = DrawingModel()
    here, there = (Results(tmp_path / name, "drawing", model.settings, bench, (0, 1), model.format)
                   for name in ("here", "there"))
    assert sum(outcome.new for outcome in animate_all(model, here, batch=2)) == 32

    def a_third() -> bool:
        return len(list(there.folder.glob("videos/*.mp4"))) >= 10

    with losing_a_node(cluster, a_third) as killed:
        outcomes = list(run_on(Cluster(cluster.address), slow_model, ModelInfo.of(model), there,
                               batch=2))
    assert killed
    assert [outcome.failure for outcome in outcomes if not outcome.new] == []
    kinds = ("run.json", "pairs.csv", "videos/*", "pictures/*")
    assert files(there.folder, *kinds) == files(here.folder, *kinds)
    lines = [sorted(({**line, "seconds": 0} for line in manifest_lines(results.folder)),
                    key=lambda line: line["file"]) for results in (here, there)]
    assert lines[0] == lines[1]
    assert not list(there.folder.glob(".making*"))


@pytest.mark.slow
def test_bench_run_names_a_pair_that_ends_its_workers(cluster: Any, tmp_path: Path) -> None:
    bench = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    info = ModelInfo.of(deadly_model())
    results = Results(tmp_path / "out", "drawing", info.settings, bench, (0,), info.format)
    outcomes = list(run_on(Cluster(cluster.address), deadly_model, info, results))
    assert [(outcome.video.path.name, outcome.failure) for outcome in outcomes
            if outcome.failure] == [("kite_its_still_0.mp4", "its process ended, 2 times")]
    assert sum(outcome.new for outcome in outcomes) == 4
    (line,) = (line for line in manifest_lines(results.folder) if line["status"] == "failed")
    assert (line["file"], line["reason"]) == ("kite_its_still_0.mp4", "its process ended, 2 times")


@pytest.mark.slow
def test_the_command_bench_run_works_on_a_cluster(cluster: Any, tmp_path: Path) -> None:
    bench = write_benchmark(tmp_path / "bench", {"ball": ("it rises", "it falls")})
    program = tmp_path / "copy.py"
    clip = save(tmp_path / "clip.mp4", moving(0, frames=5, height=48, width=64))
    program.write_text(f"import shutil, sys\nshutil.copyfile({str(clip)!r}, sys.argv[1])\n")
    options = ("--bench", bench, "--own-pairs", "--name", "Copies",
               "--command", f"{sys.executable} {program} {{output}} {{image}}")
    invoke(bench_run, *options, "-o", tmp_path / "here")
    invoke(bench_run, *options, "-o", tmp_path / "there", "--ray", cluster.address)
    kinds = ("run.json", "pairs.csv", "videos/*", "pictures/*")
    assert files(tmp_path / "there", *kinds) == files(tmp_path / "here", *kinds)
    assert len(files(tmp_path / "there", "videos/*")) == 2
