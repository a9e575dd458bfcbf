"""Tasks whose bodies leave a trace."""

import asyncio
import base64
import gc
import os
import random
import signal
import subprocess
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction
from kombu import compression

from django_tasks import (
    AbortableTask,
    AsyncResult,
    Task,
    allow_join_result,
    current_task,
    signature,
    states,
    task,
)
from django_tasks.definition.request import Context
from django_tasks.exceptions import Ignore, Reject, SoftTimeLimitExceeded, TimeoutError
from django_tasks.models import TaskResult

from .models import Entry


def enter(request: Context, number: int = 0) -> None:
    Entry.objects.create(task_id=request.id, number=number, pid=os.getpid(), at=time.time())


def wait_for(gate: str) -> None:
    """Until somebody opens the gate; a file, because the one who opens it is another process."""
    while not Path(gate).exists():
        time.sleep(0.005)


# Looks like text, and is none: what undoes it wants the bytes.
compression.register(base64.b85encode, base64.b85decode, "application/x-ascii85", aliases=["ascii85"])


@task
def nothing() -> None:
    """Not even a trace."""


@task
def echo(value: Any) -> Any:
    return value


@task
def frozen() -> int:
    """How many objects the collector of garbage leaves alone."""
    return gc.get_freeze_count()


@task
def environment() -> list[str]:
    """The names of the variables that a body can see."""
    return list(os.environ)


@task
def leave_orphan() -> int:
    """A process that outlives its parent for a moment; its id."""
    script = "sleep 0.2 >/dev/null 2>&1 & echo $!"
    return int(subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout)


@task
def note(number: int = 0) -> int:
    enter(note.request, number)
    return number


@task(acks_late=True)
def note_again(number: int = 0) -> int:
    enter(note_again.request, number)
    return number


@task
def hold(gate: str) -> str:
    enter(hold.request)
    wait_for(gate)
    return "through"


@task(acks_late=True)
def hold_again(gate: str) -> str:
    enter(hold_again.request)
    wait_for(gate)
    return "through"


@task
def fail(text: str) -> None:
    raise ValueError(text)


@task(acks_late=True)
def poison() -> None:
    enter(poison.request)
    os.kill(os.getpid(), signal.SIGKILL)


@task
def leave() -> None:
    """As the parent does where something makes itself a daemon."""
    enter(leave.request)
    os._exit(0)


@task(ignore_result=True)
def note_untracked(number: int = 0) -> None:
    enter(note_untracked.request, number)


@task(ignore_result=True, acks_late=True)
def poison_untracked() -> None:
    enter(poison_untracked.request)
    os.kill(os.getpid(), signal.SIGKILL)


@task
def send_another(number: int) -> str:
    return note.delay(number).id


class Busy(Exception):
    """What the guides' Twitter says."""


@task(bind=True, default_retry_delay=0)
def succeed_at(self: Task[..., Any], run: int) -> int:
    """Asks for another run until it is the given one."""
    enter(self.request, self.request.retries)
    if self.request.retries < run:
        raise self.retry(exc=Busy(f"run {self.request.retries}"))
    return self.request.retries


@task(bind=True, ignore_result=True)
def succeed_at_untracked(self: Task[..., Any], run: int) -> None:
    enter(self.request, self.request.retries)
    if self.request.retries < run:
        raise self.retry(countdown=0)


@task(bind=True)
def retry_later(self: Task[..., Any]) -> None:
    raise self.retry(exc=Busy("later"), countdown=3600)


@task(autoretry_for=(Busy,), retry_kwargs={"max_retries": 2, "countdown": 0})
def always_busy() -> None:
    enter(always_busy.request)
    raise Busy("always")


@task
def ignore() -> None:
    raise Ignore


@task(bind=True)
def reject_once(self: Task[..., Any]) -> str:
    enter(self.request)
    if Entry.objects.filter(task_id=self.request.id).count() == 1:
        raise Reject("not now", requeue=True)
    return "now"


