"""The stage of a scenario: workers that can be broken, tasks that are sent, and the count at the end."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.db import connection, transaction
from django.db.models import QuerySet

from django_tasks import Task
from django_tasks.models import QueuedMessage, TaskResult
from django_tasks.results.async_result import AsyncResult
from django_tasks.states import FINAL_STATES, SUCCESS
from tests.proxy import Proxy
from tests.services import Server
from tests.workers import RunningWorker, Start

from . import runs
from .result import Result
from .runs import Run

State = TypeVar("State")

IS_FULL = os.environ.get("CHAOS_SCALE") == "full"
#: Seconds after which a state that does not come is a failure.
PATIENCE = 3600.0 if IS_FULL else 60.0
#: A scenario's workers are believed that long without news, so that it need not wait for half a minute.
LEASE = 10.0 if IS_FULL else 2.0
#: Seconds, beside a lease, in which what was broken must go on: the promise is 5. At small scale scenarios run side by
#: side, maybe on a busy machine: there it must go on by itself, however slow that is.
SOON = 5.0 if IS_FULL else 20.0
#: A statement takes no more ids at once.
SLICE = 500


def scaled(small: State, full: State) -> State:
    return full if IS_FULL else small


class Row(NamedTuple):
    status: str
    claimed_by: str | None
    crashes: int
    result: str | None
    finished_at: dt.datetime | None

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATES


class Stage:
    def __init__(
        self, *, start: Start, folder: Path, server: Server | None, network: Proxy | None = None
    ) -> None:
        self.start = start
        #: Between the broker and everybody who uses it, if the scenario has a broker of its own.
        self.network = network
        self.folder = folder
        self.server = server
        self.ledger = folder / "ledger.sqlite3"
        runs.create(self.ledger)
        #: What `delay()` answered, of what was committed: the id, and whether it may run again when its process dies.
        self.sent: dict[str, bool] = {}
        #: When each process was killed.
        self.killed: dict[int, float] = {}

    @property
    def where(self) -> str:
        database = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB"}[connection.vendor]
        kind = {None: "django://", "redis": "Redis", "rabbitmq": "RabbitMQ"}[self.server and self.server.kind]
        return f"{kind}, {database}"

    # -- acting

    def worker(self, *arguments: str, **environment: str) -> RunningWorker:
        return self.start(*arguments, **{**self.environment(), **environment})

    def environment(self) -> dict[str, str]:
        """What a process needs to know of this stage."""
        return {
            "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
            "TEST_DATABASE_NAME": str(connection.settings_dict["NAME"]),
            "CHAOS_LEDGER": str(self.ledger),
            "TEST_WORKER_LEASE": str(LEASE),
        }

    def send(self, task: Task[..., Any], calls: Iterable[Any], **options: Any) -> list[AsyncResult[Any]]:
        """In one transaction; what it answered counts once that is committed."""
        with transaction.atomic():
            results = task.bulk(calls, **options)
        self.sent |= {result.id: bool(task.acks_late) for result in results}
        return results

    def kill(self, *pids: int) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.killed[pid] = time.time()

    def kill_all(self, worker: RunningWorker) -> None:
        """The whole group at once, as when its machine goes."""
        family = [worker.process.pid, *worker.children()]
        worker.kill_group()
        self.killed |= dict.fromkeys(family, time.time())

    def gate(self, name: str = "gate") -> Path:
        return self.folder / name

    # -- waiting

    def until(self, state: Callable[[], State], what: str) -> State:
        ends = time.monotonic() + PATIENCE
        while not (found := state()):
            assert time.monotonic() < ends, f"never came: {what}. {self.says()}"
            time.sleep(0.02)
        return found

    def says(self) -> str:
        states = Counter(TaskResult.objects.values_list("status", flat=True))
        return f"Of {len(self.sent)} sent, {self.begun()} runs: {dict(states)}, {QueuedMessage.objects.count()} stored"

    def runs(self) -> list[Run]:
        return runs.read(self.ledger)

    def begun(self) -> int:
        return runs.count(self.ledger)

    def runs_of(self, sent: AsyncResult[Any]) -> list[Run]:
        return [run for run in self.runs() if run.task_id == sent.id]

    def running(self, worker: RunningWorker, tasks: int = 1) -> None:
        """Until that many more bodies have begun than now: the worker is at work."""
        before = self.begun()
        self.until(lambda: self.begun() >= before + tasks or self.all_ended(), "more tasks run")

    def all_ended(self) -> bool:
        return not self._unended().exists()

    def unended(self) -> int:
        return self._unended().count()

    def _unended(self) -> QuerySet[TaskResult]:
        # By the index of what is not simply done: this is asked all the time, of a million rows.
        return TaskResult.objects.exclude(status=SUCCESS).not_final()

    def end(self) -> None:
        """Until every task has an ending and nothing is stored any more."""
        self.until(self.all_ended, "an ending for every task")
        self.until(
            lambda: not QueuedMessage.objects.exclude(state=QueuedMessage.State.ASIDE).exists(),
            "empty queues",
        )

    # -- counting

    def rows(self) -> dict[str, Row]:
        """What the rows of all that was sent say; by slices and in little memory, as there may be a million."""
        ids = list(self.sent)
        found: dict[str, Row] = {}
        for first in range(0, len(ids), SLICE):
            rows = TaskResult.objects.filter(id__in=ids[first : first + SLICE])
            found |= {id: Row(*values) for id, *values in rows.values_list("id", *Row._fields)}
        return found

    def result(
        self,
        number: int,
        fault: str,
        *,
        recovery: float | None = None,
        figures: str = "",
        handed_back: Mapping[str, int] | None = None,
        silent: bool = False,
    ) -> Result:
        """The count.

        `handed_back`: runs that count as none, because they were cut at a shutdown.
        `silent`: the bodies leave no entry, so that who succeeded has run.
        """
        rows, all_runs = self.rows(), self.runs()
        ran = Counter(run.task_id for run in all_runs)
        cut = handed_back or {}
        return Result(
            number=number,
            fault=fault,
            where=self.where,
            sent=len(self.sent),
            ran=len(rows) if silent else len(all_runs),
            lost=sum(is_lost(rows.get(id), ran[id], silent=silent) for id in self.sent),
            doubled=sum(
                max(0, ran[id] - promised(rows.get(id), is_late=is_late) - cut.get(id, 0))
                for id, is_late in self.sent.items()
            )
            + sum(times for id, times in ran.items() if id not in self.sent),
            unended=sum(not row.is_final or row.claimed_by is not None for row in rows.values())
            + QueuedMessage.objects.count(),
            recovery=self.recovery(rows, all_runs) if recovery is None else recovery,
            figures=figures,
        )

    def recovery(self, rows: Mapping[str, Row], all_runs: Iterable[Run]) -> float:
        """The longest time from the death of a process to the next run, or the end, of what it ran."""
        longest = 0.0
        runs_of: dict[str, list[Run]] = {}
        for run in all_runs:
            runs_of.setdefault(run.task_id, []).append(run)
        for id, its in runs_of.items():
            for run, following in zip(its, [*its[1:], None], strict=True):
                killed = self.killed.get(run.pid)
                if killed is None or (run.ended is not None and run.ended < killed):
                    continue
                finished = rows[id].finished_at
                after = following.at if following else finished.timestamp() if finished else float("inf")
                longest = max(longest, after - killed)
        return longest


def is_lost(row: Row | None, ran: int, *, silent: bool = False) -> bool:
    """It neither ran nor does its row say that it was lost, and why."""
    if silent and row is not None:
        return row.status != "SUCCESS"
    return row is None or (not ran and not (row.status == "FAILURE" and is_worker_lost(row)))


def is_worker_lost(row: Row) -> bool:
    return "WorkerLostError" in (row.result or "")


def promised(row: Row | None, *, is_late: bool) -> int:
    """How often its body may have begun: once, and once more for each process that died of it."""
    return 1 + row.crashes if row and is_late else 1


def memory(pids: Iterable[int]) -> int:
    """What these processes have of memory, in kB, the largest of them."""
    return max((_resident(pid) for pid in pids), default=0)


def _resident(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0
