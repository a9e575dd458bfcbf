"""The faults. Each scenario brings one about under real workers, and answers what it came to."""

from __future__ import annotations

import datetime as dt
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection, transaction

from django_tasks import clock
from django_tasks.brokers.connecting import HEARTBEAT
from django_tasks.models import QueuedMessage, TaskResult, Worker
from tests.chance import chance
from tests.proxy import through_proxy
from tests.services import OwnServer
from tests.threads import flow
from tests.workers import RunningWorker, freeze, status

from .crashes import crash_everywhere
from .cycles import start_and_stop
from .leaks import leak_nothing
from .result import Result
from .stage import LEASE, SOON, Stage, is_worker_lost, memory, scaled
from .tasks import again, hold_again, hold_once, newcomer, nothing, once, poison


def mixed(stage: Stage, number: int, seconds: float = 0.0) -> None:
    """Half of them run again when their process dies, half of them do not."""
    stage.send(once, [(seconds,)] * (number // 2))
    stage.send(again, [(seconds,)] * (number - number // 2))


def kill_task_processes(stage: Stage) -> Result:
    number = scaled(300, 5000)
    keeps_going(stage, number, seconds=0.02)
    worker = stage.worker(f"--processes={scaled(2, 4)}")
    stage.running(worker)

    chosen = chance()
    while keeps_going(stage, number, seconds=0.02):
        if family := worker.children()[1:]:
            stage.kill(chosen.choice(family))
        go_on(stage, number, seconds=0.02, pause=scaled(0.5, 1.0))
        stage.running(worker)  # or on a busy machine they would be killed before they come to anything

    stage.end()
    failed = [row for row in stage.rows().values() if row.status == "FAILURE"]
    assert all(map(is_worker_lost, failed))
    result = stage.result(
        1,
        "kill -9 of a task process, again and again",
        figures=f"{len(stage.killed)} killed, {len(failed)} FAILURE(WorkerLostError)",
    )
    assert result.recovery < SOON
    return result


def keeps_going(stage: Stage, number: int, seconds: float) -> bool:
    """Send what is missing, and wait for endings. Few wait: what comes back to a remote queue stands behind them."""
    missing = min(number - len(stage.sent), 100 - stage.unended())
    if missing > 0:
        mixed(stage, missing, seconds)
    return not stage.all_ended()


def go_on(stage: Stage, number: int, seconds: float, pause: float) -> None:
    """The pace of a fault, while tasks are sent."""
    ends = time.monotonic() + pause
    while time.monotonic() < ends and keeps_going(stage, number, seconds):
        time.sleep(0.05)


def wait_for_progress(stage: Stage, seconds: float) -> None:
    """The pace of a fault: that long, or until all is over."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and not stage.all_ended():
        time.sleep(0.05)


def kill_supervisors(stage: Stage) -> Result:
    number = scaled(250, 5000)
    orphaned = 0.0
    for turn in range(scaled(2, 12)):
        keeps_going(stage, number, seconds=0.05)
        worker = stage.worker("--processes=2")
        stage.running(worker)
        go_on(stage, number, seconds=0.05, pause=scaled(1.0, 5.0))
        family = worker.children()
        if turn % 2:
            stage.kill_all(worker)
        else:
            # Its task processes notice, and cut what they run: for these tasks it is as if they had been killed.
            stage.killed |= dict.fromkeys(family, time.time())
            worker.process.kill()
            orphaned = max(orphaned, seconds_until(stage, lambda family=family: not living(family)))

    stage.worker("--processes=2")
    while keeps_going(stage, number, seconds=0.05):
        go_on(stage, number, seconds=0.05, pause=1.0)
    stage.end()
    assert all(is_worker_lost(row) for row in stage.rows().values() if row.status == "FAILURE")
    result = stage.result(
        2,
        "kill -9 of the supervisor, or of all of the worker, and a new one",
        figures=f"lease {LEASE:g} s; orphans gone within {orphaned:.1f} s",
    )
    assert result.recovery < LEASE + SOON
    assert orphaned < SOON
    return result


def living(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Who has ended may be kept in the table of processes until somebody takes note of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def seconds_until(stage: Stage, state: Callable[[], object]) -> float:
    began = time.monotonic()
    stage.until(state, "what should come by itself")
    return time.monotonic() - began


def stop_workers(stage: Stage) -> Result:
    seconds = scaled(1.0, 2.0)
    handed_back: Counter[str] = Counter()

    # Once: what runs ends, the rest goes back. The short ones before have it claim ahead: there is a rest.
    worker = stage.worker("--processes=4", "--threads=2")
    mixed(stage, 200)
    stage.until(stage.all_ended, "the short ones end")
    mixed(stage, scaled(40, 400), seconds=seconds)
    stage.running(worker, 8)
    worker.terminate()
    first = ended_within(stage, worker, seconds + SOON)
    begun = {run.task_id for run in stage.runs()}
    assert all(run.ended for run in stage.runs())
    assert set(TaskResult.objects.final().values_list("id", flat=True)) == begun
    assert set(TaskResult.objects.values_list("status", flat=True)) == {"SUCCESS", "PENDING"}

    # Twice, or with tasks that are longer than the time of grace: what runs is cut.
    for grace, signals in (("600", 2), ("0.5", 1)):
        gate = stage.gate(f"gate-{grace}")
        late = stage.send(hold_again, [(str(gate),)] * 2, priority=0)
        lost = stage.send(hold_once, [(str(gate),)] * 2, priority=0)
        worker = stage.worker("--processes=4", "--threads=3", f"--grace={grace}")
        stage.until(lambda sent=[*late, *lost]: all(map(stage.runs_of, sent)), "the long ones run")
        worker.terminate()
        if signals == 2:
            stage.until(
                lambda worker=worker: "a second signal ends them now" in worker.output, "it heard the first"
            )
            worker.terminate()
        first = max(first, ended_within(stage, worker, SOON))
        gate.touch()
        # All of these cut runs, of this worker and of the one before.
        handed_back = Counter(
            run.task_id for run in stage.runs() if not run.ended and stage.sent[run.task_id]
        )
        assert {result.id for result in late} <= handed_back.keys()
        assert {status(result.id) for result in late} == {"PENDING"}
        assert {status(result.id) for result in lost} == {"FAILURE"}

    assert not TaskResult.objects.owners()
    assert not any(row.crashes for row in stage.rows().values())
    stage.worker("--processes=4", "--threads=4")
    stage.end()
    return stage.result(
        4,
        "SIGTERM; twice; with tasks longer than the time of grace",
        recovery=first,
        handed_back=handed_back,
        figures=f"{handed_back.total()} cut and handed back",
    )


def ended_within(stage: Stage, worker: RunningWorker, seconds: float) -> float:
    took = seconds_until(stage, lambda: worker.process.poll() is not None)
    assert worker.process.returncode == 0
    assert took < seconds
    return took


#: kB; a process of these workers has about 100,000.
MOST_MEMORY = 300_000


def poison_processes(stage: Stage) -> Result:
    ways = ("os._exit", "SIGSEGV", "SIGKILL", "out of memory")
    mixed(stage, scaled(50, 1000))
    poisoned = stage.send(poison, [(how,) for how in ways * scaled(1, 5)])
    endless = stage.send(poison, [("endless loop in C",)], time_limit=1.0)
    mixed(stage, scaled(50, 1000))
    largest = 0
    worker = stage.worker("--processes=2", f"--max-memory={MOST_MEMORY}")

    def ended() -> bool:
        nonlocal largest
        largest = max(largest, memory(worker.children()))
        return stage.all_ended()

    stage.until(ended, "an ending for every task")
    stage.end()
    rows = stage.rows()
    suspects = {result.id for result in (*poisoned, *endless)}
    assert {row.status for id, row in rows.items() if id not in suspects} == {"SUCCESS"}
    assert {rows[result.id].status for result in (*poisoned, *endless)} == {"FAILURE"}
    assert all("crash number 3" in (rows[result.id].result or "") for result in poisoned)
    assert all("TimeLimitExceeded" in (rows[result.id].result or "") for result in endless)
    oversized = [row for row in rows.values() if "used more than --max-memory" in (row.result or "")]
    assert len(oversized) == len(poisoned) // len(ways)
    assert largest < MOST_MEMORY + 200_000
    assert {len(stage.runs_of(result)) for result in poisoned} == {3}
    assert {len(stage.runs_of(result)) for result in endless} == {1}
    assert worker.process.poll() is None
    return stage.result(
        7,
        "tasks that take their process down",
        recovery=0.0,
        figures=(
            "3 runs each, one for the time limit; neighbours unharmed; "
            f"at most {largest / 1000:.0f} MB of {MOST_MEMORY / 1000:.0f}"
        ),
    )


def freeze_processes(stage: Stage) -> Result:
    mixed(stage, scaled(100, 1000))
    first = stage.worker("--processes=1")
    stage.end()

    # The housekeeper dies: another takes its place, and goes on with the lease and with the dead.
    housekeeper = first.children()[0]
    os.kill(housekeeper, signal.SIGKILL)
    replaced = seconds_until(
        stage, lambda: len(first.children()) == 2 and housekeeper not in first.children()
    )
    (rescued,) = stage.send(hold_again, [(str(stage.gate()),)])
    stage.kill(stage.until(lambda: stage.runs_of(rescued), "it runs")[0].pid)
    stage.until(lambda: len(stage.runs_of(rescued)) == 2, "it runs again")

    # A task process stands still, longer than the lease: its worker lives, so nobody takes the task from it.
    bystander = stage.worker("--processes=1")
    stage.until(lambda: Worker.objects.count() == 2, "there is somebody who could")
    pid = stage.runs_of(rescued)[-1].pid
    freeze(lambda: os.kill(pid, signal.SIGSTOP))
    time.sleep(LEASE * 1.5)
    stage.gate().touch()
    os.kill(pid, signal.SIGCONT)
    stage.end()
    assert len(stage.runs_of(rescued)) == 2

    # All of the worker stands still: its task is given to another, and what it says of it later is refused.
    for worker in (first, bystander):
        worker.terminate()
        worker.wait()
    gate = stage.gate("another")
    late, lost = (stage.send(task, [(str(gate),)])[0] for task in (hold_again, hold_once))
    frozen = stage.worker("--processes=2")
    stage.until(lambda: stage.runs_of(late) and stage.runs_of(lost), "both run")
    stage.until(lambda: {status(late.id), status(lost.id)} == {"STARTED"}, "their rows say so")
    stage.killed |= {run.pid: time.time() for sent in (late, lost) for run in stage.runs_of(sent)}
    freeze(lambda: os.killpg(frozen.process.pid, signal.SIGSTOP))
    stage.worker("--processes=1")
    stage.until(lambda: status(lost.id) == "FAILURE" and len(stage.runs_of(late)) == 2, "they are taken over")
    gate.touch()
    os.killpg(frozen.process.pid, signal.SIGCONT)
    stage.until(lambda: "came too late" in frozen.output, "the late outcome is refused")
    stage.end()
    assert (status(late.id), status(lost.id)) == ("SUCCESS", "FAILURE")
    result = stage.result(
        3,
        "kill -9 of the housekeeper; SIGSTOP for longer than the lease",
        figures=f"lease {LEASE:g} s; new housekeeper after {replaced:.1f} s; late outcomes refused",
    )
    # What is sent again may be delivered to the one that stands still: RabbitMQ takes it back after two or three
    # heartbeats without an answer.
    noticed = 3 * HEARTBEAT if stage.where.startswith("RabbitMQ") else 0
    assert result.recovery < LEASE + SOON + noticed
    return result


def break_brokers(stage: Stage) -> Result:
    server, network = stage.server, stage.network
    assert isinstance(server, OwnServer)
    assert network is not None
    worker = stage.worker("--processes=2")
    sent_and_run(stage)
    family = worker.children()

    def reset() -> None:
        network.reset_all()
        wait_for_progress(stage, seconds=scaled(0.5, 2.0))

    def swallow() -> None:
        network.hold()
        time.sleep(scaled(3.0, 10.0))
        network.release()

    faults = {
        "restarted": [server.restart],
        "killed": [lambda: kill_and_start(server)],
        "reset": [reset] * scaled(4, 30),
        "black-holed": [swallow],
    }
    took: dict[str, float] = {}
    for name, times in faults.items():
        with flow(lambda: stage.send(once, [()])):
            for break_it in times:
                break_it()
                took[name] = max(took.get(name, 0.0), sent_and_run(stage))

    stage.end()
    assert worker.children() == family
    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    assert max(took.values()) < SOON
    return stage.result(
        5,
        "broker restarted, killed; connections reset, black-holed",
        recovery=max(took.values()),
        figures=", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items()),
    )


def kill_and_start(server: OwnServer) -> None:
    server.kill()
    server.start()


def sent_and_run(stage: Stage) -> float:
    """Seconds until a task that is sent now has run."""
    began = time.monotonic()
    (sent,) = stage.send(once, [()])
    stage.until(lambda: status(sent.id) == "SUCCESS", "a task runs")
    return time.monotonic() - began


def keep_appointments(stage: Stage) -> Result:
    number, span = scaled(400, 10_000), scaled(6.0, 60.0)
    workers = [stage.worker("--processes=1") for _ in range(2)]
    warm_up(stage)
    begins = clock.now() + dt.timedelta(seconds=2.0)
    due = [begins + dt.timedelta(seconds=span * place / number) for place in range(number)]
    etas, could_run = send_appointments(stage, due)

    for place in range(2):
        stage.until(lambda place=place: stage.begun() > number * (place + 1) / 3, "some were due")
        workers[place].terminate()
        workers[place].wait()
        workers[place] = stage.worker("--processes=1")

    stage.end()
    runs = [run for run in stage.runs() if run.task_id in etas]
    late = sorted(run.at - could_run[run.task_id] for run in runs)
    p95 = late[len(late) * 95 // 100]
    assert all(run.at >= etas[run.task_id] for run in runs)
    # At small scale the two restarts fall upon most of them, on a machine that is busy with more than that.
    assert p95 < scaled(SOON, 1.5)
    return stage.result(
        8,
        "ETA tasks, workers restarted one after the other",
        recovery=late[-1],
        figures=f"over {span:g} s: none early, p95 {p95:.2f} s late",
    )


def send_appointments(stage: Stage, due: Sequence[dt.datetime]) -> tuple[dict[str, float], dict[str, float]]:
    """By id, when they are due, and from when on they could run: a busy sender may commit them later than that."""
    etas: dict[str, float] = {}
    could_run: dict[str, float] = {}
    for first in range(0, len(due), 50):
        with transaction.atomic():
            sent = {stage.send(once, [()], eta=eta)[0].id: eta.timestamp() for eta in due[first : first + 50]}
        etas |= sent
        could_run |= {id: max(eta, time.time()) for id, eta in sent.items()}
    return etas, could_run


def warm_up(stage: Stage) -> None:
    """Until the workers are at work."""
    mixed(stage, 4)
    stage.end()


def take_database_away(stage: Stage) -> Result:
    where = urlsplit(os.environ["DATABASE_URL"])
    with through_proxy(where.geturl()) as network:
        worker = stage.worker("--processes=2", DATABASE_URL=network.url(where.geturl()))
        mixed(stage, 50)
        stage.end()
        small = memory(worker.children())
        mixed(stage, scaled(400, 5000), seconds=0.02)

        for _ in range(scaled(4, 30)):
            cut_connections()
            wait_for_progress(stage, seconds=scaled(0.5, 2.0))
        slowest = sent_and_run(stage) if stage.all_ended() else goes_on(stage)

        # Stopped: who is connected is cut off, and nobody is let in.
        mixed(stage, scaled(150, 5000), seconds=0.02)
        stage.running(worker)
        network.refuse()
        network.reset_all()
        time.sleep(scaled(2.0, 10.0))
        network.accept()
        slowest = max(slowest, goes_on(stage))

        # Read-only, as a standby is: all connections are made anew, and may write nothing.
        mixed(stage, scaled(150, 2000), seconds=0.02)
        stage.running(worker)
        with read_only():
            time.sleep(scaled(1.0, 10.0))
        slowest = max(slowest, goes_on(stage))
        stage.end()
        grown = memory(worker.children()) - small
        worker.terminate()
        worker.wait()

    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    assert grown < 30_000
    assert slowest < SOON
    return stage.result(
        6,
        "database: connections terminated, stopped, read-only",
        recovery=slowest,
        figures=f"memory of the largest process {grown / 1000:+.0f} MB",
    )


def cut_connections() -> None:
    """All but our own."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@contextmanager
def read_only() -> Iterator[None]:
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    cut_connections()
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        cut_connections()


def goes_on(stage: Stage) -> float:
    """Seconds until more tasks have ended than now."""
    before = TaskResult.objects.final().count()
    return seconds_until(stage, lambda: TaskResult.objects.final().count() > before or stage.all_ended())


def fill_disk(stage: Stage) -> Result:
    full = stage.gate("disk-is-full")
    worker = stage.worker("--processes=2", CHAOS_DISK_FULL=str(full))
    warm_up(stage)
    stage.send(once, [(0.01, 10_000)] * scaled(300, 3000))
    stage.send(again, [(0.01, 10_000)] * scaled(300, 3000))
    stage.running(worker)

    full.touch()
    stage.until(lambda: "disk is full" in worker.output, "it is refused")
    time.sleep(scaled(2.0, 10.0))
    full.unlink()
    slowest = goes_on(stage)
    stage.end()

    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    assert slowest < SOON
    return stage.result(6, "database: disk full", recovery=slowest)


def fight_for_lock(stage: Stage) -> Result:
    """Eight processes, and one more who takes SQLite's only lock again and again and keeps it for a while."""
    workers = [stage.worker("--processes=4") for _ in range(2)]
    warm_up(stage)
    mixed(stage, scaled(800, 8000))
    slowest = 0.0
    while not stage.all_ended():
        with transaction.atomic():
            QueuedMessage.objects.filter(pk=0).delete()
            time.sleep(0.3)
        slowest = max(slowest, goes_on(stage))
    stage.end()

    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    assert not any("Traceback" in worker.output for worker in workers)
    return stage.result(6, "database is locked, again and again; 8 processes", recovery=slowest)


def mix_versions(stage: Stage) -> Result:
    """The old code takes everything first. What it does not know is kept, and replayed when the new one is there."""
    number = scaled(30, 300)
    old = stage.worker("--processes=2", CHAOS_VERSION="old")
    stage.send(newcomer, [()] * number)
    mixed(stage, number)
    stage.until(lambda: QueuedMessage.objects.aside().count() == number, "all newcomers are set aside")
    assert all("newcomer" in message.reason for message in QueuedMessage.objects.aside())
    stage.until(lambda: TaskResult.objects.final().count() == number, "the others have run")
    assert set(TaskResult.objects.not_final().values_list("task", "claimed_by")) == {(newcomer.name, None)}

    stage.worker("--processes=2")

    def new_one_takes_its_share() -> bool:
        stage.send(newcomer, [()])
        return bool(TaskResult.objects.filter(task=newcomer.name).final().exists())

    stage.until(new_one_takes_its_share, "the new one takes its share")
    old.terminate()
    old.wait()
    kept = QueuedMessage.objects.aside().count()
    began = time.monotonic()
    QueuedMessage.objects.all().replay()
    stage.end()

    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    return stage.result(
        10,
        "two versions of the code in one fleet",
        recovery=time.monotonic() - began,
        figures=f"{kept} set aside by the old one and replayed",
    )


def put_clocks_off(stage: Stage) -> Result:
    """One worker is five minutes ahead, one five minutes behind, in one fleet with one that is right."""
    fleet = [
        stage.worker("--processes=1", f"--name=off{off:+d}", CHAOS_CLOCK=str(off)) for off in (300, -300, 0)
    ]
    stage.until(lambda: Worker.objects.count() == 3, "three workers")
    now = clock.now()
    etas: dict[str, float] = {}
    for place in range(scaled(60, 300)):
        eta = now + dt.timedelta(seconds=3 + place * 0.05)
        etas[stage.send(once, [()], eta=eta)[0].id] = eta.timestamp()
    stage.send(once, [()] * 100, expires=100)
    stage.send(once, [(LEASE * 2,)] * 3)
    stage.end()

    early = [run for run in stage.runs() if run.task_id in etas and run.at < etas[run.task_id]]
    assert not early
    assert {row.status for row in stage.rows().values()} == {"SUCCESS"}
    assert not Worker.objects.exclude(lost_at=None).exists()
    assert not any("given up" in worker.output for worker in fleet)
    return stage.result(
        9,
        "clocks of two of three workers 5 minutes off",
        recovery=0.0,
        figures="none early, none expired, no lease lost",
    )


def flood(stage: Stage) -> Result:
    worker = stage.worker("--processes=2")
    warm_up(stage)
    worker.terminate()
    worker.wait()
    backlogs = scaled((1_000, 3_000, 10_000), (1_000, 100_000, 1_000_000))
    claims = []
    for backlog in backlogs:
        while (missing := backlog - len(stage.sent)) > 0:
            stage.send(nothing, [()] * min(missing, 5_000))
        claims.append(claim_time())

    worker = stage.worker("--processes=2")
    done = TaskResult.objects.filter(finished_at__isnull=False).order_by("finished_at")
    tenth = backlogs[-1] // 10
    stage.until(lambda: done[tenth : tenth + 1].exists(), "a tenth has run")
    small = memory(worker.children())
    stage.end()
    grown = memory(worker.children()) - small

    figures = ", ".join(
        f"{backlog:,}: {took * 1000:.1f} ms" for backlog, took in zip(backlogs, claims, strict=True)
    )
    assert claims[-1] < 3 * claims[0] + 0.005
    assert grown < scaled(20_000, 10_000)
    return stage.result(
        11,
        "a flood of tasks",
        recovery=0.0,
        figures=f"memory {grown / 1000:+.1f} MB; to claim 50 of {figures}",
        silent=True,
    )


def claim_time() -> float:
    """Seconds that it takes to look the next 50 messages up and lock them, undisturbed: the quickest of many."""
    took = []
    for _ in range(21):
        began = time.perf_counter()
        with transaction.atomic():
            QueuedMessage.objects.lock_next("default", 50, 1_000_000)
        took.append(time.perf_counter() - began)
    return min(took)


def hold_snapshot(stage: Stage) -> Result:
    """Somebody leaves a transaction open, and nothing that is deleted meanwhile can go."""
    number, dead = scaled(2_000, 20_000), 500_000
    worker = stage.worker("--processes=2")
    warm_up(stage)
    usual, usual_wait = rate(stage, number), wait_for_one(stage)
    other = connection.copy()
    with closing(other), other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")
        litter(dead)
        beside, wait = rate(stage, number), wait_for_one(stage)
    assert "Traceback" not in worker.output
    # At small scale something else may begin to run beside it in between.
    assert beside > usual / scaled(10, 3)
    assert wait < scaled(15, 5) * usual_wait
    return stage.result(
        13,
        "a snapshot held open",
        recovery=0.0,
        figures=f"{dead:,} dead messages: {beside:,.0f} tasks/s, {usual:,.0f} before; "
        f"{1000 * wait:.0f} ms for one, {1000 * usual_wait:.0f} ms before",
        silent=True,
    )


def rate(stage: Stage, number: int) -> float:
    """Tasks per second, from the commit that sends them on."""
    stage.send(nothing, [()] * number)
    return number / seconds_until(stage, stage.all_ended)


def wait_for_one(stage: Stage) -> float:
    """Seconds that one task takes that is sent alone, as each is looked for by itself; the median of many."""
    took = []
    for _ in range(scaled(50, 200)):
        stage.send(nothing, [()])
        took.append(seconds_until(stage, stage.all_ended))
    return statistics.median(took)


def litter(number: int) -> None:
    """What is left of as many messages that were consumed, also in what the server knows of the tables."""
    table = connection.ops.quote_name(QueuedMessage._meta.db_table)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (state, queue, priority, sent_at, claimed_by, deliveries, reason, payload) "
            "SELECT 'ready', 'default', 0, clock_timestamp(), '', 0, '', '' FROM generate_series(1, %s)",
            [number],
        )
        cursor.execute(f"DELETE FROM {table} WHERE payload = ''")
        cursor.execute("ANALYZE")


EVERYWHERE = ("sqlite", "postgresql", "redis_server", "rabbitmq_server")
#: In the order in which they are run, each with the places where it makes sense: a database for the embedded broker,
#: or the fixture of a broker.
SCENARIOS: dict[Callable[[Stage], Result], tuple[str, ...]] = {
    kill_task_processes: EVERYWHERE,
    kill_supervisors: EVERYWHERE,
    stop_workers: EVERYWHERE,
    start_and_stop: EVERYWHERE,
    poison_processes: EVERYWHERE,
    freeze_processes: EVERYWHERE,
    break_brokers: ("own_redis", "own_rabbitmq"),
    keep_appointments: EVERYWHERE,
    take_database_away: ("postgresql", "redis_server", "rabbitmq_server"),
    fill_disk: ("sqlite",),
    fight_for_lock: ("sqlite",),
    mix_versions: EVERYWHERE,
    put_clocks_off: ("postgresql", "redis_server", "rabbitmq_server"),
    leak_nothing: ("sqlite", "postgresql"),
    flood: ("sqlite", "postgresql"),
    hold_snapshot: ("postgresql",),
    crash_everywhere: (*EVERYWHERE, "mysql"),
}
