"""Coroutines, many at a time: `async def` tasks in one thread of the process, beside those that a runner calls.

Django's asynchronous interfaces use the database in a thread, and here that is one thread for all coroutines of the
process: they share one connection to each database, however many run. So none of them is held up by a pool, and a
hundred coroutines are not a hundred connections. A transaction is one function called with `sync_to_async`.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from asgiref.sync import ThreadSensitiveContext, sync_to_async
from django.db import connections

from django_tasks.execution.connections import refresh
from django_tasks.execution.executor import execute_async
from django_tasks.execution.interruption import Limit, interrupted_after
from django_tasks.execution.outcome import Request

if TYPE_CHECKING:
    from .runner import Runner

logger = logging.getLogger("django_tasks.worker")


class EventLoop:
    """Takes requests in order; outcomes are left with the runner. Its thread is started by the first request."""

    def __init__(self, runner: Runner, slots: range) -> None:
        self.runner = runner
        self.slots = slots
        #: One asyncio task per body under way, by slot.
        self.bodies: dict[int, asyncio.Task[None]] = {}
        self._free = list(reversed(slots))
        self._waiting: deque[Request] = deque()
        self._thread: threading.Thread | None = None
        self._serving = threading.Event()
        self._is_refresh_due = False
        self._refreshing: asyncio.Task[None] | None = None

    # -- by other threads

    def submit(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        self._waiting.extend(requests)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="event-loop", daemon=True)
            self._thread.start()
            self._serving.wait()
        self._loop.call_soon_threadsafe(self._begin_waiting)

    def withdraw(self) -> list[Request]:
        """Take back what no slot has begun; a request is either run or withdrawn, never both."""
        withdrawn = []
        while True:
            try:
                withdrawn.append(self._waiting.popleft())
            except IndexError:
                return withdrawn

    def stop(self) -> None:
        """When all have ended."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()

    # -- in its own thread

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        # A thread of this loop's own for the database: the one that asgiref shares may have been lost in a fork.
        async with ThreadSensitiveContext():
            self._context = contextvars.copy_context()
            self._serving.set()
            await self._ended.wait()
            await sync_to_async(connections.close_all)()

    def _begin_waiting(self) -> None:
        while self._free and self._waiting:
            try:
                request = self._waiting.popleft()
            except IndexError:  # withdrawn in this very moment
                return
            if limits := self.runner.begin(self._free[-1], request):
                self._begin(self._free.pop(), request, limits.soft)

    def _begin(self, slot: int, request: Request, soft_limit: float | None) -> None:
        if not self.bodies:
            self._refresh_soon()
        limit = partial(interrupted_after, soft_limit) if soft_limit else None
        body = self._call(slot, request, limit)
        self.bodies[slot] = self._loop.create_task(body, context=self._context.copy())

    async def _call(self, slot: int, request: Request, limit: Limit | None) -> None:
        try:
            outcome = await execute_async(request, limit=limit, report=self.runner.show)
            self.runner.end(slot, outcome)
        except BaseException:
            # What a task does is an outcome, so this is our own error. No process goes on with a slot that never ends.
            logger.critical("The event loop failed", exc_info=True)
            logging.shutdown()
            os._exit(1)
        del self.bodies[slot]
        self._free.append(slot)
        self._refresh_soon()
        self._begin_waiting()

    # -- the connections

    def _refresh_soon(self) -> None:
        """Do around coroutines what Django does around a request, in the thread where the connections are.

        Nobody waits for it: what a coroutine does with the database from now on comes after it in that thread.
        """
        self._is_refresh_due = True
        if self._refreshing is None:
            self._refreshing = self._loop.create_task(self._refresh(), context=self._context.copy())

    async def _refresh(self) -> None:
        while self._is_refresh_due:
            self._is_refresh_due = False
            try:
                await sync_to_async(refresh)(is_idle=not self.bodies)
            except Exception:
                logger.exception("The connections of the event loop could not be looked after")
        self._refreshing = None
