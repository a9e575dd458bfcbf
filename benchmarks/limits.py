"""What the services can do without a task queue: the raw limits that the systems stand beside.

`limits` is read by the benchmark; the rest runs in a process of its own, as a system's sender does: one process that
sends, then takes. To "take" from a database is to claim waiting rows and to record their ends, each in a transaction;
from a broker, to receive a message and to acknowledge it.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .bench import Bench
from .measures.latency import ideal, moments, percentiles
from .measures.measure import Measure
from .system import BROKER, INSIDE, System

BODY = "x" * 500  # bytes: about what two small integers take as a message


def limits(among: Sequence[System]) -> list[tuple[Measure, System]]:
    """For every service that one of these systems uses, and for Python alone."""
    names = dict.fromkeys(name for system in among for name in system.services)
    raw = [_system(name) for name in names]
    return [(Limits(), System(family="limits", module=__name__)), *((Limits(), system) for system in raw)]


def _system(service: str) -> System:
    if service in ("redis", "rabbitmq"):
        return System(family="limits", module=__name__, broker=service)
    return System(family="limits", module=__name__, database=service)


class Limits(Measure):
    name = "limits"
    title = "Raw limits"
    says = ""
    numbers = ()

    def measure(self, bench: Bench) -> dict[str, float]:
        with bench.sender() as sender:
            found: dict[str, float] = sender.ask("call", name="measure", seconds=bench.seconds / 4)
        return found


def django(system: System, broker: str) -> dict[str, Any]:
    return {"INSTALLED_APPS": ["benchmarks.project"]}


# -- inside


def measure(seconds: float) -> dict[str, float]:
    parts = INSIDE.split("+")
    service = parts[1] if len(parts) > 1 else ""
    if not service:
        return {
            **_kombu("memory", "memory://", seconds),
            "django setup": _django_setup(),
            **_half_load(seconds),
        }
    if BROKER:
        return {**_kombu(service, BROKER, seconds), **_latency(service, BROKER, seconds)}
    return {**_statements(service, seconds), **_orm(service, seconds)}


def _rate(seconds: float, work: Callable[[], int]) -> float:
    """How often per second; each call of the work says how many it has done."""
    work()  # warm
    done, began = 0, time.perf_counter()
    while (taken := time.perf_counter() - began) < seconds:
        done += work()
    return done / taken


def _django_setup() -> float:
    """Seconds that Python and Django need to start, at best of three."""
    command = [sys.executable, "-c", "import django; django.setup()"]

    def once() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - began

    return min(once() for _ in range(3))


def _half_load(seconds: float) -> dict[str, float]:
    waits = percentiles(ideal(moments(4 * seconds)), "half load latency ")
    return {f"{name}, ms": value for name, value in waits.items()}


# -- brokers


def _kombu(service: str, url: str, seconds: float) -> dict[str, float]:
    import kombu

    with kombu.Connection(url) as connection, connection.channel() as channel:
        queue = kombu.Queue("limits", channel=channel)
        queue.declare()
        producer = kombu.Producer(channel)
        left = [0]

        def publish() -> int:
            producer.publish({"body": BODY}, routing_key="limits")
            left[0] += 1
            return 1

        def publish_many() -> int:
            with producer.batch():
                for _ in range(500):
                    producer.publish({"body": BODY}, routing_key="limits")
            left[0] += 500
            return 500

        sent = {
            f"{service} send": _rate(seconds, publish),
            f"{service} send many": _rate(seconds, publish_many),
        }
        return {**sent, f"{service} take": _consume(connection, channel, queue, seconds, left[0])}


def _consume(connection: Any, channel: Any, queue: Any, seconds: float, left: int) -> float:
    import kombu

    taken = 0

    def take(body: object, message: Any) -> None:
        nonlocal taken
        message.ack()
        taken += 1

    channel.basic_qos(0, 100, False)
    with kombu.Consumer(channel, [queue], callbacks=[take], accept=["json"]):
        began = time.perf_counter()
        while taken < left and time.perf_counter() - began < seconds:
            connection.drain_events(timeout=5)
        return taken / (time.perf_counter() - began)


def _latency(service: str, url: str, seconds: float) -> dict[str, float]:
    """Milliseconds from a message's publishing to its callback, in another thread and over another connection."""
    import kombu

    spans: list[float] = []
    ready, over = threading.Event(), threading.Event()

    def take(body: dict[str, float], message: Any) -> None:
        spans.append(1e3 * (time.monotonic() - body["sent"]))
        message.ack()

    def consume() -> None:
        queue = kombu.Queue("latency")
        with kombu.Connection(url) as connection, connection.Consumer([queue], callbacks=[take]):
            ready.set()
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.2)

    consumer = threading.Thread(target=consume)
    consumer.start()
    ready.wait(10)
    with kombu.Connection(url) as connection, connection.channel() as channel:
        producer = kombu.Producer(channel)
        for _ in range(max(20, int(seconds * 50))):
            time.sleep(0.02)
            producer.publish({"sent": time.monotonic()}, routing_key="latency")
    time.sleep(0.2)
    over.set()
    consumer.join(10)
    spans = sorted(spans[1:])
    return {
        f"{service} latency p50, ms": spans[len(spans) // 2],
        f"{service} latency p95, ms": spans[int(0.95 * len(spans))],
    }


# -- databases


def _statements(service: str, seconds: float) -> dict[str, float]:
    """SQL as a queue would say it, through the driver's cursor: rows per second."""
    from django.db import connection, transaction

    numbers = iter(range(10**9))
    skip = " FOR UPDATE SKIP LOCKED" if connection.features.has_select_for_update_skip_locked else ""

    def run(statement: str, *values: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def insert(batch: int) -> int:
        some = [(f"{next(numbers):09}", "PENDING", BODY) for _ in range(batch)]
        places = ", ".join(["(%s, %s, %s)"] * batch)
        run(
            f"INSERT INTO project_row (id, status, text) VALUES {places}",
            *(one for row in some for one in row),
        )
        return batch

    def take(batch: int) -> int:
        with transaction.atomic():
            found = run(
                f"SELECT id FROM project_row WHERE status = 'PENDING' ORDER BY id LIMIT {batch}{skip}"
            )
            ids, places = [row[0] for row in found], ", ".join(["%s"] * len(found))
            run(f"UPDATE project_row SET status = 'STARTED' WHERE id IN ({places})", *ids)
        run(f"UPDATE project_row SET status = 'SUCCESS' WHERE id IN ({places}) AND status = 'STARTED'", *ids)
        return len(ids)

    def taking(batch: int) -> float:
        spent, done = 0.0, 0
        while spent < seconds:
            for _ in range(100):
                insert(batch)
            began = time.perf_counter()
            done += sum(take(batch) for _ in range(100))
            spent += time.perf_counter() - began
        return done / spent

    found = {}
    for batch in (1, 10, 100):
        found[f"{service} insert, {batch} rows at a time"] = _rate(seconds, partial(insert, batch))
    found[f"{service} send many"] = found[f"{service} insert, 100 rows at a time"] / 2
    for batch in (1, 10, 100):
        found[f"{service} claim and settle, {batch} at a time"] = taking(batch)
    found[f"{service} take"] = found[f"{service} claim and settle, 100 at a time"]
    return found


def _orm(service: str, seconds: float) -> dict[str, float]:
    from django.db import transaction

    from .project.models import Row

    numbers = iter(range(10**9))

    def rows(count: int) -> list[Row]:
        return [Row(id=f"o{next(numbers)}", text=BODY) for _ in range(count)]

    def one() -> int:
        rows(1)[0].save(force_insert=True)
        return 1

    def two() -> int:
        with transaction.atomic():
            for row in rows(2):
                row.save(force_insert=True)
        return 1

    def many() -> int:
        return len(Row.objects.bulk_create(rows(500)))  # type: ignore[attr-defined]

    return {
        f"{service} ORM save()": _rate(seconds, one),
        f"{service} ORM bulk_create, 500 rows at a time": _rate(seconds, many),
        f"{service} send": _rate(seconds, two),
    }
