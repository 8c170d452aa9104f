"""Read which clips and captions a configuration of musubi-tuner names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from motifocal.files.remote import to_path
from motifocal.files.toml_text import parse_toml

# kohya-ss/musubi-tuner, src/musubi_tuner/dataset/image_video_dataset.py (0061e6e): VIDEO_EXTENSIONS
# and glob_videos.
_SUFFIXES = {".mp4", ".webm", ".avi", ".mkv", ".mov", ".flv", ".wmv", ".m4v", ".mpg", ".mpeg"}
_PLACES = ("video_directory", "video_jsonl_file")


class VideoSource(NamedTuple):
    """The folder or the table of clips, and what ends the names of captions in a folder.

    That is .txt where the configuration has no caption_extension.
    """

    location: Path
    caption_extension: str


def clips_in(folder: Path) -> list[Path]:
    """List the clips that musubi-tuner takes of a folder: none of folders in it, no hidden ones."""
    return sorted(path for path in folder.iterdir()
                  if path.suffix.lower() in _SUFFIXES and not path.name.startswith("."))


def video_datasets(config: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (number, keys) of the data sets of videos, those of [general] where they lack them."""
    general, datasets = config.get("general", {}), config.get("datasets")
    for number, own in enumerate(datasets if isinstance(datasets, list) else []):
        if not isinstance(own, dict):
            continue
        values = {**general, **own} if isinstance(general, dict) else own
        if any(isinstance(values.get(place), str) for place in _PLACES):
            yield number, values


def video_source(config: Path) -> VideoSource:
    """Return the one folder or table of videos that a configuration in TOML names.

    Raises ValueError where it is no TOML, or names none or several.
    """
    try:
        parsed = parse_toml(config.read_bytes().decode("utf-8-sig", "surrogateescape"))
    except ValueError as error:
        raise ValueError(f"{config} should be TOML: {error}") from error
    # The same folder may be there several times, with other lengths.
    named = sorted({(values[place], str(values.get("caption_extension") or ".txt"))
                    for _, values in video_datasets(parsed)
                    for place in _PLACES if isinstance(values.get(place), str)})  # fmt: skip
    if len(named) != 1:
        expected = f"[[datasets]] should name one {' or '.join(_PLACES)}"
        got = [location for location, _ in named] or "none"
        raise ValueError(f"{config}: {expected}, got {got}; name one of them")
    given, extension = to_path(named[0][0]), named[0][1]
    if given.suffix.lower() == ".toml":
        raise ValueError(f"{config}: {given} should be a folder or a table")
    # musubi-tuner looks from where it is started; beside the file is the second guess.
    place = next((p for p in (given, config.parent / given) if p.exists()), given)
    return VideoSource(place, extension)
