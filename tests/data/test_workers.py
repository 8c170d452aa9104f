"""Functions over items: threads, processes, parts, and a Ray cluster that loses a node."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result
from doctor_clips import moving, save
from inspect_reports import thumbnails, without_places
from s3_server import KEYS, Server, running
from tiny import tiny_base
from tiny_bench import DrawingModel, write_benchmark
from worker_functions import Loading, deadly_model, poisonous, slow_model, square

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
from motifocal.data.preparing.written import WrittenShards
from motifocal.data.shards import Shards
from motifocal.data.workers.cluster import Cluster
from motifocal.data.workers.here import Here
from motifocal.data.workers.items import Done, Part, Workers, in_order
from motifocal.data.workers.processes import Processes
from motifocal.data.workers.ray_session import session
from motifocal.data.workers.threads import Threads
from motifocal.files.atomic import write_bytes, write_text
from motifocal.files.json_lines import read_lines
from motifocal.files.remote import RemotePath
from motifocal.generate.model import ModelInfo

#: Clips of the test that loses a node; 600 take some minutes.
ROOT = Path(__file__).parents[2]
CLIPS = int(os.environ.get("MOTIFOCAL_CLUSTER_CLIPS", "40"))
#: On the loopback interface; for 127.0.0.1 Ray takes another address of the machine.
HERE = "127.0.0.2"
_STORE = 80 * 2**20  # bytes, the least that Ray takes


# Interface and parts


def test_every_item_is_answered_once_by_threads() -> None:
    done = list(Threads(3).run(square, list(range(9))))
    assert sorted((one.job, one.result) for one in done) == [(n, n * n) for n in range(9)]


@pytest.mark.parametrize("workers", [Here(), Threads(2), Processes(1)])
def test_items_are_taken_as_workers_need_them(workers: Workers) -> None:
    taken: list[int] = []
    done = workers.run(square, (taken.append(number) or number for number in range(1000)))
    next(done)
    assert 1 <= len(taken) <= 20
    assert sum(1 for _ in done) == 999
    assert taken == list(range(1000))


def test_what_threads_have_done_comes_before_an_error_that_ends_them() -> None:
    behind = threading.Event()

    def work(number: int) -> int:
        if number == 5:
            raise ValueError("number should not be 5")
        if number == 6:
            behind.set()
        return number

    def numbers() -> Iterator[int]:
        yield from range(7)
        assert behind.wait(60)  # one thread: all before 6 have ended
        yield 7

    results = []

    def collect() -> None:
        for done in Threads(1).run(work, numbers()):
            results.append(done.result)

    with pytest.raises(ValueError, match="not be 5"):
        collect()
    assert set(range(5)) <= set(results)


class _Backwards:
    """Two items at a time, the second before the first."""

    def run(self, work: Any, jobs: Any, seconds: Any = None) -> Generator[Any, None, None]:
        jobs = iter(jobs)
        while pair := list(islice(jobs, 2)):
            yield from (Done(job, work(job)) for job in reversed(pair))


def test_what_is_done_in_any_order_comes_in_that_of_the_items_which_are_taken_when_needed() -> None:
    taken: list[int] = []
    done = in_order(_Backwards(), square, (taken.append(number) or number for number in range(5)))
    assert next(done).result == 0
    assert taken == [0, 1]
    assert [one.result for one in done] == [1, 4, 9, 16]


def test_parts_hold_every_name_once_and_are_about_as_large() -> None:
    names = [f"clips/{number}.mp4" for number in range(3000)]
    parts = [Part(index, 3) for index in (1, 2, 3)]
    counts = [sum(part.holds(name) for name in names) for part in parts]
    assert all(sum(part.holds(name) for part in parts) == 1 for name in names)
    assert min(counts) > 900
    assert all(Part().holds(name) for name in names)


def test_a_name_stays_in_its_part_whatever_else_there_is() -> None:
    """By `printf a.mp4 | sha256sum`, whose first 16 digits are a multiple of 4."""
    assert [Part(index, 4).holds("a.mp4") for index in (1, 2, 3, 4)] == [True, False, False, False]
    assert Part(2, 4).file("clips.csv") == "clips-2-of-4.csv"
    assert Part().file("clips.csv") == "clips.csv"
    with pytest.raises(ValueError, match="part should be i/n with 1 <= i <= n, got 5/4"):
        Part(5, 4)


def drawn(folder: Path, count: int) -> Path:
    for number in range(count):
        clip = moving(number, frames=6, height=48, width=64, speed=2.0 + number % 3)
        save(folder / f"{number:03d}.mp4", clip)
        (folder / f"{number:03d}.txt").write_text(f"a square, number {number}")
    return folder


def invoke(command: Any, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result


def files(folder: Path, *patterns: str) -> dict[str, bytes]:
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


OF_INSPECT = ("inspect.json", "inspect.html", "thumbs/*.webp")  # not what a killed worker wrote to
INSPECT = ("--frames", 5, "--size", "48x64", "--fail-on", "never", "-q")
EXPORT = ("--as", "latents", "--family", "wan", "--size", "48x64", "--frames", 5, "-q")
PREPARE = ("--size", "48x64", "--frames", 4, "--max-stride", 1, "--clips-per-shard", 2, "-q")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("clips"), CLIPS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("few"), 6)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


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


@pytest.mark.slow
def test_parts_of_inspect_make_the_report_of_the_whole(few: Path, tmp_path: Path) -> None:
    invoke(inspect, few, "-o", tmp_path / "whole", *INSPECT)
    for part in ("2/2", "1/2"):
        invoke(inspect, few, "-o", tmp_path / "parts", *INSPECT, "--shard", part)
    assert not (tmp_path / "parts" / "inspect.json").exists()
    lines = [path.read_text().splitlines() for path in (tmp_path / "parts").glob("findings-*")]
    assert sorted(map(len, lines))[0] > 0
    invoke(inspect, few, "-o", tmp_path / "parts", *INSPECT)
    assert files(tmp_path / "parts", *OF_INSPECT) == files(tmp_path / "whole", *OF_INSPECT)
    assert not (tmp_path / "parts" / "findings.jsonl").exists()  # nothing was looked at again


def test_parts_of_heatmap_and_export_make_the_tables_of_the_whole(
    few: Path, tmp_path: Path
) -> None:
    (few / "000.mov").write_bytes((few / "000.mp4").read_bytes())  # would have the same map's name
    for name, command, options, table in (("h", heatmap, ("-q",), "clips.csv"),
                                          ("e", export, EXPORT, "weights.jsonl")):  # fmt: skip
        whole, parts = tmp_path / f"{name}-whole", tmp_path / f"{name}-parts"
        invoke(command, few, "-o", whole, *options)
        for part in ("3/3", "1/3", "2/3"):
            invoke(command, few, "-o", parts, *options, "--shard", part)
        assert not (parts / table).exists()
        invoke(command, few, "-o", parts, *options)
        assert files(parts, "**/*.*") == files(whole, "**/*.*")
    (few / "000.mov").unlink()


@pytest.mark.slow
def test_parts_of_prepare_write_the_shards_of_the_whole(
    few: Path, base: Path, tmp_path: Path
) -> None:
    options = ("--model", base, *PREPARE, "--workers", 0)
    invoke(prepare, few, "-o", tmp_path / "whole", *options)
    for part in ("1/2", "2/2"):
        invoke(prepare, few, "-o", tmp_path / "parts", *options, "--shard", part, "--check-only")
    notes = [path.read_bytes() for path in (tmp_path / "parts").glob("videos-*")]
    for part in ("1/2", "2/2"):
        invoke(prepare, few, "-o", tmp_path / "parts", *options, "--shard", part)
    assert [path.read_bytes() for path in (tmp_path / "parts").glob("videos-*")] == notes
    shards = files(tmp_path / "whole", "*.safetensors")
    assert files(tmp_path / "parts", "*.safetensors") == shards
    assert len(shards) == 3


def test_damaged_lines_about_shards_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "written.jsonl").write_text(
        '{"shard": 0}\n[1]\n{"shard": [0], "state": [], "sources": ""}\n'
        '{"shard": 1, "state": [1, 2')
    shard = tmp_path / "shard-00000.safetensors"
    shard.write_bytes(b"damaged")
    assert not WrittenShards(tmp_path, None).holds(0, shard.stat(), ["00"], print)


@pytest.mark.slow
def test_tars_hold_what_the_shards_hold_and_are_made_once(
    few: Path, base: Path, tmp_path: Path
) -> None:
    options = ("--model", base, *PREPARE, "--workers", 0, "--webdataset")
    out = tmp_path / "out"
    invoke(prepare, few, "-o", out, *options)
    shards, number = Shards(out), 0
    for file in shards.files:
        with tarfile.open(file.path.with_suffix(".tar")) as tar:
            content = {member.name: tar.extractfile(member).read() for member in tar}
        for row in range(len(file.captions)):
            clip = file.clip(row)
            about = json.loads(content.pop(f"{number:06d}.json"))
            assert (about["caption"], about["fps"]) == (clip.caption, float(clip.fps))
            for name in ("latents", "heatmap"):
                stored = np.load(io.BytesIO(content.pop(f"{number:06d}.{name}.npy")))
                assert np.array_equal(stored, clip.tensors()[name].numpy())
            number += 1
        assert content == {}
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    tars = files(out, "*.tar")
    (out / "shard-00001.tar").write_bytes(b"damaged")
    invoke(prepare, few, "-o", out, *options)
    assert files(out, "*.tar") == tars
    after = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert [path.name for path in before if before[path] != after[path]] == ["shard-00001.tar"]


# A Ray cluster of two nodes, which are processes of this machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Nodes

    # On a busy machine processes come up slowly, and workers nicer than these tests never run.
    patience = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000,
                "health_check_failure_threshold": 30, "worker_register_timeout_seconds": 600,
                "agent_register_timeout_ms": 600_000, "worker_niceness": 0}  # fmt: skip
    head = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False,
            "no_monitor": True, "include_log_monitor": False, "node_ip_address": HERE,
            "_system_config": patience}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        # Where workers look for a store that tests start later.
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "config"))
        for name, value in {**KEYS, "RAY_USAGE_STATS_ENABLED": "0"}.items():
            patch.setenv(name, value)
        # What the workers import: the functions of these tests, and the package where it lies.
        for folder in (ROOT / "tests" / "support", ROOT):
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        nodes = Nodes(initialize_head=True, head_node_args=head)
        with session():
            yield nodes
        nodes.shutdown()


def kill(node: Any) -> None:
    """End a node as a power cut does: its raylet and all of its workers at once."""
    (raylet,) = node.all_processes["raylet"]
    family = [*psutil.Process(raylet.process.pid).children(recursive=True),
              psutil.Process(raylet.process.pid)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def losing_a_node(cluster: Any, reached: Callable[[], bool]) -> Iterator[list[bool]]:
    """Add a node and kill it as soon as so much is done; the list then says that it was killed."""
    node = cluster.add_node(num_cpus=1, object_store_memory=_STORE, node_ip_address=HERE)
    killed: list[bool] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            if reached():
                kill(node)
                killed.append(True)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()
        cluster.remove_node(node, allow_graceful=False)


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


def test_a_worker_whose_model_is_another_makes_nothing(tmp_path: Path) -> None:
    bench = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    info = replace(ModelInfo.of(DrawingModel()), settings={"strength": 4})
    results = Results(tmp_path / "out", "drawing", info.settings, bench, (0,), info.format)
    with pytest.raises(ValueError, match=r"settings \{'strength': 4\} in every worker, got "
                       r"\{'strength': 3\}"):  # fmt: skip
        list(run_on(Here(), DrawingModel, info, results))


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(inspect, ["--ray", str(tmp_path)])
    assert result.exit_code == 2
    assert "without an address write --ray last" in result.output
