"""Senders that die: `python -m tests.chaos.sender POINT…`, one at each of these points.

Answers, as JSON, with the ids that each has for what it sends: by point, and by the name of the task.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

import django
from django.db import transaction

from django_tasks.message.task_id import new_task_id

from .points import CODE, Folder, install

Ids = Mapping[str, str]


def send(ids: Ids) -> None:
    from .tasks import once

    once.apply_async(task_id=ids[once.name], queue="other")


def send_in_transaction(ids: Ids) -> None:
    from .tasks import loose, once

    with transaction.atomic():
        for task in (once, loose):
            task.apply_async(task_id=ids[task.name])


def replay(ids: Ids) -> None:
    """Offer again what was set aside."""
    from django_tasks.models import QueuedMessage

    from .tasks import once

    with transaction.atomic():
        once.apply_async(task_id=ids[once.name], queue="third")
        stored = QueuedMessage.objects.filter(queue="third")
        stored.set_aside("An operator is to look at it.")
    stored.replay()


WAYS: dict[str, Callable[[Ids], None]] = {
    "sender: written, not committed": send,
    "sender: its row committed, not published": send,
    "sender: sent in a transaction, not committed": send_in_transaction,
    "sender: committed, not published": send_in_transaction,
    "sender: published, still in the outbox": send_in_transaction,
    "sender: replayed, before the notice": replay,
}


def main(*points: str) -> None:
    django.setup()
    from .tasks import loose, once

    folder = Folder(Path(os.environ["CHAOS_POINTS"]))
    install(folder)
    ids = {point: {task.name: new_task_id() for task in (once, loose)} for point in points}
    for point in points:
        folder.arm(point)
        pid = os.fork()
        if pid == 0:
            live(WAYS[point], ids[point])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == CODE, f"it passed: {point}"
    print(json.dumps(ids))


def live(send: Callable[[Ids], None], ids: Ids) -> NoReturn:
    try:
        send(ids)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
