"""`app`: what people use of a Celery application, for code that has one in hand. There is only one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, Unpack

from django_tasks import conf, registry
from django_tasks.canvas import signature
from django_tasks.handlers import resolve
from django_tasks.results import async_result, result_set

from . import decorators, order
from .control import Control
from .options import CallOptions, TaskOptions, check_text
from .request import running_task, sent_here
from .task import Task as TaskClass

T = TypeVar("T", bound=TaskClass[..., Any])


class App:
    """The facade; each name is that of the public API or of `celery.Celery`."""

    Task = TaskClass
    AsyncResult = async_result.AsyncResult
    GroupResult = result_set.GroupResult
    ResultSet = result_set.ResultSet
    tasks = registry.tasks

    control = Control()

    def __init__(self) -> None:
        # On the instance they stay functions, with all their signatures.
        self.task = decorators.task
        self.shared_task = decorators.shared_task
        self.signature = signature.signature

    @property
    def conf(self) -> conf.Settings:
        """The settings in force."""
        return conf.current()

    @property
    def current_task(self) -> TaskClass[..., Any] | None:
        """The task whose body is being run here."""
        return running_task()

    @property
    def pool(self) -> Any:
        """Connections to the broker, to be lent: `with app.pool.acquire(block=True) as connection: ...`."""
        return resolve("django_tasks.brokers.pool.pool")()

    def register_task(self, task: T | type[T]) -> T:
        """Take in a task by hand: for classes with `abstract = True`."""
        made: T = task() if isinstance(task, type) else task
        made.auto_named = made.auto_named and "name" not in vars(made)
        registry.register(made)
        return made

    def send_task(
        self,
        name: str,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Unpack[CallOptions],
    ) -> async_result.AsyncResult[Any]:
        """Send a task by its name: its code need not be here, so its arguments are not checked."""
        if not isinstance(name, str):
            raise TypeError(
                f"send_task takes the name of a task, not {name!r}. A task itself has apply_async."
            )
        check_text(name, "the name", "send_task")
        asked = order.Order(name, TaskOptions(), options)
        message = asked.message(order.positional(args, kwargs), order.keywords(kwargs))
        order.send([message])
        return sent_here(async_result.AsyncResult.of(message))


app = App()
