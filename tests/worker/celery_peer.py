"""A real Celery worker beside ours: `python -m tests.worker.celery_peer` runs the tasks of the queue `other`."""

from __future__ import annotations

import os

import celery
import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
if __name__ == "__main__":
    django.setup()

QUEUE = "other"

app = celery.Celery("peer", broker="django://", backend="cache+memory://", set_as_current=False)
app.conf.update(
    task_default_queue=QUEUE,
    task_default_routing_key=QUEUE,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    # Otherwise it would answer errors of the test by trying again for minutes.
    broker_connection_retry_on_startup=False,
)


@app.task(name="peer.double")
def double(number: int) -> int:
    return 2 * number


@app.task(name="peer.break")
def break_(number: int) -> None:
    raise ValueError(f"{number} is too much")


@app.task(bind=True, name="peer.who")
def who(self: celery.Task, before: dict[str, str | None]) -> dict[str, str | None]:
    return {"id": self.request.id, "root": self.request.root_id, "parent": self.request.parent_id}


if __name__ == "__main__":
    app.worker_main(
        [
            "worker",
            "--pool=solo",
            f"--queues={QUEUE}",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )
