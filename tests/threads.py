"""Errands run in threads of their own, each with its own database connections."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from django.db import connections

from tests.workers import PATIENCE

R = TypeVar("R")


class Errand(Generic[R]):
    """`Errand(function)` runs it at once; `result()` waits for its answer or raises what it raised."""

    def __init__(self, function: Callable[[], R]) -> None:
        self.function = function
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.answer = self.function()
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            self.error = error
        finally:
            connections.close_all()

    def result(self) -> R:
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the errand never ended"
        if self.error is not None:
            raise self.error
        return self.answer


@contextmanager
def flow(send: Callable[[], object]) -> Iterator[None]:
    """One thing after the other is sent all the while, by somebody who hears of nothing."""
    ends = threading.Event()

    def go_on() -> None:
        try:
            while not ends.wait(0.02):
                send()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(go_on)
        try:
            yield
        finally:
            ends.set()
            sending.result()
            gc.collect()
