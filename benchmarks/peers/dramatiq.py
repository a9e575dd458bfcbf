"""Dramatiq, without results; also with its default of eight threads in each process."""

from typing import Any

from benchmarks.system import BROKER, INSIDE, System

_PACKAGES = ("dramatiq[redis,rabbitmq]", "Django", "django-environ")
_HERE: dict[str, Any] = {"family": "dramatiq", "module": __name__, "packages": _PACKAGES}
_EIGHT: dict[str, Any] = {
    **_HERE,
    "variant": "t8",
    "says": "--threads 8, its default, also where others have one",
}
SYSTEMS = [
    System(**_HERE, broker="redis", pace=500, quick=True, says="--threads 1"),
    System(**_HERE, broker="rabbitmq", pace=3_500, quick=True, says="--threads 1"),
    System(**_EIGHT, broker="redis", pace=3_000),
    System(**_EIGHT, broker="rabbitmq", pace=4_000),
]


def django(system: System, broker: str) -> dict[str, Any]:
    return {"INSTALLED_APPS": []}


def worker(system: System, processes: int, threads: int) -> list[list[str]]:
    if system.variant == "t8":
        if threads > 1:  # the other one does that
            return []
        threads = 8
    return [["-m", "dramatiq", __name__, f"--processes={processes}", f"--threads={threads}"]]


if INSIDE:
    import django as framework
    import dramatiq
    from dramatiq.brokers.rabbitmq import RabbitmqBroker
    from dramatiq.brokers.redis import RedisBroker

    from benchmarks import bodies

    framework.setup()
    dramatiq.set_broker(RabbitmqBroker(url=BROKER) if BROKER.startswith("amqp") else RedisBroker(url=BROKER))
    add = dramatiq.actor(bodies.add)
    nap = dramatiq.actor(bodies.nap)

    def send(task: Any, *arguments: Any) -> None:
        task.send(*arguments)
