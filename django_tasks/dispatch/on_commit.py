"""Sending on commit: the id at once, the task when a transaction has committed."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from django_tasks import conf
from django_tasks.message.message import TaskMessage

from .now import deliver, prepare


def send_on_commit(
    messages: Sequence[TaskMessage], *, using: str | None = None, robust: bool = False
) -> None:
    """Send tasks once the transaction of the database `using` has committed; never, if it rolls back.

    On the tasks' own database (the default) they simply join the transaction: that is as late, and a crash right
    after the commit cannot lose them. On another database they are sent by `transaction.on_commit`, whose `robust`
    means here what it means there. What cannot be written raises `EncodeError` now, not then.
    """
    prepared = prepare(messages)

    # No `partial`: when a robust callback fails, Django wants its `__qualname__` for the log.
    def send_prepared() -> None:
        deliver(prepared)

    if using in (None, conf.current().DATABASE):
        send_prepared()
    else:
        transaction.on_commit(send_prepared, using=using, robust=robust)
