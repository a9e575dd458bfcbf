"""AsyncResult: the caller's handle on a task that was sent."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, cast

from asgiref.sync import sync_to_async

from django_tasks import clock, exceptions, states
from django_tasks.message.message import TaskMessage

from .handler import results
from .joining import refuse_to_join
from .store import Facts, Record

if TYPE_CHECKING:
    # With a default (PEP 696) a bare `AsyncResult` is one of anything.
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")

#: Told of each state as a dict: task_id, status, result, traceback, children, date_done.
OnMessage = Callable[[dict[str, Any]], object]

#: Seconds between the looks of `aget` at first, and the most they grow to.
SHORTEST, LONGEST = 0.02, 0.5


class AsyncResult(Generic[R]):
    """Made from an id alone, in any process; nothing is asked before an attribute is.

    A final answer is kept, so that asking again costs nothing. `ignored` says that nothing is stored of this task,
    as far as its sender knows: then there is nothing to wait for.
    """

    def __init__(self, id: str, *, ignored: bool = False) -> None:
        self.id = id
        self.ignored = ignored
        self._final: Record | None = None

    @classmethod
    def of(cls, message: TaskMessage) -> AsyncResult[Any]:
        """The handle on a task that was just sent."""
        return cls(message.id, ignored=bool(message.ignore_result))

    # -- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,
        *,
        on_message: OnMessage | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait for the task and return what it returned.

        A failure is raised here again, or with `propagate=False` returned. After `timeout` seconds
        `django_tasks.exceptions.TimeoutError` is raised; the task goes on. Given an `interval`, the database is asked
        each so many seconds; otherwise it tells, or is asked at a growing interval. `on_message` is called with each
        state that is seen meanwhile, the last one included.

        Inside a task's body only a result that is ready may be asked for: anything else raises `RuntimeError`, unless
        `disable_sync_subtasks` is false or the block is one of `allow_join_result`.
        """
        if not self._is_over(on_message):
            if disable_sync_subtasks:
                refuse_to_join(self.id)
            self._final = results().wait(
                self.id, timeout=timeout, interval=interval, on_change=self._telling(on_message)
            )
        return self._end(propagate)

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,
        *,
        on_message: OnMessage | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """`get` for coroutines: the event loop goes on meanwhile. The database is asked at a growing interval."""
        if not await sync_to_async(self._is_over)(on_message):
            if disable_sync_subtasks:
                refuse_to_join(self.id)
            await self._await_end(timeout, interval, self._telling(on_message))
        return self._end(propagate)

    async def _await_end(
        self, timeout: float | None, interval: float | None, on_change: Callable[[Record], object]
    ) -> None:
        ends = None if timeout is None else clock.monotonic() + timeout
        pause, record = interval or SHORTEST, Record(id=self.id)
        while self._final is None:
            before, record = record, await sync_to_async(self._record)()
            if record != before:
                await sync_to_async(on_change)(record)
            elif ends is not None and clock.monotonic() >= ends:
                raise exceptions.TimeoutError(
                    f"Task {self.id} is {record.status} after {timeout} seconds; it goes on."
                )
            else:
                left = pause if ends is None else ends - clock.monotonic()
                await asyncio.sleep(max(0.0, min(pause, left)))
                pause = interval or min(pause * 1.5, LONGEST)

    def _is_over(self, on_message: OnMessage | None) -> bool:
        """Is there nothing to wait for? The ending is told if there is one."""
        if self.ignored:
            return True
        if not self._record().is_ready:
            return False
        self._telling(on_message)(self._record())
        return True

    def _end(self, propagate: bool) -> R:
        if self._final is None:  # ignored
            return cast(R, None)
        result = self._final.result
        if propagate and self._final.status in states.PROPAGATE_STATES:
            raise result
        return cast(R, result)

    def _telling(self, on_message: OnMessage | None) -> Callable[[Record], object]:
        if on_message is None:
            return lambda record: None
        told = on_message
        return lambda record: told(self._body(record))

    def _body(self, record: Record) -> dict[str, Any]:
        return {
            "task_id": self.id,
            "status": record.status,
            "result": record.result,
            "traceback": record.traceback,
            "children": self.children,
            "date_done": record.finished_at,
        }

    # -- asking

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def state(self) -> str:
        return self._record().status

    status = state

    @property
    def result(self) -> Any:
        """The return value, the exception, or what a custom state carries; `None` while there is nothing."""
        return self._record().result

    info = result

    @property
    def traceback(self) -> str | None:
        return self._record().traceback

    @property
    def date_done(self) -> dt.datetime | None:
        """When it ended, in UTC."""
        return self._record().finished_at

    @property
    def name(self) -> str | None:
        """The name of the task, if the id is known."""
        return self._facts().task

    @property
    def args(self) -> tuple[Any, ...] | None:
        """The positional arguments it was sent with, if its row is there and of a kind that may be read."""
        return self._facts().args

    @property
    def kwargs(self) -> Mapping[str, Any] | None:
        return self._facts().kwargs

    @property
    def queue(self) -> str | None:
        return self._facts().queue

    @property
    def worker(self) -> str | None:
        """Who runs it or ran it last, as `name@host`."""
        return self._facts().worker

    @property
    def retries(self) -> int:
        """How many of its runs asked for another one."""
        return self._facts().retries

    @property
    def parent(self) -> AsyncResult[Any] | None:
        """The task that sent this one."""
        parent = self._facts().parent_id
        return None if parent is None else AsyncResult(parent)

    @property
    def children(self) -> list[AsyncResult[Any]]:
        """The tasks that this one sent, the first one first."""
        return [AsyncResult(id) for id in results().children(self.id)]

    def ready(self) -> bool:
        return self._record().is_ready

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    # -- changing

    def forget(self) -> None:
        """Remove what is stored of the finished task."""
        self._final = None
        results().forget(self.id)

    def revoke(self, terminate: bool = False, signal: str | None = None) -> bool:
        """Make sure that a task which has not begun never does. False if it has begun already.

        With `terminate` one that has begun is stopped within about a second, by killing its process; what else that
        process runs (in threads) goes back to its queue. The state is REVOKED then, too. `signal` is taken because
        Celery takes it; only SIGKILL stops whatever runs, so that is what is sent.
        """
        return results().revoke(self.id, terminate=terminate)

    def _record(self) -> Record:
        if self._final is not None:
            return self._final
        record = results().look_up(self.id)
        if record.is_ready:
            self._final = record
        return record

    def _facts(self) -> Facts:
        return results().facts(self.id)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"


class EagerResult(AsyncResult[R]):
    """The handle on a task that was run where it was sent: it knows its end from the start and asks nobody."""

    def __init__(self, record: Record, facts: Facts, shown: tuple[Record, ...] = ()) -> None:
        super().__init__(record.id)
        self._final = record
        self._known = facts
        #: The states that the body showed on the way.
        self.shown = shown

    def _is_over(self, on_message: OnMessage | None) -> bool:
        for record in (*self.shown, self._record()):
            self._telling(on_message)(record)
        return True

    def _facts(self) -> Facts:
        return self._known

    @property
    def children(self) -> list[AsyncResult[Any]]:
        """Nobody keeps count."""
        return []

    def forget(self) -> None:
        """Nothing is stored of it."""

    def revoke(self, terminate: bool = False, signal: str | None = None) -> bool:
        """It has run."""
        return False
