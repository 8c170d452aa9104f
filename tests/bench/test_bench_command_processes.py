"""A command's processes end, however they hang, with all that they started."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_programs import LIMITS, ON_LINUX, OPTIONS, jobs_of

from motifocal.generate.command_model import CommandModel


def alive(pid: int) -> bool:
    """Whether a process still runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def dies(pid: int) -> bool:
    """Whether a process ends; one that was killed may take a moment, on a busy machine long."""
    for _ in range(3000):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def pid_in(path: Path) -> int:
    """The number that a process writes to a file, once it is there."""
    for _ in range(3000):
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


HANGS = {
    "asleep": "time.sleep(600)",
    "deaf": "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    "a deaf child of it": """
child = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
child += "open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
subprocess.run([sys.executable, "-c", child, os.environ["PID_FILE"]])
""",
}


@ON_LINUX
@pytest.mark.slow
@pytest.mark.parametrize("kind", HANGS)
def test_a_process_that_hangs_is_ended_with_all_that_it_started(
    tmp_path: Path, stock: Path, script: Callable[[str], str], kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("PID_FILE", str(tmp_path / "pid"))
    words = script("shutil.copy(STOCK + '/good.mp4', given.out)\n"
                   "open(os.environ['PID_FILE'], 'w').write(str(os.getpid()))\n" + HANGS[kind]
                   + "\nopen(os.environ['PID_FILE'] + '.awake', 'w').close()")
    for limit in LIMITS:
        model = CommandModel(words + OPTIONS, "m", timeout=limit, grace=0.2)
        assert model.animate(jobs_of(tmp_path, stock, "")) == [f"took longer than {limit} s"]
        if (tmp_path / "pid").exists():
            break
    assert dies(pid_in(tmp_path / "pid"))
    assert not (tmp_path / "pid.awake").exists()  # it was ended, and did not end by itself
    assert [path.suffix for path in (tmp_path / "videos").iterdir()] == [".log"]


@ON_LINUX
def test_what_a_process_leaves_running_ends_with_it(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    words = script("""
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        shutil.copy(STOCK + "/good.mp4", given.out)
    """)
    assert CommandModel(words + OPTIONS, "m").animate(jobs_of(tmp_path, stock, "")) == [None]
    pid = int((tmp_path / "videos" / "v_0.log").read_text().split()[-1])
    assert dies(pid)


@ON_LINUX
def test_control_c_ends_the_process_too(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    words = script(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    main = threading.main_thread().ident
    assert main is not None

    def interrupt() -> None:
        pid_in(tmp_path / "pid")
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    # A shell starts what runs in its background deaf to Ctrl-C, and these tests with it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            CommandModel(words + OPTIONS, "m", grace=5).animate(jobs_of(tmp_path, stock, ""))
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert dies(pid_in(tmp_path / "pid"))
    assert [name for name in os.listdir(tmp_path / "videos") if name[0] == "."] == []
