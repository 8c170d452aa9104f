"""What `motifocal animate` calls its files."""

from __future__ import annotations

from pathlib import Path

from motifocal.generate.model import Job
from motifocal.generate.plan import plan


def test_sentences_that_only_differ_at_their_end_have_files_of_their_own(tmp_path: Path) -> None:
    start = "the small brown bird that sits quietly in the middle of the wide blue sky " * 3
    duck = Path("p" * 240 + ".png")
    jobs, sheet = plan(duck, (f"{start} left", f"{start} right"), tmp_path, 7, 2)
    names = [job.output.name for job in jobs]
    assert len(set(names)) == 4
    assert sheet is not None
    for name in (*names, sheet.name):
        (tmp_path / name).touch()  # no longer than the file system allows
    assert [name[-6:] for name in names] == ["_7.mp4", "_8.mp4"] * 2
    # Each by itself is called the same, and the other is not taken for it.
    alone, _ = plan(duck, (f"{start} right",), tmp_path, 7, 1)
    assert alone[0].output.name == names[2]


def test_short_sentences_keep_the_benchmarks_names(tmp_path: Path) -> None:
    jobs, _ = plan(Path("duck.png"), ("The duck, it swims!",), tmp_path, 3, 1)
    assert jobs[0].output == tmp_path / "duck_the_duck_it_swims_3.mp4"


def test_names_are_those_of_the_benchmark_and_fit_the_file_system() -> None:
    (short,), sheet = plan(Path("p/car 1.png"), ("A car's  LANE\n changes",), Path("o"), 0, 1)
    video = Path("o/car 1_a_cars_lane_changes_0.mp4")
    assert short == Job(Path("p/car 1.png"), "A car's LANE changes", 0, video)
    assert sheet is None
    (long,), _ = plan(Path("p.png"), ("\u00e9" * 400,), Path("o"), 0, 1)
    assert 100 < len(long.output.name.encode()) < 200
