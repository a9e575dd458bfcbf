"""AsyncResult: the caller's handle on a task that was sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, cast

from asgiref.sync import sync_to_async

from django_tasks import exceptions, states
from django_tasks.handlers import later
from django_tasks.message.message import TaskMessage

from .handler import results
from .joining import refuse_to_join
from .moments import moments
from .store import Facts, Record

if TYPE_CHECKING:
    # With a default (PEP 696) a bare `AsyncResult` is one of anything.
    from typing_extensions import TypeVar

    from .result_set import Handle

    R = TypeVar("R", default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")

#: Told of each state as a dict: task_id, status, result, traceback, children, parent_id, date_done.
OnMessage = Callable[[dict[str, Any]], object]

# Sets of handles are made of these handles.
_children = later("django_tasks.results.family.children")
_descendants = later("django_tasks.results.family.descendants")
_forget = later("django_tasks.results.family.forget")
_throw_first = later("django_tasks.results.family.throw_first")


class AsyncResult(Generic[R]):
    """Made from an id alone, in any process; nothing is asked before an attribute is.

    A final answer is kept, so that asking again costs nothing. `ignored` says that nothing is stored of this task,
    as far as its sender knows: then there is nothing to wait for. `parent` is what comes before it, of a chain: the
    handle on a task, or on the group that a chord begins with.
    """

    def __init__(
        self, id: str, *, ignored: bool = False, parent: Handle | None = None, backend: str | None = None
    ) -> None:
        self.id = id
        self.ignored = ignored
        #: The task's own store, as far as who made this knows.
        self.backend = backend
        #: The parent it was made with. Nobody is asked for it.
        self.known_parent = parent
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
        follow_parents: bool = True,
        on_message: OnMessage | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait for the task and return what it returned.

        A failure is raised here again, or with `propagate=False` returned. After `timeout` seconds
        `django_tasks.exceptions.TimeoutError` is raised; the task goes on. Given an `interval`, the database is asked
        each so many seconds; otherwise it tells, or is asked at a growing interval. `on_message` is called with each
        state that is seen meanwhile, the last one included. What failed in a chain ends the rest of it; if this step
        has not been told when the time is up, the failure is raised all the same, unless `follow_parents` is false.

        Inside a task's body only a result that is ready may be asked for: anything else raises `RuntimeError`, unless
        `disable_sync_subtasks` is false or the block is one of `allow_join_result`.
        """
        if not self._is_over(on_message):
            if disable_sync_subtasks:
                refuse_to_join(self.id)
            try:
                record = results().wait(
                    self.id,
                    timeout=timeout,
                    interval=interval,
                    on_change=self._telling(on_message),
                    backend=self.backend,
                )
                self.learn(record)
            except exceptions.TimeoutError:
                if follow_parents and propagate:
                    _throw_first(self.known_parents())
                raise
        return self.end(propagate)

    wait = get

    async def aget(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,
        *,
        follow_parents: bool = True,
        on_message: OnMessage | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """`get` for coroutines: the event loop goes on meanwhile. The database is asked at a growing interval."""
        if not await sync_to_async(self._is_over)(on_message):
            if disable_sync_subtasks:
                refuse_to_join(self.id)
            record = await self._await_end(timeout, interval, self._telling(on_message))
            if not record.is_ready:
                if follow_parents and propagate:
                    await sync_to_async(_throw_first)(self.known_parents())
                raise exceptions.TimeoutError(
                    f"Task {self.id} is {record.status} after {timeout} seconds; it goes on."
                )
        return self.end(propagate)

    async def _await_end(
        self, timeout: float | None, interval: float | None, on_change: Callable[[Record], object]
    ) -> Record:
        """The final record, or the last one that is seen before the time is up."""
        record = Record(id=self.id)
        async for _ in moments(timeout, interval):
            before, record = record, await sync_to_async(lambda: self.record)()
            if record != before:
                await sync_to_async(on_change)(record)
            if record.is_ready:
                break
        return record

    def _is_over(self, on_message: OnMessage | None) -> bool:
        """Is there nothing to wait for? The ending is told if there is one."""
        if self.ignored:
            return True
        if not self.record.is_ready:
            return False
        self._telling(on_message)(self.record)
        return True

    @property
    def is_settled(self) -> bool:
        """Is its end known here, or will there never be one? Nobody is asked."""
        return self.ignored or self._final is not None

    def learn(self, record: Record) -> None:
        """Take in what was read of the task together with others: a final record answers from now on."""
        if record.is_ready:
            self._final = record

    def end(self, propagate: bool = True) -> R:
        """What a settled handle has: the return value, or the failure, raised or returned. Nobody is asked."""
        if self._final is None:  # ignored
            return cast(R, None)
        result = self._final.result
        if propagate and self._final.failed:
            raise result
        return cast(R, result)

    def _telling(self, on_message: OnMessage | None) -> Callable[[Record], object]:
        if on_message is None:
            return lambda record: None
        told = on_message
        return lambda record: told(self._body(record))

    def _body(self, record: Record) -> dict[str, Any]:
        return {**record.to_body(), "children": self.children, "parent_id": self._facts().parent_id}

    # -- asking

    @property
    def task_id(self) -> str:
        return self.id

    @property
    def state(self) -> str:
        return self.record.status

    status = state

    @property
    def result(self) -> Any:
        """The return value, the exception, or what a custom state carries; `None` while there is nothing."""
        return self.record.result

    info = result

    @property
    def traceback(self) -> str | None:
        return self.record.traceback

    @property
    def date_done(self) -> dt.datetime | None:
        """When it ended, in UTC."""
        return self.record.finished_at

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
    def parent(self) -> Handle | None:
        """What comes before it in its chain, or the task that sent it."""
        if self.known_parent is not None:
            return self.known_parent
        parent = self._facts().parent_id
        return None if parent is None else AsyncResult(parent)

    def known_parents(self) -> Iterator[Handle]:
        """Its chain backwards, as far as that is known here."""
        parent = self.known_parent
        while parent is not None:
            yield parent
            parent = parent.known_parent

    @property
    def children(self) -> list[Handle]:
        """The tasks and groups that this one sent, the first one first."""
        return _children([self.id])[self.id]  # type: ignore[no-any-return]

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Handle | None, Handle]]:
        """This task, what it sent, what that sent, and so on, each with who sent it, level by level.

        Raises `IncompleteStream` where it comes to a task that has not ended; with `intermediate` its children are
        left out instead.
        """
        return _descendants(self, intermediate)  # type: ignore[no-any-return]

    def collect(self, intermediate: bool = False, **options: Any) -> Iterator[tuple[Handle, Any]]:
        """This task and all that came of it, each with its result, which is waited for as by `get` with `options`."""
        for _, node in self.iterdeps(intermediate):
            yield node, node.get(**options)

    def get_leaf(self) -> Any:
        """The result of the last of all that came of this task."""
        value = None
        for _, value in self.collect():  # noqa: B007 - the last one counts
            pass
        return value

    def build_graph(self, intermediate: bool = False) -> dict[Handle, list[Handle]]:
        """Each of the handles that `iterdeps` finds, and those that came of it."""
        graph: dict[Any, list[Any]] = {}
        for sender, node in self.iterdeps(intermediate):
            graph.setdefault(node, [])
            if sender is not None:
                graph[sender].append(node)
        return graph

    @property
    def graph(self) -> dict[Handle, list[Handle]]:
        """`build_graph` of what has ended."""
        return self.build_graph()

    def as_tuple(self) -> tuple[Any, None]:
        """`((id, parent), None)`, for `result_from_tuple`. The parents are those that are known here."""
        return (self.id, None if self.known_parent is None else self.known_parent.as_tuple()), None

    def as_list(self) -> list[str]:
        """Its id and those of the parents that are known here."""
        return [self.id, *(str(parent) for parent in self.known_parents())]

    def ready(self) -> bool:
        return self.record.is_ready

    def successful(self) -> bool:
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        return self.state == states.FAILURE

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> Any:
        """Raise what the task failed with, if it has. Else tell `callback` the id and what there is, and return it."""
        record = self.record
        if propagate and record.failed:
            raise record.result
        value = record.result
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    # -- changing

    def forget(self) -> None:
        """Remove what is stored of the finished task, and of the parents that are known here."""
        _forget(self)

    def unlearn(self) -> None:
        """Do not keep the end here any more."""
        self._final = None

    def revoke(self, terminate: bool = False, signal: str | None = None) -> bool:
        """Make sure that a task which has not begun never does. False if it has begun already.

        With `terminate` one that has begun is stopped within about a second, by killing its process; what else that
        process runs (in threads) goes back to its queue. The state is REVOKED then, too. `signal` is taken because
        Celery takes it; only SIGKILL stops whatever runs, so that is what is sent.
        """
        return results().revoke(self.id, terminate=terminate)

    @property
    def record(self) -> Record:
        """What is known of it now. A final record is kept, and nobody is asked again."""
        if self._final is not None:
            return self._final
        record = results().look_up(self.id, self.backend)
        self.learn(record)
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

    def __init__(
        self,
        record: Record,
        facts: Facts,
        shown: tuple[Record, ...] = (),
        *,
        parent: Handle | None = None,
        children: Sequence[Handle] = (),
    ) -> None:
        super().__init__(record.id, parent=parent)
        self._final = record
        self._known = facts
        self._children = list(children)
        #: The states that the body showed on the way.
        self.shown = shown

    @property
    def is_settled(self) -> bool:
        return True

    def _is_over(self, on_message: OnMessage | None) -> bool:
        for record in (*self.shown, self.record):
            self._telling(on_message)(record)
        return True

    def _facts(self) -> Facts:
        return self._known

    @property
    def children(self) -> list[Handle]:
        """What was run of what it sent, if somebody kept count."""
        return self._children

    def revoke(self, terminate: bool = False, signal: str | None = None) -> bool:
        """It has run."""
        return False
