"""Task: a function and its options, callable here with `()` and in the background with `delay`."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import cached_property, partial
from itertools import islice
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, Unpack, cast

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import transaction

from django_tasks import conf, registry
from django_tasks.canvas import maps
from django_tasks.canvas import signature as signatures
from django_tasks.exceptions import Retry
from django_tasks.handlers import resolve
from django_tasks.message.message import TaskMessage
from django_tasks.results import async_result

from . import order, progress, retry, workflow
from .arguments import Arguments
from .einfo import ExceptionInfo
from .logger import TaskLogger
from .options import CallOptions, TaskOptions, check_combinations, check_made_name, check_values
from .request import Context, called, request_of, sent_here

if TYPE_CHECKING:
    # With defaults (PEP 696) a bare `Task` takes any arguments and returns anything.
    from typing_extensions import ParamSpec, TypeVar

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

#: How many tasks `bulk` hands over at once.
SLICE = 1_000


class TaskType(ABCMeta):
    """Registers each class that is a task: one with `run` that is not `abstract = True`.

    Such a class has one instance per process, made when it is first asked for.
    """

    name: str
    aliases: tuple[str, ...]
    abstract: bool
    backend: str | None
    is_async: bool
    defined_at: registry.Source
    auto_named: bool
    run: Any
    _instance: Any
    _making: RLock

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(name, bases, namespace, **kwargs)
        own = check_values(namespace, where=f"{cls.__module__}.{cls.__qualname__}")
        for option, value in own.items():
            setattr(cls, option, value)
        cls.defined_at = namespace.get("defined_at") or registry.Source.of(cls)
        cls.auto_named = not own.get("name")
        cls.name = own.get("name") or cls.defined_at.canonical_name
        cls.aliases = own.get("aliases", ())
        cls.abstract = own.get("abstract", False)
        cls.is_async = iscoroutinefunction(cls.run)
        cls._making = RLock()
        check_combinations(cls, where=f"{cls.__module__}.{cls.__qualname__}")
        if cls.is_task:
            check_made_name(cls.name, where=f"{cls.__module__}.{cls.__qualname__}")
            registry.register(cls)

    @property
    def is_task(cls) -> bool:
        """Whether there is something to run."""
        return not (cls.abstract or cls.__abstractmethods__ or cls.run is Task.run)

    def __call__(cls, /, *args: Any, **kwargs: Any) -> Any:
        if not cls.is_task:
            return super().__call__(*args, **kwargs)
        with cls._making:
            if "_instance" not in vars(cls):
                cls._instance = super().__call__(*args, **kwargs)
        return cls._instance


class Task(TaskOptions, Generic[P, R], metaclass=TaskType):
    """What `@task` makes of a function, and what classes of tasks inherit from.

        class Thumbnail(Task[[str], bytes]):
            queue = "images"

            def run(self, path: str) -> bytes: ...

        Thumbnail().delay("cat.png")

    Options (`TaskOptions`) are class attributes, inherited as usual but for `name`, `aliases` and `abstract`.
    `__init__` runs once per process; what it keeps on `self` stays for the next runs.
    """

    abstract = True

    if TYPE_CHECKING:
        defined_at: registry.Source
        auto_named: bool
        #: Whether the body is a coroutine.
        is_async: bool

    def run(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """The body. Called by workers; to call it yourself, call the task."""
        raise NotImplementedError(f"{type(self).__qualname__} has no run(): define it.")

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the body here and now, as a function: nothing is sent or recorded, exceptions propagate.

        Of an `async def` it is the coroutine that is returned. A class that overrides this has it called by workers as
        well; with `super().__call__(...)` the body is run, and there it is the run that the worker began.
        """
        if self.is_async:
            return cast("R", self._awaited(args, kwargs))
        with called(self, args, kwargs):
            return self.run(*args, **kwargs)

    async def _awaited(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        with called(self, args, kwargs):
            return await cast("Any", self.run)(*args, **kwargs)

    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> async_result.AsyncResult[R]:
        """Send the task with these arguments; the same as `apply_async(args, kwargs)`."""
        return self._send(self._message(args, kwargs, {}))

    def apply_async(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        producer: Any = None,
        publisher: Any = None,
        connection: Any = None,
        **options: Unpack[CallOptions],
    ) -> async_result.AsyncResult[R]:
        """Send the task with options of the call (`CallOptions`).

        It goes over the `publisher` (in Celery's newer words `producer`) or the `connection` of the caller, if there is
        one: see `get_publisher`.

        Raises, and has sent nothing, if the task cannot be called so (`TypeError`), if an option is unknown
        or wrong (`UnknownOption`, `UnknownQueue`, `TypeError`, `ValueError`), if the arguments cannot be
        written (`EncodeError`) or the chosen id is taken (`DuplicateTaskId`).
        """
        message = self._message(order.positional(args, kwargs), order.keywords(kwargs), options)
        if producer is publisher is connection is None:
            return self._send(message)
        with order.sending_over(publisher or producer, connection):
            return self._send(message)

    def get_publisher(self, connection: Any = None) -> AbstractContextManager[Any]:
        """A publisher over a connection of `app.pool`, for many calls of `apply_async(..., publisher=publisher)`."""
        found: AbstractContextManager[Any] = order.publisher(connection)
        return found

    @property
    def app(self) -> Any:
        """The one application, as code for Celery asks for it."""
        return resolve("django_tasks.definition.app.app")

    async def adelay(self, /, *args: P.args, **kwargs: P.kwargs) -> async_result.AsyncResult[R]:
        """`delay` for async code: sends from the thread that Django's async interfaces use for the database.

        If a transaction is open there, it is joined: so it is below a view or a function that is not async.
        """
        return await sync_to_async(partial(self.delay, *args, **kwargs))()

    async def aapply_async(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> async_result.AsyncResult[R]:
        """`apply_async` for async code; see `adelay`."""
        return await sync_to_async(self.apply_async)(args, kwargs, **options)

    def delay_on_commit(self, /, *args: P.args, **kwargs: P.kwargs) -> async_result.AsyncResult[R]:
        """`apply_async_on_commit(args, kwargs)`."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        using: str | None = None,
        robust: bool = False,
        **options: Unpack[CallOptions],
    ) -> async_result.AsyncResult[R]:
        """Send the task once the transaction of the database `using` commits. The id is known at once.

        On the tasks' own database, the default, `apply_async` does so anyway. `robust` is that of
        `transaction.on_commit`.
        """
        message = self._message(order.positional(args, kwargs), order.keywords(kwargs), options)
        if conf.current().TASK_ALWAYS_EAGER:
            transaction.on_commit(partial(order.run_here, message), using=using, robust=robust)
        else:
            order.send_on_commit([message], using=using, robust=robust)
        return self._sent(message)

    def bulk(
        self,
        calls: Iterable[list[Any] | tuple[Any, ...] | Mapping[str, Any]],
        **options: Unpack[CallOptions],
    ) -> list[async_result.AsyncResult[R]]:
        """Send the task many times in few statements: all or none.

        Each call is a list or tuple (positional arguments) or a mapping (keywords); the options apply to all.

            resize.bulk([("cat.png", 80), ("dog.png", 80)])
            resize.bulk({"path": path, "width": 80} for path in paths)
        """
        if options.get("task_id") is not None:
            raise ValueError(
                "task_id names one task, bulk sends many. Use apply_async for the one with a chosen id."
            )
        common = order.Order(self.name, self, options)
        messages = (self._checked(common, *_arguments(call)) for call in calls)
        if conf.current().TASK_ALWAYS_EAGER:
            return [self._send(message) for message in messages]
        results: list[async_result.AsyncResult[R]] = []
        with transaction.atomic(using=conf.current().DATABASE):
            while some := list(islice(messages, SLICE)):
                order.send(some)
                results += [self._sent(message) for message in some]
        return results

    def _sent(self, message: TaskMessage) -> async_result.AsyncResult[R]:
        result = self.AsyncResult(message.id)
        result.ignored = bool(message.ignore_result)
        return sent_here(result)

    def _send(self, message: TaskMessage) -> async_result.AsyncResult[R]:
        if conf.current().TASK_ALWAYS_EAGER:
            return sent_here(cast("async_result.AsyncResult[R]", order.run_here(message)))
        try:
            order.send([message])
        except SynchronousOnlyOperation as error:
            raise SynchronousOnlyOperation(
                f"{self.name} cannot be sent so from async code, as the database would block its event loop. "
                "Write `await task.adelay(...)` or `await task.aapply_async(...)`."
            ) from error
        return self._sent(message)

    def _message(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions) -> TaskMessage:
        return self._checked(order.Order(self.name, self, options), args, kwargs)

    def _checked(self, made: order.Order, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> TaskMessage:
        if self.typing:
            self._arguments.check(args, kwargs, task=self.name)
        return made.message(args, kwargs, names=self._arguments.names)

    @cached_property
    def _arguments(self) -> Arguments:
        return Arguments(self.run)

    def retry(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        *,
        max_retries: int | None = None,
        **options: Unpack[CallOptions],
    ) -> Retry:
        """Run the task again later, with the same id; called in its body.

            try:
                twitter.send(text)
            except twitter.Busy as error:
                raise self.retry(exc=error, countdown=60)

        Raises `Retry`, so that the rest of the body is not run; with `throw=False` returns it instead, and what the
        body then returns is not recorded, for the next run's result will be. Without `countdown` or `eta` it waits
        `default_retry_delay`. After `max_retries` (given here, or else the task's) raises `exc`, or
        `MaxRetriesExceededError` if there is none. What is not given stays as it is: arguments, queue, priority …
        """
        again = retry.retry(
            self,
            args=args,
            kwargs=kwargs,
            exc=exc,
            max_retries=max_retries,
            options=options,
        )
        if throw:
            raise again
        return again

    def apply(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        *,
        throw: bool | None = None,
        **options: Unpack[CallOptions],
    ) -> async_result.AsyncResult[R]:
        """Run the task here, as a worker would, and wait for it; nothing is sent or stored.

        The arguments make the same way through the serializer, retries follow at once, `request.is_eager` is true.
        `throw` (by default the setting `TASK_EAGER_PROPAGATES`) raises what the body raised.
        """
        message = self._message(order.positional(args, kwargs), order.keywords(kwargs), options)
        return cast("async_result.AsyncResult[R]", order.run_here(message, throw=throw))

    # -- signatures: what to send later, and what workflows are composed of

    def s(self, *args: Any, **kwargs: Any) -> signatures.Signature:
        """The signature of a call with these arguments; when it is sent, others may come before them."""
        return signatures.Signature(self, args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> signatures.Signature:
        """The same, but it ignores the arguments it is sent with: in a chain, the result of the task before."""
        return signatures.Signature(self, args, kwargs, immutable=True)

    def signature(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **extra: Any,
    ) -> signatures.Signature:
        """A signature with options of `apply_async`: `add.signature((2, 2), countdown=10)`."""
        return signatures.signature(self, args, kwargs, options, immutable=immutable, **extra)

    def subtask(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        immutable: bool = False,
        **extra: Any,
    ) -> signatures.Signature:
        """`signature` as Celery 2 had it: keywords that are no options are arguments of the task."""
        return signatures.subtask(self, args, kwargs, options, immutable=immutable, **extra)

    def map(self, it: Iterable[Any]) -> maps.xmap:
        """The signature of one task that calls this one with each item, one after the other."""
        return maps.xmap(self, it)

    def starmap(self, it: Iterable[Any]) -> maps.xstarmap:
        """The same, where each item is a list of arguments."""
        return maps.xstarmap(self, it)

    def chunks(self, it: Iterable[Any], n: int) -> maps.chunks:
        """The signature of a group in which each task does `n` of the items, as in `starmap`."""
        return maps.chunks(self, it, n)

    def replace(self, sig: signatures.Signature) -> Any:
        """Have a workflow take the place of this task: it ends under this id, and what follows this task follows it.

            return self.replace(fetch.s(url) | parse.s())

        Called in the body, of which nothing after it is run: raises `Replaced` in a worker. Where the task is run
        eagerly or called like a function, runs the workflow here and returns its result.
        """
        return workflow.replace(self, sig)

    def add_to_chord(self, sig: signatures.Signature, lazy: bool = False) -> Any:
        """Add a task to the chord whose header this one is in: the body waits for it, too, and has its result last.

        Sends it and returns the handle; with `lazy` returns the signature, which must then be sent with `delay()`.
        Raises `ValueError` if this task is in no header.
        """
        return workflow.add_to_chord(self.request, sig, lazy)

    def update_state(self, task_id: str | None = None, state: str | None = None, meta: Any = None) -> None:
        """Show a state of your own for the task while it runs, and what goes with it.

            self.update_state(state="PROGRESS", meta={"current": n, "total": len(files)})

        `AsyncResult.state` and `.info` have it then, until the next state or the end. In the body it is written by the
        worker within moments, also if a transaction is open here; of several in quick succession the last one is
        shown. For another task, or outside of a worker, give `task_id`: it is written at once, unless that task has
        ended or has no row. Called like a function, a task shows nothing.

        Raises `ValueError` for a state that is not yours to set, `EncodeError` or `ResultTooLarge` for `meta` that
        cannot be stored.
        """
        progress.update_state(self, task_id, state, meta)

    # -- what happens around the body; each may be overridden, and what it returns is ignored

    def before_start(self, task_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before the body is called. What it raises fails the task."""

    def on_success(self, retval: R, task_id: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """After the body returned `retval`."""

    def on_failure(
        self,
        exc: BaseException,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """After the task failed for good."""

    def on_retry(
        self,
        exc: BaseException,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo,
    ) -> None:
        """After the task asked to be run again, because of `exc`."""

    def after_return(
        self,
        status: str,
        retval: Any,
        task_id: str,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        einfo: ExceptionInfo | None,
    ) -> None:
        """After success and after failure: the final state, and what was returned or raised."""

    @property
    def request(self) -> Context:
        """The run of this task that is under way here (thread or coroutine)."""
        return request_of(self)

    def AsyncResult(self, task_id: str) -> async_result.AsyncResult[R]:  # noqa: N802 - Celery's name
        """The handle on an earlier run of the task."""
        return async_result.AsyncResult(task_id, backend=self.backend)

    def get_logger(self) -> TaskLogger:
        """A logger of the task's own, below `django_tasks.task`; records carry `task_name` and `task_id`."""
        return TaskLogger(self.name, self)

    def __repr__(self) -> str:
        return f"<Task: {self.name} (regular)>"


if TYPE_CHECKING:

    class AsyncTask(Task[P, R]):
        """A task made of an `async def`, as type checkers see it: called, it is a coroutine; its result is what
        that returns."""

        def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:  # type: ignore[override]
            raise NotImplementedError


def _arguments(call: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(call, Mapping):
        return (), order.keywords(call)
    if isinstance(call, list | tuple):
        return tuple(call), {}
    raise TypeError(
        f"Each call of bulk must be a list or tuple of arguments, or a mapping of keywords, not {call!r}; "
        f"did you mean ({call!r},)?"
    )