class Telling(Task[..., Any]):
    """Writes down which handler was called with what, in the order of the calls."""

    abstract = True

    def tell(self, what: str, *about: object) -> None:
        Entry.objects.create(
            task_id=f"{self.request.id} {what} {about!r}"[:255], pid=os.getpid(), at=time.time()
        )

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self.tell("before_start", args, dict(kwargs))

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self.tell("on_success", retval)

    def on_failure(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.tell("on_failure", exc, einfo.traceback == str(einfo))

    def on_retry(self, exc: BaseException, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self.tell("on_retry", exc)

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        self.tell("after_return", status, retval)
        raise RuntimeError("a handler's error changes nothing")


@task(base=Telling, bind=True)
def told(self: Task[..., Any], outcome: str) -> str:
    if outcome == "retry" and not self.request.retries:
        raise self.retry(exc=Busy("once"), countdown=0)
    if outcome == "failure":
        raise ValueError("bang")
    return "fine"


class Debugging(Task[..., Any]):
    """The guide's: around the body, with the request of its run."""

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ["around", self.request.id, super().__call__(*args, **kwargs)]


class DebuggingAsync(Task[..., Any]):
    abstract = True

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return ["around", self.request.id, await super().__call__(*args, **kwargs)]


@task(base=Debugging, bind=True)
def debugged(self: Task[..., Any], value: Any) -> Any:
    return [self.request.id, value]


@task(base=DebuggingAsync, bind=True)
async def debugged_async(self: Task[..., Any], value: Any) -> Any:
    await asyncio.sleep(0)
    return [self.request.id, value]


@task
def take_anything(*args: Any, **kwargs: Any) -> dict[str, Any]:
    return kwargs


@task
async def take_anything_async(**kwargs: Any) -> dict[str, Any]:
    return kwargs


@task(backend="tests.ledger.stores.FileStore")
def archive(value: Any) -> Any:
    if isinstance(value, str):
        raise ValueError(value)
    return value


@task(backend="tests.ledger.stores.FileStore", aliases=["tests.old.hold_archived"])
def hold_archived(gate: str) -> str:
    enter(hold_archived.request)
    wait_for(gate)
    return "through"


@task
def send_family(size: int) -> list[str]:
    for number in range(size):
        note.delay(number)
    return [child.id for child in send_family.request.children]


@task(time_limit=600, soft_time_limit=60)
def show_limits() -> list[float | None]:
    return list(show_limits.request.timelimit)


#: What tasks of this process never let go.
hoarded: list[bytes] = []


@task(bind=True)
def hoard(self: Task[..., Any], megabytes: int) -> None:
    enter(self.request)
    hoarded.extend(b"x" * 1_000_000 for _ in range(megabytes))


@task(bind=True, acks_late=True)
def devour(self: Task[..., Any]) -> None:
    """All the memory there is, at about 500 MB a second."""
    enter(self.request)
    take_all_memory()


@task(bind=True)
def devour_once(self: Task[..., Any]) -> None:
    enter(self.request)
    take_all_memory()


def take_all_memory() -> None:
    while True:
        hoarded.append(b"x" * 5_000_000)
        time.sleep(0.01)


@task
def sleep(seconds: float) -> str:
    enter(sleep.request)
    time.sleep(seconds)
    return "slept"


@task(acks_late=True)
def loop_in_c() -> int:
    """Never comes back to Python, so no signal handler and no other thread of the process runs.

    It begins when the process has written that it runs: a thread that stands still in a transaction would keep
    SQLite's only lock, and nobody could ask for this task's end.
    """
    enter(loop_in_c.request)
    while not TaskResult.objects.filter(id=loop_in_c.request.id, status=states.STARTED).exists():
        time.sleep(0.005)
    return sum(range(10**13))


@task
def swallow_soft_limit(gate: str) -> str:
    enter(swallow_soft_limit.request)
    for _ in range(2):
        try:
            wait_for(gate)
        except SoftTimeLimitExceeded:
            enter(swallow_soft_limit.request, 1)
    return "never"


@task(soft_time_limit=0.2)
def clean_up(gate: str) -> str:
    enter(clean_up.request)
    try:
        wait_for(gate)
    except SoftTimeLimitExceeded:
        return "cleaned up"
    return "never"


@task(base=Telling, time_limit=0.3)
def told_of_its_limit(gate: str) -> None:
    wait_for(gate)


@task(ignore_result=True, acks_late=True, store_errors_even_if_ignored=True, time_limit=0.3)
def overrun_untracked(gate: str) -> None:
    enter(overrun_untracked.request)
    wait_for(gate)


@task(rate_limit="10/s")
def spaced() -> None:
    enter(spaced.request)


@task(rate_limit="6/m")
def rare() -> None:
    enter(rare.request)


@task(atomic=True)
def note_atomically(number: int = 0) -> int:
    enter(note_atomically.request, number)
    return number


@task(atomic=True)
def note_under_a_fate(number: int, fates: str) -> int:
    """Leaves an entry and a task. Now and then, while there are fates (files), its process is killed soon after.

    By the kernel, so at any instruction: in the body's last, in the commit, or when the outcome is noted.
    """
    enter(note_under_a_fate.request, number)
    note.delay(number)
    if random.random() < 0.2 and take_fate(fates):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00005, 0.003))
    return number


