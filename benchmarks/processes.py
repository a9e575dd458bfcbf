"""What the operating system says about processes: whose children they are, what they cost."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Whatever our processes leave behind becomes our child, and can be found and ended (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def family(ancestors: Iterable[int]) -> set[int]:
    """These processes with their children, children's children and so on."""
    found, parents = set(ancestors), {pid: int(fields[1]) for pid, fields in _all()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found & parents.keys()


def named(name: str) -> set[int]:
    return {pid for pid in _pids() if _read(pid, "comm").strip() == name}


def cpu(pids: Iterable[int]) -> float:
    """Processor seconds, user and system, of these processes and of their children that have ended."""
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    # Ticks are hundredths of a second, which is too coarse for an idle process; its threads are counted in nanoseconds.
    fields = _stat(pid)
    if not fields:
        return 0.0
    threads = Path("/proc", str(pid), "task")
    nanoseconds = 0
    with contextlib.suppress(OSError):
        nanoseconds = sum(
            int(_read(pid, f"task/{thread}/schedstat").split()[0]) for thread in os.listdir(threads)
        )
    own = nanoseconds / 1e9 or (int(fields[11]) + int(fields[12])) / TICKS
    return own + (int(fields[13]) + int(fields[14])) / TICKS


def pss(pids: Iterable[int]) -> float:
    """Memory in MiB; what is shared counts in shares."""
    lines = (line for pid in pids for line in _read(pid, "smaps_rollup").splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def end(pids: set[int]) -> None:
    """Kill them, and wait until they are gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ends = time.monotonic() + 10
    while pids and time.monotonic() < ends:
        pids = {pid for pid in pids if not _reaped(pid)}
        time.sleep(0.01)


def _reaped(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not _stat(pid)


def _all() -> Iterator[tuple[int, list[str]]]:
    for pid in _pids():
        if fields := _stat(pid):
            yield pid, fields


def _stat(pid: int) -> list[str]:
    """What stands behind the name in /proc/pid/stat: state, parent, …"""
    return _read(pid, "stat").rpartition(")")[2].split()


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _read(pid: int, name: str) -> str:
    try:
        return Path("/proc", str(pid), name).read_text(errors="replace")
    except OSError:
        return ""
