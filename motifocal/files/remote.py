"""Objects in a bucket as paths: s3://, gs://, hf:// and whatever else fsspec knows.

An object is read as a temporary file on this machine, and written whole under its name, so that a
kill leaves no half. Requests are tried again, and credentials found, as each store's library does.
"""

from __future__ import annotations

import errno
import importlib
import io
import os
import re
import stat
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from functools import lru_cache
from itertools import islice
from pathlib import Path, PosixPath
from typing import Any

from motifocal.files.disk import NO_ROOM
from motifocal.files.object_state import state_of

_URL = re.compile(r"[a-z][a-z0-9+.-]+://[^/]")
_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]+):/")
# Packages of our extra; fsspec itself says what another scheme needs.
_DRIVERS = {"s3": "s3fs", "hf": "huggingface_hub"}
_ASKED_AT_ONCE, _WINDOW = 32, 1024  # requests for the state of objects, and paths read ahead
_TEMPORARY = "motifocal-object-"
_LEFT_OVER = 24 * 3600.0  # seconds: temporary files of killed processes
_SUFFIX = 16  # characters: a temporary file's name has to be short enough for a disk
_PASSWORD = re.compile(r"//[^/@]*:[^/@]*@")
#: s3fs resumes a download whose connection is lost only where it is read in one go. It also keeps
#: less in memory then: a part of 50 MB instead of ten.
_SETTINGS: dict[str, dict[str, Any]] = {"s3": {"max_concurrency": 1}}


class RemoteError(OSError):
    """An object that could not be read or written, in one line.

    `errno` is ENOENT if it is not there, EACCES if access is denied.
    """

    @property
    def is_final(self) -> bool:
        """Whether it says something of the object, and not of a moment in which nothing went."""
        return self.errno in (errno.ENOENT, errno.EACCES)

    def __str__(self) -> str:
        # PyTorch makes it anew, of the message alone, where it came from a process that loads.
        return f"{self.filename}: {self.strerror}" if self.filename else super().__str__()


def is_remote(text: object) -> bool:
    """Tell whether text is a URL of something in a bucket, and no local path."""
    return isinstance(text, str) and _URL.match(text) is not None


def to_path(location: str | Path) -> Path:
    """Return a Path, which is a RemotePath for a URL."""
    if isinstance(location, Path):
        return location
    return RemotePath(location) if is_remote(location) else Path(location)


def absolute(path: str | Path) -> Path:
    """Return the absolute path without `..`, or the URL."""
    path = to_path(path)
    return path if isinstance(path, RemotePath) else Path(os.path.abspath(path))


