"""What a worker was asked to be: the command line as a value."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

#: More at a time would not fit on the board together with what is claimed ahead (`board.MOST_CLAIMED`).
MOST_COROUTINES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """How one `runworker` runs. Spans are seconds."""

    queues: tuple[str, ...]
    #: Task processes; 0 runs everything in the one process, for debuggers.
    processes: int = 2
    #: How many plain tasks a task process runs at a time,
    threads: int = 1
    #: and how many coroutines beside them.
    concurrency: int = 100
    name: str = "worker"
    hostname: str = field(default_factory=socket.gethostname)
    #: End when the queues are empty.
    burst: bool = False
    #: How long running tasks may go on after the first SIGTERM.
    grace: float = 30.0
    #: When a task process is replaced by another: after so many tasks, or with more resident memory, in kB.
    max_tasks_per_child: int | None = None
    max_memory_per_child: int | None = None
    #: With more, in kB, it is killed at once.
    max_memory: int | None = None
    #: Show on standard output how many tasks were done.
    progress: bool = False
    #: Tell Celery's monitors what happens, and obey their commands.
    events: bool = False

    #: Where it is asked over HTTP how this worker is; port 0: nowhere.
    health_host: str = "127.0.0.1"
    health_port: int = 0

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.hostname}"
