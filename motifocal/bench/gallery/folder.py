"""Keep track of which files in a published folder are the gallery's own.

`gallery.json` lists them. Whatever else lies there is never replaced or removed.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from motifocal.files.atomic import replacing, write_text
from motifocal.files.json_text import format_json, parse_json
from motifocal.files.settings import check_own_folder

MANIFEST = "gallery.json"
KIND = "motifocal gallery"


def own_files(folder: Path) -> set[str]:
    """List the gallery's own files in `folder`, relative to it; none if there is no folder.

    Raises ValueError for a folder with files in it that is no gallery.
    """
    path = folder / MANIFEST
    check_own_folder(folder, MANIFEST, "a gallery")
    if not path.exists():
        return set()
    try:
        manifest = parse_json(path.read_text(encoding="utf-8"))
        if manifest["kind"] != KIND:
            raise ValueError(f"{path} should be of a {KIND}, got {manifest['kind']!r}")
        return {_inside(name, path) for name in manifest["files"]}
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} should be as motifocal bench gallery writes it: "
                         f"{error!r}") from error


def _inside(name: object, manifest: Path) -> str:
    """Return the name, which must not lead elsewhere: what a manifest lists may be removed."""
    parts = PurePosixPath(name).parts if isinstance(name, str) else ("..",)
    if not parts or parts[0] == "/" or ".." in parts or "\\" in parts[0] or ":" in parts[0]:
        raise ValueError(f"{manifest} should list files of its own folder, got {name!r}")
    return str(name)


def claim_files(folder: Path, files: Iterable[str]) -> set[str]:
    """Make the folder and note that `files` will be the gallery's; return those it has already.

    Raises ValueError as `own_files` does, and where one of them exists and is not the gallery's.
    """
    own, needed = own_files(folder), set(files)
    foreign = sorted(name for name in needed - own if (folder / name).exists())
    if foreign:
        raise ValueError(f"{folder / foreign[0]} is not the gallery's own and would be replaced")
    folder.mkdir(parents=True, exist_ok=True)
    _note(folder, own | needed)
    return own


def settle_files(folder: Path, files: Iterable[str]) -> None:
    """Remove the gallery's own files other than `files`, and note that these are all."""
    kept = set(files)
    home = folder.resolve()
    for name in sorted(own_files(folder) - kept):
        path = folder / name
        if path.parent.resolve().is_relative_to(home):  # a folder inside may be a link by now
            path.unlink(missing_ok=True)
            inside = path.parent
            while inside != folder and inside.is_dir() and not any(inside.iterdir()):
                inside.rmdir()
                inside = inside.parent
    _note(folder, kept)


def _note(folder: Path, files: set[str]) -> None:
    write_text(folder / MANIFEST, format_json({"kind": KIND, "files": sorted(files)}))


def place(source: Path, target: Path, *, link: bool) -> None:
    """Make `target` the same file as `source`, or a copy of it; make its folder.

    Where `link` is true but the file system cannot (another disk, no hard links, not the owner),
    it is a copy.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    same = target.exists() and target.samefile(source)
    if link and not same:
        with replacing(target) as temporary:
            try:
                os.link(source.resolve(), temporary)
            except OSError:  # whatever is wrong with the file itself, copying it will say
                shutil.copyfile(source, temporary)
    elif not link and (same or not target.exists()
                       or not filecmp.cmp(source, target, shallow=False)):
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
