"""What a running worker can be asked, by the names and with the answers of Celery's remote control.

They run in the housekeeper: they read the board and the rows, name tasks, and never call what a project wrote.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import inspect
import logging
import os
import platform
import resource
import signal
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import django
import kombu

from django_tasks import clock, conf, registry, states
from django_tasks.brokers.handler import broker
from django_tasks.definition.options import TASK_KINDS
from django_tasks.definition.rates import per_second
from django_tasks.exceptions import NotRegistered, UnknownCommand
from django_tasks.message.saferepr import MASK, is_secret, saferepr
from django_tasks.models import TaskResult
from django_tasks.models.batches import slices
from django_tasks.results.handler import results

from .banner import banner, broker_url
from .board import ALIVE, Board, Running
from .options import WorkerOptions

logger = logging.getLogger("django_tasks.worker")

#: The most ids of revoked tasks that are told; there may be any number.
MOST_REVOKED = 1000
#: The most claimed tasks of which more than the id is told.
MOST_TOLD = 1000
#: What comes with the app, hidden as Celery hides its own.
_BUILT_IN = ("django_tasks.", "celery.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """The worker that is asked."""

    name: str
    options: WorkerOptions
    board: Board
    #: The process to which a stop is signalled.
    supervisor: int
    #: Since when it runs, in monotonic seconds.
    started: float


def run(name: str, arguments: Mapping[str, Any], worker: Addressee) -> object:
    """Obey a command; the answer can be written as JSON.

    Raises `UnknownCommand`, and `ValueError` for one that makes no sense here; both say what does.
    """
    name = _OTHER_NAMES.get(name, name)
    if name in INSTEAD:
        raise ValueError(f"{name} is not for these workers. {INSTEAD[name]}")
    if name not in COMMANDS:
        raise UnknownCommand(
            f"No worker knows the command {name!r}.{conf.guess(name, COMMANDS)} "
            f"Use one of: {', '.join(sorted(COMMANDS))}."
        )
    command = COMMANDS[name]
    try:
        inspect.signature(command).bind(worker, **arguments)
    except TypeError as error:
        raise ValueError(f"{name} was asked with the wrong arguments: {error}. Correct them.") from error
    return command(worker, **arguments)


# -- how it is


def ping(worker: Addressee, **_: object) -> dict[str, str]:
    return {"ok": "pong"}


def stats(worker: Addressee, **_: object) -> dict[str, Any]:
    """`total` counts the tasks done by the processes that run now, not by name: the board does not know names."""
    options, settings = worker.options, conf.current()
    return {
        "total": {"all": worker.board.done},
        "pid": worker.supervisor,
        "clock": "0",
        "uptime": int(clock.monotonic() - worker.started),
        "pool": {
            "implementation": f"django_tasks:{'threads' if options.threads > 1 else 'processes'}",
            "max-concurrency": max(1, options.processes) * options.threads,
            "processes": _pids(worker),
            "max-tasks-per-child": options.max_tasks_per_child or "N/A",
            "put-guarded-by-semaphore": False,
            "timeouts": [settings.TASK_SOFT_TIME_LIMIT or 0, settings.TASK_TIME_LIMIT or 0],
        },
        "broker": _broker(),
        # At the least: one for each slot, and then what is expected to run within about a second.
        "prefetch_count": max(1, options.processes) * options.threads,
        "rusage": _usage(),
    }


def _pids(worker: Addressee) -> list[int]:
    return [seat.pid for seat in worker.board.seats if seat.state == ALIVE]


def _broker() -> dict[str, Any]:
    """What the URL says, without the password and what else may be secret."""
    told = ("hostname", "userid", "virtual_host", "port", "transport", "ssl", "connect_timeout", "heartbeat")
    info = broker().connect().info()
    return {key: _plain(info.get(key)) for key in told} | {"alternates": [], "login_method": None}


def _usage() -> dict[str, float]:
    """Of the process that answers: the worker's others are told by the operating system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {name[3:]: getattr(used, name) for name in dir(used) if name.startswith("ru_")}


def active_queues(worker: Addressee, **_: object) -> list[dict[str, Any]]:
    """The queues that it takes from; those that are paused are not among them."""
    return [
        _plain(kombu.Queue(name, kombu.Exchange("", type="direct"), name).as_dict(recurse=True))
        for name in worker.board.pauses.open() or ()
    ]