def take_fate(fates: str) -> bool:
    for fate in Path(fates).glob("fate*"):
        with suppress(FileNotFoundError):
            fate.unlink()
            return True
    return False


@task(atomic=True)
def hold_atomically(gate: str) -> str:
    """Its entry is seen by nobody before it ends: a file beside the gate says which process runs it."""
    enter(hold_atomically.request)
    note.delay(7)
    Path(f"{gate}.pid").write_text(str(os.getpid()))
    wait_for(gate)
    return "through"


@task(atomic=True)
def poison_atomically() -> None:
    enter(poison_atomically.request)
    os.kill(os.getpid(), signal.SIGKILL)


@task(atomic=True, bind=True)
def end_atomically(self: Task[..., Any], how: str) -> object:
    """Leaves a trace and a task that it sent, and then ends like this."""
    enter(self.request, self.request.retries)
    note.delay(7)
    again = self.request.retries == 0
    match how:
        case "raise":
            raise ValueError("bang")
        case "retry" if again:
            raise self.retry(countdown=0)
        case "ask for a retry" if again:
            self.retry(countdown=0, throw=False)
        case "reject" if not self.request.headers:
            raise Reject("not at all")
        case "ignore":
            raise Ignore
        case "unwritable":
            return object()
        case "broken":
            transaction.set_rollback(True)
        case "bad hook":
            transaction.on_commit(lambda: [][0])
    return how


@task(atomic=True, base=Telling, bind=True)
def told_atomically(self: Task[..., Any]) -> bool:
    return connection.in_atomic_block


@task(bind=True)
def show_progress(self: Task[..., Any], gate: str) -> str:
    """Shows 10, and 50 and 90 when gates beside `gate` are opened; a transaction of its own is open all the while."""
    # On SQLite nobody else could write meanwhile, the worker included.
    with nullcontext() if connection.vendor == "sqlite" else transaction.atomic():
        for percent in (10, 50, 90):
            self.update_state(state="PROGRESS", meta={"percent": percent})
            wait_for(f"{gate}{percent}")
    return "shown"


@task(bind=True)
def hello(self: Task[..., Any], a: int, b: int) -> str:
    """The guides' example, as it is written there."""
    time.sleep(1)
    self.update_state(state="PROGRESS", meta={"progress": 50})
    time.sleep(1)
    self.update_state(state="PROGRESS", meta={"progress": 90})
    time.sleep(1)
    return f"hello world: {a + b}"


@task(bind=True)
def show_and_end(self: Task[..., Any]) -> str:
    for number in range(200):
        self.update_state(state="PROGRESS", meta=number)
    return "ended"


@task(bind=True, track_started=False)
def hold_unseen(self: Task[..., Any], gate: str) -> str:
    enter(self.request)
    wait_for(gate)
    return "through"


@task(bind=True, base=AbortableTask)
def hold_until_aborted(self: AbortableTask[..., Any]) -> str:
    while not self.is_aborted():
        self.update_state(state="PROGRESS")
        time.sleep(0.02)
    return "stopped"


