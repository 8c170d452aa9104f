"""Run Python as if some installed packages were not there, in processes that it starts as well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FINDER = """\
import sys
from importlib.abc import MetaPathFinder


class Blocked(MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname.split(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{fullname!r}}", name=fullname)
        return None


sys.meta_path.insert(0, Blocked())
"""


def run_without(
    packages: Iterable[str], folder: Path, *arguments: str | Path
) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments; a sitecustomize in `folder` hides the packages."""
    (folder / "sitecustomize.py").write_text(_FINDER.format(names=sorted(packages)))
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": path})  # fmt: skip