def registered(
    worker: Addressee, taskinfoitems: Iterable[str] | None = None, builtins: bool = False, **_: object
) -> list[str]:
    names = sorted(name for name in registry.tasks if builtins or not name.startswith(_BUILT_IN))
    return [_described(name, taskinfoitems or ()) for name in names]


def _described(name: str, items: Iterable[str]) -> str:
    task = registry.tasks.declared(name)
    # An attribute of a project's own may be a property, and do anything.
    said = {item: getattr(task, item, None) for item in items if item in TASK_KINDS}
    shown = [f"{item}={saferepr(value)}" for item, value in said.items() if value is not None]
    return f"{name} [{' '.join(shown)}]" if shown else name


def settings(worker: Addressee, with_defaults: bool = True, **_: object) -> dict[str, Any]:
    """The settings in force; whatever is named like a secret is masked."""
    found, default = conf.current(), conf.Settings()
    names = [field.name for field in dataclasses.fields(found)]
    told = {name: getattr(found, name) for name in names}
    if not with_defaults:
        told = {name: value for name, value in told.items() if value != getattr(default, name)}
    return {**_plain(told), "BROKER_URL": broker_url()}


def report(worker: Addressee, **_: object) -> dict[str, str]:
    versions = f"Python {platform.python_version()}, Django {django.get_version()}, kombu {kombu.__version__}"
    return {"ok": f"{banner(worker.options)}\n  {'versions':<9} {versions}, {platform.platform()}"}


# -- what it does


def active(worker: Addressee, **_: object) -> list[dict[str, Any]]:
    """What runs. Of tasks without a row (`ignore_result`) nothing is known here but their ids."""
    running = _running(worker)
    rows = _owned(worker, running)
    return [_told(worker, id, rows.get(id), *running[id]) for id in running]


def reserved(worker: Addressee, **_: object) -> list[dict[str, Any]]:
    """What it has claimed and not begun."""
    running = _running(worker)
    rows = _rows().filter(claimed_by__in=sorted(worker.board.living_owners())).not_final()
    found = rows.defer("message", "result", "traceback").order_by("priority", "created_at")[:MOST_TOLD]
    return [_told(worker, row.id, row) for row in found if row.id not in running]


def scheduled(worker: Addressee, **_: object) -> list[dict[str, Any]]:
    """Nothing, ever: what is due later waits as a row in the database, in no worker."""
    return []


def revoked(worker: Addressee, **_: object) -> list[str]:
    """The newest of all revoked tasks: it is a state of the task, and known to every worker."""
    rows = _rows().with_status(states.REVOKED).order_by("-created_at")
    return list(rows.values_list("id", flat=True)[:MOST_REVOKED])


def query_task(worker: Addressee, ids: str | Iterable[str], **_: object) -> dict[str, list[Any]]:
    """Those of these tasks that this worker has, each with what it does with it."""
    wanted = _ids(ids)
    running = {id: where for id, where in _running(worker).items() if id in wanted}
    rows = _owned(worker, wanted)
    found: dict[str, list[Any]] = {
        id: ["active", _told(worker, id, rows.get(id), *running[id])] for id in running
    }
    found |= {id: ["reserved", _told(worker, id, row)] for id, row in rows.items() if id not in running}
    return found


def _running(worker: Addressee) -> dict[str, tuple[Running, int]]:
    """What runs here, with the process that does."""
    seats = [seat for seat in worker.board.seats if seat.state == ALIVE]
    return {task.id: (task, seat.pid) for seat in seats for task in seat.running()}


def _rows() -> Any:
    return TaskResult.objects.using(conf.current().DATABASE)


def _owned(worker: Addressee, ids: Collection[str]) -> dict[str, TaskResult]:
    """The rows of those of these tasks that this worker has claimed."""
    rows = _rows().filter(claimed_by__in=sorted(worker.board.living_owners()))
    rows = rows.defer("message", "result", "traceback")
    return {row.id: row for some in slices(sorted(ids)) for row in rows.filter(id__in=some)}