@task(ignore_result=True, store_errors_even_if_ignored=True)
def fail_untracked(text: str) -> None:
    raise ValueError(text)


@task(ignore_result=True, store_errors_even_if_ignored=True)
def return_untracked() -> object:
    return object()


@task
def get_another(ready: str, other: str) -> list[Any]:
    """What it is told when it asks for a result that is ready, for one that is not, and for that with permission."""
    told: list[Any] = [AsyncResult[Any](ready).get()]
    try:
        AsyncResult[Any](other).get(timeout=0.1)
    except RuntimeError as error:
        told.append(str(error))
    for permitted in (True, False):
        try:
            with allow_join_result() if permitted else nullcontext():
                AsyncResult[Any](other).get(timeout=0.1, disable_sync_subtasks=permitted)
        except TimeoutError:
            told.append("waited")
    return told


#: How many coroutines of this process are in `nap` now.
napping = 0


@task
async def nap(seconds: float) -> int:
    """How many were here when it came."""
    global napping
    napping += 1
    seen = napping
    await asyncio.sleep(seconds)
    napping -= 1
    return seen


@task
async def note_async(number: int = 0) -> int:
    await Entry.objects.acreate(task_id=note_async.request.id, number=number, pid=os.getpid(), at=time.time())
    return number


async def gate_opens(gate: str) -> None:
    while not Path(gate).exists():
        await asyncio.sleep(0.005)


@task
async def hold_async(gate: str) -> str:
    await sync_to_async(enter)(hold_async.request)
    await gate_opens(gate)
    return "through"


@task(acks_late=True)
async def hold_async_again(gate: str) -> str:
    await sync_to_async(enter)(hold_async_again.request)
    await gate_opens(gate)
    return "through"


@task
async def own_request(expected: str) -> list[str]:
    """The id and the argument of its request, before and after others had their turn."""
    before = own_request.request
    await asyncio.sleep(0.01)
    after = current_task.request
    return [before.id or "", after.id or "", *after.args]


def break_connection() -> None:
    """Behind Django's back, as a server does that goes away; what is asked next fails."""
    connection.ensure_connection()
    connection.connection.close()
    Entry.objects.count()


