"""How all of it is, as Prometheus reads it: its text format, and OpenMetrics.

Counters come from figures that are added up as long as the tables are there, so they only grow, whoever answers. What
waits is counted no further than elsewhere (`models/counting.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django_tasks import conf
from django_tasks.models import TaskRollup, Worker
from django_tasks.models.figures import LIMITS, Spans

from .notices import BROKER_UNREACHABLE, Level
from .state import State

#: Every other limit: thirteen series for each task and queue are enough.
SHOWN = range(1, len(LIMITS), 2)


class Sample(NamedTuple):
    value: float
    labels: Mapping[str, str]
    suffix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """`name` is without the `_total` of a counter."""

    name: str
    kind: str
    about: str
    samples: Sequence[Sample]


def exposition(metrics: Iterable[Metric], *, is_open: bool = False) -> str:
    """As text; `is_open`: as OpenMetrics, which names counters differently and says where the end is."""
    lines = [line for metric in metrics for line in _lines(metric, is_open)]
    return "\n".join([*lines, "# EOF", ""] if is_open else [*lines, ""])


def metrics(state: State) -> Iterator[Metric]:
    """All there are. One statement more than the state has cost."""
    yield from _of_queues(state)
    yield from _of_all(state)
    yield from _of_ends(list(TaskRollup.objects.using(conf.current().DATABASE).ever().of_each_task()))


def _of_queues(state: State) -> Iterator[Metric]:
    queues = state.queues
    ages = {depth.queue: depth.age(state.now) for depth in queues}
    of_queue: dict[str, tuple[str, dict[str, float]]] = {
        "waiting": (
            "Messages to be taken now, as far as the broker says.",
            {depth.queue: int(depth.ready) for depth in queues if depth.ready is not None},
        ),
        "oldest_seconds": (
            "How long the first message has waited.",
            {name: age.total_seconds() for name, age in ages.items() if age is not None},
        ),
        "running": ("Tasks that workers have claimed.", {depth.queue: depth.running for depth in queues}),
        "slots": (
            "Tasks that the workers of the queue run at once.",
            {depth.queue: depth.slots for depth in queues},
        ),
        "paused": ("1 if no worker takes from it.", {depth.queue: int(depth.is_paused) for depth in queues}),
    }
    for name, (about, values) in of_queue.items():
        samples = [Sample(value, {"queue": queue}) for queue, value in values.items()]
        yield Metric(name=f"django_tasks_queue_{name}", kind="gauge", about=about, samples=samples)


def _of_all(state: State) -> Iterator[Metric]:
    counts = {
        "scheduled": ("Messages that are due later.", state.counts.scheduled),
        "retrying": ("Tasks that are to run again.", state.counts.retrying),
        "set_aside": ("Messages that could not be obeyed.", state.counts.aside),
    }
    for name, (about, count) in counts.items():
        samples = [Sample(int(count), {})]
        yield Metric(name=f"django_tasks_{name}", kind="gauge", about=about, samples=samples)
    found = [worker.state for worker in state.workers]
    workers = [Sample(found.count(one), {"state": one.value}) for one in Worker.State]
    yield Metric(name="django_tasks_workers", kind="gauge", about="Workers.", samples=workers)
    is_away = any(notice.code == BROKER_UNREACHABLE for notice in state.notices)
    about = "1 if the broker answers."
    yield Metric(
        name="django_tasks_broker_up", kind="gauge", about=about, samples=[Sample(int(not is_away), {})]
    )
    levels = [notice.level for notice in state.notices]
    notices = [
        Sample(levels.count(level), {"level": level.name.lower()})
        for level in (Level.WARNING, Level.CRITICAL)
    ]
    yield Metric(name="django_tasks_notices", kind="gauge", about="What is wrong.", samples=notices)


def _of_ends(rows: Sequence[TaskRollup]) -> Iterator[Metric]:
    named = [(row, {"task": row.task, "queue": row.queue}) for row in rows]
    ended = [
        Sample(number, {**labels, "outcome": outcome}, "_total")
        for row, labels in named
        for outcome, number in (("success", row.succeeded), ("failure", row.failed), ("other", row.others))
    ]
    yield Metric(name="django_tasks_ended", kind="counter", about="Tasks that ended.", samples=ended)
    retries = [Sample(row.retries, labels, "_total") for row, labels in named]
    yield Metric(
        name="django_tasks_retries", kind="counter", about="Runs that asked for another.", samples=retries
    )
    for name, about in (("run", "How long tasks ran."), ("wait", "How long tasks waited to run.")):
        samples = [
            sample
            for row, labels in named
            for sample in _histogram(row.figures.run_time if name == "run" else row.figures.wait, labels)
        ]
        yield Metric(name=f"django_tasks_{name}_seconds", kind="histogram", about=about, samples=samples)


def _histogram(spans: Spans, labels: Mapping[str, str]) -> Iterator[Sample]:
    for limit in SHOWN:
        below = sum(spans.buckets[: limit + 1])
        yield Sample(below, {**labels, "le": repr(LIMITS[limit])}, "_bucket")
    yield Sample(spans.number, {**labels, "le": "+Inf"}, "_bucket")
    yield Sample(spans.seconds, labels, "_sum")
    yield Sample(spans.number, labels, "_count")


def _lines(metric: Metric, is_open: bool) -> Iterator[str]:
    family = f"{metric.name}_total" if metric.kind == "counter" and not is_open else metric.name
    yield f"# HELP {family} {metric.about}"
    yield f"# TYPE {family} {metric.kind}"
    for sample in metric.samples:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items())
        yield f"{metric.name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