class RemotePath(PosixPath):
    """The URL of an object, or of a folder: of all objects whose names begin with it.

    It can do what a Path can, as far as objects go; what is not here fails, as the URL is no name
    of a local file. Everything raises RemoteError.
    """

    _info: dict[str, Any] | None = None  # what a listing said of it

    def __str__(self) -> str:
        return _SCHEME.sub(r"\1://", super().__str__())

    def __fspath__(self) -> str:
        raise TypeError(f"{self} should be a local path")

    def stat(self, **_: Any) -> os.stat_result:
        """Return size and times; the second of change stands for the version (ETag)."""
        info = self._info
        if info is None:
            with _named(self):
                info = filesystem(self).info(str(self))
        return state_of(info)

    def exists(self, **_: Any) -> bool:
        return self._has(lambda mode: True)

    def is_file(self, **_: Any) -> bool:
        return self._has(stat.S_ISREG)

    def is_dir(self, **_: Any) -> bool:
        return self._has(stat.S_ISDIR)

    def is_symlink(self) -> bool:
        return False

    def _has(self, kind: Any) -> bool:
        try:
            return bool(kind(self.stat().st_mode))
        except RemoteError as error:
            if error.errno != errno.ENOENT:
                raise
            return False

    def open(self, mode: str = "r", *_: Any, **text: Any) -> Any:
        """Read an object as a whole; tables and lists are what is read so."""
        if mode not in ("r", "rb"):
            raise ValueError(f"{self} is read or written as a whole, got the mode {mode!r}")
        with _named(self):
            content = io.BytesIO(filesystem(self).cat_file(str(self)))
        options = {key: value for key, value in text.items() if key != "buffering"}
        return content if mode == "rb" else io.TextIOWrapper(content, **options)

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Do nothing: folders are parts of names."""

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with _named(self):
                filesystem(self).rm_file(str(self))
        except RemoteError as error:
            if error.errno != errno.ENOENT or not missing_ok:
                raise

    def iterdir(self) -> Generator[RemotePath, None, None]:
        """List what is directly below; a folder that is not there is an empty one."""
        try:
            with _named(self):
                listed = filesystem(self).ls(str(self), detail=True)
        except RemoteError as error:
            if error.errno != errno.ENOENT:
                raise
            return
        yield from self._below(listed)

    def glob(self, pattern: str, **_: Any) -> Iterator[RemotePath]:  # type: ignore[override]
        """List what is directly below and has a name of this pattern."""
        names = {path.name: path for path in self.iterdir()}
        yield from (path for name, path in names.items() if fnmatch(name, pattern))

    def rglob(self, pattern: str, **_: Any) -> Iterator[RemotePath]:  # type: ignore[override]
        """List all objects below whose names have this pattern, with their states."""
        with _named(self):
            listed = filesystem(self).find(str(self), detail=True)
        yield from (path for path in self._below(listed.values()) if fnmatch(path.name, pattern))

    def _below(self, listed: Iterable[dict[str, Any]]) -> Iterator[RemotePath]:
        scheme = self.parts[0]
        for info in listed:
            path = RemotePath(f"{scheme}//{info['name'].lstrip('/')}")
            if self in path.parents:  # else it stands for the folder itself
                _check(path)
                path._info = info
                yield path

    def absolute(self) -> RemotePath:
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        return self


def filesystem(path: RemotePath) -> Any:
    """Return fsspec's file system for a URL; it is one in each process.

    Raises ModuleNotFoundError where a package of the extra is not installed, RemoteError where
    another is needed or nothing knows such URLs, and for URLs with `..` or a password.
    """
    import fsspec

    _check(path)
    if (scheme := path.parts[0].removesuffix(":")) in _DRIVERS:
        importlib.import_module(_DRIVERS[scheme])
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False, **_SETTINGS.get(scheme, {}))
    except (ImportError, TypeError, ValueError) as error:
        words = " ".join(str(error).split())
        raise RemoteError(errno.EPROTONOSUPPORT, words, str(path)) from error


def _check(path: RemotePath) -> None:
    """Raise RemoteError for what would lead out of a local folder, or be printed by mistake."""
    if os.pardir in path.parts:  # a key may hold it, and results are named like their clips
        raise RemoteError(errno.EINVAL, "a name should hold no '..'", str(path))
    if _PASSWORD.search(str(path)):
        shown = _PASSWORD.sub("//***@", str(path))
        raise RemoteError(errno.EINVAL, "a URL should hold no password; say it as the library of "
                          "the store asks for it", shown)  # fmt: skip


@contextmanager
def fetched(path: Path) -> Iterator[Path]:
    """Yield a local file with the bytes of an object, removed when the block is left.

    Of a local path, yield itself. The file is in the system's folder of temporary files (TMPDIR).
    Raises RemoteError, once the store's library has given up, or OSError of a full disk. A
    ValueError of the block, such as that of a damaged clip, names the object instead of the file.
    """
    if not isinstance(path, RemotePath):
        yield path
        return
    temporary = _temporary(path)
    try:
        with _named(path):
            filesystem(path).get_file(str(path), str(temporary))
        yield temporary
    except ValueError as error:
        error.args = tuple(arg.replace(str(temporary), str(path)) if isinstance(arg, str) else arg
                           for arg in error.args)  # fmt: skip
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def uploading(path: RemotePath) -> Iterator[Path]:
    """Yield a local name to write to; the file becomes the object if the block ends well.

    It appears whole or not at all: large ones are sent in parts, which are put together last.
    """
    temporary = _temporary(path)
    try:
        yield temporary
        with _named(path):
            filesystem(path).put_file(str(temporary), str(path))
    finally:
        temporary.unlink(missing_ok=True)


def read_all(paths: Iterable[RemotePath]) -> Iterator[bytes]:
    """Read small objects, many at a time, in their order."""
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        yield from pool.map(RemotePath.read_bytes, paths)


def states_of(paths: Iterable[Path]) -> Iterator[os.stat_result | OSError]:
    """Yield the states of files in their order, or why there is none; of objects many at a time."""
    waiting = iter(paths)
    with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
        while some := list(islice(waiting, _WINDOW)):
            remote = any(isinstance(path, RemotePath) for path in some)
            yield from pool.map(_state_or_error, some) if remote else map(_state_or_error, some)


def _state_or_error(path: Path) -> os.stat_result | OSError:
    try:
        return path.stat()
    except OSError as error:
        return error


@contextmanager
def _named(path: RemotePath) -> Iterator[None]:
    """Make one error of what the libraries of the stores raise."""
    try:
        yield
    except (ModuleNotFoundError, RemoteError):
        raise
    except Exception as error:  # they have none in common
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        number = getattr(error, "errno", None) or errno.EIO
        words = " ".join(str(error).split())[:300]
        if isinstance(error, FileNotFoundError):
            number, words = errno.ENOENT, "no such object or bucket"
        elif isinstance(error, PermissionError):
            number, words = errno.EACCES, f"access denied ({words})"
        raise RemoteError(number, words or type(error).__name__, str(path)) from error


def _temporary(path: RemotePath) -> Path:
    _remove_left_over()
    descriptor, name = tempfile.mkstemp(path.suffix[:_SUFFIX], _TEMPORARY)
    os.close(descriptor)
    return Path(name)


@lru_cache(maxsize=1)
def _remove_left_over() -> None:
    """Remove what killed processes left among the temporary files, once a process."""
    for path in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        # Another process may remove it too, and other users' are theirs.
        with suppress(FileNotFoundError, PermissionError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER:
                path.unlink()
