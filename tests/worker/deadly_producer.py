"""Producers that die at a random instant of a transaction: `python -m tests.worker.deadly_producer 40` of them in turn.

Each writes an article and sends a task in one transaction; every fourth rolls back. It dies of a signal that the
kernel delivers, so at any instruction: before the commit, in it, between commit and publishing, or just after.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import django

from tests.chance import chance


class RolledBack(Exception):
    pass


def main(rounds: int) -> None:
    django.setup()
    longest = max(_lived(round_, deadline=None) for round_ in range(4))
    chosen = chance()
    for round_ in range(4, rounds):
        _lived(round_, deadline=chosen.uniform(0, 1.2 * longest))


def _lived(round_: int, *, deadline: float | None) -> float:
    """How long it took, in a process of its own, or to which moment it came."""
    ours, theirs = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        _produce(round_, deadline, theirs)
    theirs.close()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGALRM), f"round {round_} failed"
    with ours, suppress(EOFError):
        return float(ours.recv())
    return 0.0


def _produce(round_: int, deadline: float | None, told: Connection) -> None:
    from django.db import connection, transaction

    from django_tasks.brokers.handler import broker
    from tests.ledger.models import Article
    from tests.ledger.tasks import note

    code = 1
    try:
        # What takes long and is of no interest is done before.
        connection.ensure_connection()
        broker().size("default")
        if deadline is not None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, max(deadline, 1e-6))
        began = time.monotonic()
        with suppress(RolledBack), transaction.atomic():
            Article.objects.create(title=str(round_), body="")
            note.delay(round_)
            if round_ % 4 == 3:
                raise RolledBack
        told.send(time.monotonic() - began)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        raise
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(int(sys.argv[1]))
