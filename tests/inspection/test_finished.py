"""A run over clips of which none has changed: ended at once, and never where one has."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from doctor_clips import moving, save

from motifocal.cli.inspect import inspect
from motifocal.files.folder_state import folder_state
from motifocal.inspection import entries
from motifocal.inspection.finished import FINISHED

OPTIONS = ("--frames", "5", "--size", "48x64", "--fail-on", "never", "-q")


def touch(folder: Path, output: Path) -> None:
    os.utime(folder / "0.mp4", ns=(1, 1))


def add(folder: Path, output: Path) -> None:
    (folder / "2.txt").write_text("a caption")


def replace_with_its_size_and_date(folder: Path, output: Path) -> None:
    clip = folder / "0.mp4"
    state = clip.stat()
    (folder / "other").write_bytes(bytes(state.st_size))
    os.utime(folder / "other", ns=(state.st_atime_ns, state.st_mtime_ns))
    (folder / "other").replace(clip)


def remove_the_page(folder: Path, output: Path) -> None:
    (output / "inspect.html").unlink()


def remove_a_thumbnail(folder: Path, output: Path) -> None:
    next((output / "thumbs").iterdir()).unlink()


def link_a_folder(folder: Path, output: Path) -> None:
    (folder / "linked").symlink_to(output.parent, target_is_directory=True)


CHANGES = (touch, add, replace_with_its_size_and_date, remove_the_page, remove_a_thumbnail,
           link_a_folder)  # fmt: skip


def run(folder: Path, output: Path, *more: str) -> Result:
    result = CliRunner().invoke(inspect, [str(folder), "-o", str(output), *OPTIONS, *more])
    assert result.exception is None, result.output
    return result


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("finished")
    for number in range(2):
        save(place / "clips" / f"{number}.mp4", moving(number, frames=6))
    return place


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was listed, a name each time."""
    names: list[str] = []
    real = entries.gather

    def counted(location: Path) -> entries.Folder:
        names.append(location.name)
        return real(location)

    monkeypatch.setattr(entries, "gather", counted)
    return names


@pytest.mark.slow
def test_a_finished_run_says_the_same_again_without_listing_until_something_changes(
    original: Path, listed: list[str]
) -> None:
    folder, output = original / "clips", original / "report"
    first = run(folder, output)
    assert run(folder, output).stdout == first.stdout
    assert listed == ["clips"]
    run(folder, output, "--table", "jsonl")  # another run
    assert listed == ["clips"] * 2
    run(folder, output, "--table", "jsonl")
    assert listed == ["clips"] * 2
    for count, change in enumerate(CHANGES, start=3):
        change(folder, output)
        run(folder, output, "--table", "jsonl")
        assert listed == ["clips"] * count, change.__name__


def test_a_run_in_which_the_system_refused_a_file_is_not_said_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "empty.mp4").touch()
    real = Path.open

    def refusing(path: Path, *given: Any, **more: Any) -> Any:
        if path.name == "empty.mp4":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refusing)
        run(tmp_path / "clips", tmp_path / "report")
    assert not (tmp_path / "report" / FINISHED).exists()
    run(tmp_path / "clips", tmp_path / "report")
    assert (tmp_path / "report" / FINISHED).exists()


@pytest.mark.parametrize("hidden", ["clip", "table"])
def test_a_run_over_what_is_hidden_is_not_said_again(hidden: str, tmp_path: Path) -> None:
    """The state of the folder would be the same with other files there."""
    clips, table = (".raw/0.mp4", "t.csv") if hidden == "clip" else ("0.mp4", ".t.csv")
    (tmp_path / "clips" / ".raw").mkdir(parents=True)
    (tmp_path / "clips" / clips).touch()
    (tmp_path / "clips" / table).write_text(f"video,prompt\n{clips},it falls\n")
    run(tmp_path / "clips" / table, tmp_path / "report")
    assert (tmp_path / "report" / "inspect.json").exists()
    assert not (tmp_path / "report" / FINISHED).exists()


def test_the_state_of_a_folder_is_that_of_all_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x").write_text("x")
    (tmp_path / "a" / "out").mkdir()

    def state() -> str | None:
        return folder_state(tmp_path / "a", without=tmp_path / "a" / "out")

    def told(change: Callable[[], object]) -> bool:
        before = state()
        change()
        return state() != before

    deep = tmp_path / "a" / "deep"
    assert not told(lambda: (tmp_path / "a" / "out" / "y").write_text("y"))
    assert not told(lambda: (deep / ".hidden").write_text("y"))
    assert told(lambda: (deep / "x").write_text("z"))
    assert told(lambda: (deep / "x").rename(deep / "w"))
    assert told(lambda: (deep / "gone").symlink_to("nowhere"))
    (deep / "link").symlink_to(tmp_path, target_is_directory=True)
    assert state() is None
    assert folder_state(tmp_path / "none") is None
