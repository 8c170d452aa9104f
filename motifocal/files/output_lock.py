"""Lock an output folder for one command while it runs, and name that command to others.

The lock is the operating system's (flock): it ends with the process that holds it, however that
ends, so that nothing has to be cleared up after a kill. The locked file names its holder. Windows
has no flock, and neither has a bucket; there a folder is not locked.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

from motifocal.files.json_text import parse_json
from motifocal.files.remote import RemotePath

LOCK = ".motifocal.lock"
PARTS = ".motifocal-*.lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_TRIES, _PAUSE = 100, 0.01  # s: a holder takes far less to remove its empty folder
_open_locks: set[int] = set()


class FolderInUse(ValueError):  # noqa: N818
    """Another process is writing to the folder."""


@contextmanager
def output_lock(folder: Path, command: str, part: str | None = None) -> Iterator[None]:
    """Lock `folder` for this process, and make it if need be; remove it again if it stays empty.

    `command` is what others are told. With `part`, a word such as "1-of-4", the folder is shared
    with processes that hold other parts of it, but not with one that holds the whole.

    Raises FolderInUse, naming command, process, machine and start, where another process holds it.
    """
    if sys.platform == "win32" or isinstance(folder, RemotePath):
        folder.mkdir(parents=True, exist_ok=True)
        yield
        return
    new = not folder.exists()
    locks = []
    try:
        for path, shared in _files(folder, part):
            locks.append((path, _acquire(path, shared)))
        _say_whose(locks[-1][1], command)
        yield
    finally:
        for path, descriptor in reversed(locks):
            _release(path, descriptor)
        if new and locks:
            _remove_if_empty(folder)


def _files(folder: Path, part: str | None) -> list[tuple[Path, bool]]:
    """List the files to lock, and whether each is shared."""
    whole = folder / LOCK
    if part is None:
        return [(whole, False)]
    return [(whole, True), (folder / PARTS.replace("*", part), False)]


def _acquire(path: Path, shared: bool) -> int:
    """Open and lock a file; return its descriptor. Raise FolderInUse where it is locked already,
    and an OSError where it or its folder cannot be made."""
    for left in reversed(range(_TRIES)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _open(path)
        except (FileNotFoundError, FileExistsError) as error:
            # Mostly its holder is removing the empty folder; in /proc, say, no folder is ever made.
            if not left or _is_blocked(path):
                raise type(error)(f"{path.parent} cannot be made: {error.strerror}") from error
            time.sleep(_PAUSE)
            continue
        with ExitStack() as undone:
            undone.callback(os.close, descriptor)
            try:
                _flock(descriptor, shared)
            except BlockingIOError as error:
                raise FolderInUse(_whose(path)) from error
            if _is_at(path, descriptor):  # else its holder has removed the file meanwhile
                os.ftruncate(descriptor, 0)
                _open_locks.add(descriptor)
                undone.pop_all()
                return descriptor
    raise FolderInUse(_whose(path))


def _open(path: Path) -> int:
    """Open the lock file, made if need be. Raise OSError where it is a link: what a link leads to
    would be emptied."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        if not path.is_symlink():
            raise
        raise OSError(f"{path} should be a file, got a link: remove it") from error


def _is_blocked(path: Path) -> bool:
    """Return whether waiting makes no file: something else is where a folder goes."""
    return any(map(_is_no_folder, path.parents))


def _is_no_folder(path: Path) -> bool:
    """Return whether there is something other than a folder; a link to nothing is, too."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return path.is_symlink()


def _flock(descriptor: int, shared: bool) -> None:
    """Lock without waiting; warn where a file system knows no locks, and go without."""
    import fcntl

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(f"the output folder cannot be locked ({error.strerror}): see to it that no "
                      "other command writes there", stacklevel=6)  # fmt: skip


def _is_at(path: Path, descriptor: int) -> bool:
    """Return whether the open file is still the one with this name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(path: Path, descriptor: int) -> None:
    """Remove the file unless other parts hold it, and unlock it."""
    try:
        _flock(descriptor, shared=False)
        path.unlink(missing_ok=True)
    except BlockingIOError:  # shared with other parts, the last of which removes it
        pass
    finally:
        _open_locks.discard(descriptor)
        os.close(descriptor)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
            raise


def _say_whose(descriptor: int, command: str) -> None:
    holder = {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().isoformat(sep=" ", timespec="seconds"),
    }
    os.write(descriptor, json.dumps(holder).encode())


def _whose(lock: Path) -> str:
    """Say which command holds the folder, or the part of it that `lock` stands for."""
    holders = []
    try:
        parts = sorted(lock.parent.glob(PARTS)) if lock.name == LOCK else []
    except FileNotFoundError:  # its holder has just removed the empty folder
        parts = []
    for path in (lock, *parts):
        try:
            holder = parse_json(path.read_text(encoding="utf-8"))
            holders.append(f"{holder['command']} (process {holder['pid']} on {holder['host']}, "
                           f"since {holder['since']})")  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):  # the whole by parts, or just gone
            continue
    who = ", ".join(holders) or "another process"
    return f"{lock.parent} is in use by {who}; wait for its end or use another folder"


def _close_in_child() -> None:
    """Close locks in a forked worker, which must not keep them when its parent is killed."""
    while _open_locks:
        os.close(_open_locks.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
