"""django-rq: a worker per process, which forks for each task; results are kept in Redis for 500 s, its default."""

from typing import Any

from benchmarks.system import INSIDE, System

_PACKAGES = ("django-rq", "Django", "django-environ")
_HERE: dict[str, Any] = {"family": "django-rq", "module": __name__, "packages": _PACKAGES, "keeps": True}
SYSTEMS = [
    System(**_HERE, broker="redis", pace=100, quick=True, says="rqworker, which forks for each task"),
    System(**_HERE, broker="redis", variant="simple", pace=400, says="SimpleWorker, which does not"),
]


def django(system: System, broker: str) -> dict[str, Any]:
    return {"INSTALLED_APPS": ["django_rq"], "RQ_QUEUES": {"default": {"URL": broker}}}


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    simple = ["--worker-class", "rq.SimpleWorker"] if system.variant else []
    return [["-m", "django", "rqworker", "default", *simple]] * processes if threads == 1 else []


if INSIDE:
    import django_rq

    from benchmarks import bodies

    add, nap = bodies.add, bodies.nap
    queue = django_rq.get_queue("default")

    def send(task: Any, *arguments: Any) -> None:
        queue.enqueue(task, *arguments)

    def bulk(task: Any, calls: list[tuple[Any, ...]]) -> None:
        queue.enqueue_many([queue.prepare_data(task, call) for call in calls])
