"""A program with real Celery: `python -m tests.interop.peer` is its worker, for the queue `other`.

`PEER_BROKER` and `PEER_RESULTS` are the URLs of its broker and of its result backend.
"""

from __future__ import annotations

import os
from typing import Any

import celery
import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
if __name__ == "__main__":
    django.setup()

QUEUE = "other"


def celery_app(broker: str, results: str) -> Any:
    app = celery.Celery("peer", broker=broker, backend=results, set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_default_routing_key=QUEUE,
        # It wants queues that all of Celery's workers hear, and a table has none.
        worker_enable_remote_control=broker != "django://",
        worker_hijack_root_logger=False,
        # Otherwise it would answer errors of the test by trying again for minutes.
        broker_connection_retry_on_startup=False,
        broker_connection_max_retries=3,
        result_accept_content=["json"],
    )
    return app


app = celery_app(
    os.environ.get("PEER_BROKER", "memory://"), os.environ.get("PEER_RESULTS", "cache+memory://")
)


@app.task(name="peer.echo")
def echo(*args: Any, **kwargs: Any) -> Any:
    return [list(args), kwargs]


@app.task(name="peer.double")
def double(number: int) -> int:
    return 2 * number


@app.task(name="peer.sum")
def sum_(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="peer.break")
def break_(number: int) -> None:
    raise ValueError(f"{number} is too much")


@app.task(bind=True, name="peer.try", default_retry_delay=0)
def try_(self: Any, run: int) -> int:
    if self.request.retries < run:
        raise self.retry()
    return int(self.request.retries)


@app.task(bind=True, name="peer.who")
def who(self: Any, *_: Any) -> dict[str, str | None]:
    return {"id": self.request.id, "root": self.request.root_id, "parent": self.request.parent_id}


@app.task(bind=True, name="peer.request")
def request(self: Any, *_: Any) -> dict[str, Any]:
    """What it is told about its run."""
    said = self.request
    names = ("id", "root_id", "parent_id", "group", "group_index", "retries", "ignore_result", "timelimit")
    return {name: getattr(said, name) for name in names} | {
        "eta": said.eta,
        "expires": said.expires,
        "priority": said.delivery_info["priority"],
        "tenant": (said.headers or {}).get("x-tenant"),
    }


if __name__ == "__main__":
    app.worker_main(
        [
            "worker",
            "--pool=solo",
            f"--queues={QUEUE}",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=INFO",
        ]
    )
