"""The state of an object in a bucket as that of a file: size, time of change, version."""

from __future__ import annotations

import hashlib
import os
import stat
from datetime import datetime
from typing import Any

#: What tells versions of an object apart, in the words of several stores.
_VERSIONS = ("ETag", "etag", "md5Hash", "generation", "blob_id", "sha256", "created")
_TIMES = ("LastModified", "mtime", "updated")


def state_of(info: dict[str, Any]) -> os.stat_result:
    """Return size and times of what fsspec's `info` says of an object; its version is the ctime.

    Fractions of seconds are left out, as only listings have them. Where the store gives no time,
    the version takes its place, so that another version is always one of another time.
    """
    mode = stat.S_IFDIR if info["type"] == "directory" else stat.S_IFREG
    times = (value.timestamp() if isinstance(value, datetime) else value
             for value in map(info.get, _TIMES) if isinstance(value, (datetime, int, float)))
    seconds = int(next(times, 0))
    version = [str(info[key]).strip('"') for key in _VERSIONS if info.get(key)]
    mark = int.from_bytes(hashlib.sha256(repr(version).encode()).digest()[:7], "big")
    size = int(info.get("size") or 0)
    return os.stat_result((mode, 0, 0, 1, 0, 0, size, seconds, seconds, seconds),
                          {"st_mtime_ns": seconds * 10**9 or mark, "st_ctime_ns": mark})
