"""The signals that ask a process to stop, held back while nobody is ready for them.

A process that has just been forked still has its parent's handlers, which would note the request in a copy of the
parent that nobody reads. So the parent holds these signals over the fork, and the child hears them when it has handlers
of its own.
"""

from __future__ import annotations

import signal

STOPS = (signal.SIGTERM, signal.SIGINT)


def hold() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)


def hear() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
