"""A web process that has sent tasks forks, as gunicorn does after it has loaded the site, and all go on sending.

`python -m tests.worker.forking_producer` sends with the numbers 1 to 4.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Callable

import django


def main() -> None:
    django.setup()
    from django.db import connections

    from tests.ledger.tasks import note
    from tests.sockets import sockets

    note.delay(1)
    connections.close_all()  # Django's own are for whoever forks to close
    before = sockets(os.getpid())

    def child(number: int) -> None:
        gc.collect()
        note.delay(number)
        assert not before & sockets(os.getpid()), "the child has sockets of its parent"

    fork_plainly(lambda: child(2))
    fork_by_multiprocessing(lambda: child(3))

    note.delay(4)
    assert before <= sockets(os.getpid()), "the parent's connection was closed"


def fork_plainly(child: Callable[[], None]) -> None:
    if (pid := os.fork()) == 0:
        child()
        sys.exit()  # what is left at the end of an interpreter is thrown away here as well
    assert os.waitpid(pid, 0)[1] == 0


def fork_by_multiprocessing(child: Callable[[], None]) -> None:
    """It has kombu tidy up in the child."""
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == 0


if __name__ == "__main__":
    main()
