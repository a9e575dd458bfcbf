"""Where the worker logs that this process belongs to. A worker sets it as it begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLog:
    """The options `--logfile` and `--loglevel`, the level as a number of `logging`; `None` outside of workers."""

    file: str | None = None
    level: int | None = None


_here = WorkerLog()


def worker_log() -> WorkerLog:
    return _here


def set_worker_log(log: WorkerLog) -> None:
    global _here
    _here = log