def name_connection() -> int:
    """Which of the server's connections this thread uses."""
    name = {"postgresql": "pg_backend_pid()", "mysql": "CONNECTION_ID()"}[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {name}")
        return int(cursor.fetchone()[0])


@task
async def name_connections(seconds: float) -> list[int]:
    before = await sync_to_async(name_connection)()
    await asyncio.sleep(seconds)
    return [before, await sync_to_async(name_connection)()]


@task(bind=True)
async def end_async(self: Task[..., Any], how: str) -> object:
    await asyncio.sleep(0)
    match how:
        case "raise":
            raise ValueError("bang")
        case "cancelled":
            raise asyncio.CancelledError
        case "exit":
            raise SystemExit(3)
        case "cancel itself":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        case "retry" if self.request.retries == 0:
            raise self.retry(countdown=0)
        case "ignore":
            raise Ignore
        case "sync orm":
            Entry.objects.count()
        case "break the connection":
            await sync_to_async(break_connection)()
    return how


@task(base=Telling, bind=True)
async def told_async(self: Task[..., Any], outcome: str) -> str:
    if outcome == "failure":
        raise ValueError("bang")
    return "fine"


@task
async def send_another_async(number: int) -> list[str]:
    return [(await note.adelay(number)).id, (await note.aapply_async((number,))).id]


@task(soft_time_limit=0.2)
async def clean_up_async(gate: str, how: str) -> str:
    try:
        match how:
            case "plain":
                await gate_opens(gate)
            case "group":
                async with asyncio.TaskGroup() as group:
                    group.create_task(gate_opens(gate))
            case "timeout":
                async with asyncio.timeout(60):
                    await gate_opens(gate)
    except SoftTimeLimitExceeded:
        await asyncio.sleep(0)
        return f"cleaned up, {len(asyncio.all_tasks())}"
    return "never"


@task(soft_time_limit=0.1)
async def ignore_its_limit(gate: str) -> None:
    await gate_opens(gate)


@task(ignore_result=True, acks_late=True)
def hold_untracked(gate: str) -> None:
    enter(hold_untracked.request)
    wait_for(gate)


# -- what workflows are made of


@task
def add(x: int, y: int) -> int:
    return x + y


@task
def total(numbers: Any) -> int:
    """The sum of a number, or of lists in lists of them."""
    return sum(map(total.run, numbers)) if isinstance(numbers, list | tuple) else numbers


@task
def plus(value: Any, number: int) -> int:
    """Adds to whatever the step before came to."""
    return total.run(value) + number


@task
def constant(number: int) -> int:
    return number


@task
def collect(values: Any) -> Any:
    """A body that leaves a trace, and answers what it was given."""
    enter(collect.request, len(values))
    return values


@task
def note_value(value: Any) -> Any:
    enter(note_value.request, value if isinstance(value, int) else -1)
    return value


@task(ignore_result=True)
def forget_value(value: Any) -> Any:
    """Tells its result to whoever follows, and to nobody else."""
    return value


@task(bind=True, default_retry_delay=0)
def add_at_second(self: Task[..., Any], x: int, y: int) -> int:
    if self.request.retries == 0:
        raise self.retry(exc=Busy("first"))
    return x + y


@task
def on_error_id(task_id: str) -> None:
    Entry.objects.create(task_id=f"failed {task_id}"[:255], pid=os.getpid(), at=time.time())


@task
def on_error(request: Context, exc: BaseException, traceback: str) -> None:
    Entry.objects.create(
        task_id=f"{request.id} {exc!r} {bool(traceback)}"[:255], pid=os.getpid(), at=time.time()
    )


@task(bind=True)
def become(self: Task[..., Any], sig: Any) -> Any:
    """Has the workflow it is given take its place."""
    return self.replace(signature(sig))


@task(bind=True, atomic=True)
def become_atomically(self: Task[..., Any], sig: Any) -> Any:
    enter(self.request)
    return self.replace(signature(sig))


@task(bind=True)
def enlarge(self: Task[..., Any], number: int) -> int:
    """Adds `number` more tasks to the chord it is in the header of."""
    for more in range(number):
        self.add_to_chord(constant.s(100 + more))
    return number


@task
def who(*_: Any) -> dict[str, Any]:
    """What a task in a workflow knows of it."""
    request = who.request
    return {"id": request.id, "root": request.root_id, "parent": request.parent_id, "group": request.group}


@task(ignore_result=True, store_errors_even_if_ignored=True)
def wait_untracked(gate: str) -> None:
    enter(wait_untracked.request)
    wait_for(gate)


@task(acks_late=True)
def constant_again(number: int) -> int:
    """May be run again, for it does nothing."""
    return number


@task(atomic=True)
def collect_atomically(values: Any) -> Any:
    """A body whose trace and end are one."""
    enter(collect_atomically.request, len(values))
    return values


@task(queue="other")
def elsewhere(value: Any) -> Any:
    return value


def transactions_around(seconds: float = 20.0) -> list[str]:
    """What is left of the transactions that were open when this was called, and its own connection's (PostgreSQL).

    Others are at work beside it, so that some are open at any time; of those that it found it sees the end.
    """
    own = connection.connection
    if connection.in_atomic_block or (
        own and own.info.transaction_status != own.info.transaction_status.IDLE
    ):
        return ["its own"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (began,) = cursor.fetchone()
        ends = time.monotonic() + seconds
        while True:
            cursor.execute(
                "SELECT state || ': ' || query FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start < %s",
                [began],
            )
            left = [said for (said,) in cursor.fetchall()]
            if not left or time.monotonic() > ends:
                return left
            time.sleep(0.01)


@task(bind=True)
def see_transactions(self: Task[..., Any], retries: int = 0) -> list[str]:
    if self.request.retries < retries:
        raise self.retry(countdown=0)
    return transactions_around()


@task
async def see_transactions_async() -> list[str]:
    return await sync_to_async(transactions_around)()


@task(atomic=True)
def see_transactions_atomically() -> list[str]:
    return transactions_around(seconds=0)
