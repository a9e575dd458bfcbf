"""Hearing that somebody writes to a file, where the kernel tells (inotify, Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import weakref
from collections.abc import Sequence

_IN_MODIFY = 0x2


class Written:
    """`fd` becomes readable when one of these files was written to since the last `forget`.

    Raises `OSError` where there is no such thing, or no more of it.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            self.fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        except AttributeError as error:  # another system than Linux
            raise OSError(str(error)) from error
        # Nobody closes a watch: it goes with its connection.
        weakref.finalize(self, os.close, self.fd).atexit = False
        for path in paths:
            _checked(libc.inotify_add_watch(self.fd, os.fsencode(path), _IN_MODIFY))

    def forget(self) -> bool:
        """Was there anything? The next wait is for what comes from now on."""
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self.fd, 65536))
        return False


def _checked(answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return answer