def _told(
    worker: Addressee,
    id: str,
    row: TaskResult | None,
    task: Running | None = None,
    pid: int | None = None,
) -> dict[str, Any]:
    """A task as Celery tells it. The arguments are as in the admin: shortened, without secrets."""
    since = None if task is None else clock.now() - dt.timedelta(seconds=clock.monotonic() - task.since)
    return {
        "id": id,
        "name": None if row is None else row.task,
        "args": "" if row is None else row.args,
        "kwargs": "" if row is None else row.kwargs,
        "type": None if row is None else row.task,
        "hostname": worker.name,
        "time_start": None if since is None else since.timestamp(),
        "acknowledged": row is not None,
        "delivery_info": {
            "exchange": "",
            "routing_key": None if row is None else row.queue,
            "priority": None if row is None else row.priority,
            "redelivered": None if row is None else bool(row.crashes),
        },
        "worker_pid": pid,
    }


# -- what is changed


def revoke(
    worker: Addressee, task_id: str | Iterable[str], terminate: bool = False, **_: object
) -> dict[str, str]:
    """It holds for all workers: it is a state of the task. A `signal` is taken no notice of; see `terminate`."""
    ids = _ids(task_id)
    results().revoke_many(ids, terminate=bool(terminate))
    return {"ok": f"tasks {', '.join(ids)} flagged as revoked"}


def terminate(worker: Addressee, task_id: str | Iterable[str], **_: object) -> dict[str, str]:
    """Stop tasks that run, by killing their process, or revoke them."""
    return revoke(worker, task_id, terminate=True)


def rate_limit(
    worker: Addressee, task_name: str, rate_limit: str | float | None, **_: object
) -> dict[str, str]:
    """Change how often a task begins here, until this worker ends; nothing or 0 lifts a limit."""
    try:
        task = registry.find(task_name).name
    except NotRegistered as error:
        raise ValueError(str(error)) from error
    per_second(rate_limit)
    worker.board.rate_limits.set(task, rate_limit)
    logger.warning("Rate limit of %s is now %s", task, rate_limit or "none")
    return {"ok": "new rate limit set successfully"}


def shutdown(worker: Addressee, **_: object) -> dict[str, str]:
    """End it as SIGTERM does: what runs has its time of grace."""
    logger.warning("Somebody asked this worker to end")
    os.kill(worker.supervisor, signal.SIGTERM)
    return {"ok": "ending"}


def drain(worker: Addressee, **_: object) -> dict[str, str]:
    """Have it take nothing more, and end it when what runs has ended, however long that takes."""
    logger.warning("Somebody asked this worker to drain")
    worker.board.ending.want()
    os.kill(worker.supervisor, signal.SIGCHLD)  # it sleeps until a signal comes
    return {"ok": "draining"}


def _ids(given: str | Iterable[str]) -> list[str]:
    return [given] if isinstance(given, str) else list(given)


# -- in JSON


def _plain(value: Any) -> Any:
    """As JSON can say it; what it cannot is told in words, what is secret not at all."""
    redact = conf.current().REDACT
    if isinstance(value, Mapping):
        return {
            str(key): MASK if is_secret(str(key), redact) else _plain(item) for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value) if isinstance(value, dt.timedelta) else saferepr(value, redact=redact)


COMMANDS: dict[str, Callable[..., object]] = {
    "active": active,
    "active_queues": active_queues,
    "conf": settings,
    "drain": drain,
    "ping": ping,
    "query_task": query_task,
    "rate_limit": rate_limit,
    "registered": registered,
    "report": report,
    "reserved": reserved,
    "revoke": revoke,
    "revoked": revoked,
    "scheduled": scheduled,
    "shutdown": shutdown,
    "stats": stats,
    "terminate": terminate,
}
_OTHER_NAMES = {
    "dump_active": "active",
    "dump_conf": "conf",
    "dump_reserved": "reserved",
    "dump_revoked": "revoked",
    "dump_schedule": "scheduled",
    "dump_tasks": "registered",
}
_SIZE = "A worker's size is set where it is started: runworker --processes and --threads."
#: What Celery's workers obey and ours do not: what to do instead.
INSTEAD = {
    "add_consumer": "Start a worker with --queues, or resume a paused queue: app.control.resume_queue(queue).",
    "autoscale": _SIZE,
    "cancel_consumer": "Pause the queue for all workers: app.control.pause_queue(queue).",
    "pool_grow": _SIZE,
    "pool_restart": "Ask it to end (app.control.shutdown), and let what watches it start it anew.",
    "pool_shrink": _SIZE,
    "time_limit": "A limit is set where a task is declared or sent: time_limit=, soft_time_limit=.",
}
