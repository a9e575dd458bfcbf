"""What happened, for whoever wants to know: Django signals with Celery's names, and its arguments where it has them.

They observe: what a receiver returns or changes has no effect, and what it raises is logged. To change something, write
middleware (middleware.py). `request` is always what the task sees as its `request`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar, overload

from django.dispatch import Signal

Receiver = TypeVar("Receiver", bound=Callable[..., Any])

logger = logging.getLogger("django_tasks.signals")


class TaskSignal(Signal):
    """A signal that costs nothing while nobody listens, and whose senders may be names.

    @after_task_publish.connect(sender="shop.tasks.send_invoice")
    def count(sender, headers, **kwargs): ...
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._named: set[str] = set()

    @overload  # type: ignore[override]  # Django's returns nothing
    def connect(
        self, receiver: Receiver, sender: object = None, weak: bool = True, dispatch_uid: Any = None
    ) -> Receiver: ...
    @overload
    def connect(
        self, receiver: None = None, sender: object = None, weak: bool = True, dispatch_uid: Any = None
    ) -> Callable[[Receiver], Receiver]: ...
    def connect(
        self,
        receiver: Any = None,
        sender: object = None,
        weak: bool = True,
        dispatch_uid: Any = None,
    ) -> Any:
        """As Django's; and without a receiver a decorator, as Celery's."""

        def connect(receiver: Receiver) -> Receiver:
            super(TaskSignal, self).connect(receiver, self._same(sender), weak, dispatch_uid)
            return receiver

        return connect if receiver is None else connect(receiver)

    def disconnect(
        self, receiver: Callable[..., Any] | None = None, sender: object = None, dispatch_uid: Any = None
    ) -> bool:
        return super().disconnect(receiver, self._same(sender), dispatch_uid)

    def _same(self, sender: object) -> Any:
        """Django compares senders by identity: one object for all strings that are equal, and it must live on."""
        if type(sender) is not str:
            return sender
        self._named.add(interned := sys.intern(sender))
        return interned

    def tell(self, sender: object, **about: object) -> None:
        """Call the receivers, if there are any."""
        if not self.receivers:
            return
        try:
            answers = self.send_robust(sys.intern(sender) if type(sender) is str else sender, **about)
        except (Exception, SystemExit):  # what Django does not catch of a receiver's
            logger.exception("A receiver of %s failed", self.name)
            return
        for receiver, answer in answers:
            if isinstance(answer, Exception):
                logger.error("Receiver %r of %s raised %r", receiver, self.name, answer, exc_info=answer)

    def __repr__(self) -> str:
        return f"<Signal: {self.name}>"


# -- sending; where it is sent. Not for retries and other returns to a queue: the task was sent once.

#: sender: the task's name; headers, body (args, kwargs, embed), exchange, routing_key (without an exchange,
#: the queue), properties, declare, retry_policy. Nothing is written yet, and may never be.
before_task_publish = TaskSignal("before_task_publish")
#: sender: the task's name; headers, body, exchange, routing_key. After the transaction that the task was sent in.
after_task_publish = TaskSignal("after_task_publish")

# -- receiving; in a task process, in the thread that also records what came of tasks: be quick.

#: sender: the worker's name; request. The task is this process's now, and waits for its turn.
task_received = TaskSignal("task_received")
#: sender: the task, or `None` if it is unknown; request, terminated, signum, expired
task_revoked = TaskSignal("task_revoked")
#: sender: the worker's name; name, id, message (the envelope), exc. It was set aside.
task_unknown = TaskSignal("task_unknown")
#: sender: the worker's name; message (the envelope), exc. It cannot be read, and was set aside.
task_rejected = TaskSignal("task_rejected")

# -- running; in the process and the thread that run the task, its database connections at hand.

#: sender: the task; task_id, task, args, kwargs
task_prerun = TaskSignal("task_prerun")
#: sender: the task; task_id, task, args, kwargs, retval, state. The last of all, after the handlers.
task_postrun = TaskSignal("task_postrun")
#: sender: the task; result
task_success = TaskSignal("task_success")
#: sender: the task; task_id, exception, args, kwargs, traceback, einfo
task_failure = TaskSignal("task_failure")
#: sender: the task; request, reason (why: the exception), einfo
task_retry = TaskSignal("task_retry")

# -- the worker; sender: its name.

#: Nothing else. In the worker's first process, before it starts the others, which inherit what is set up here.
worker_init = TaskSignal("worker_init")
#: Nothing else. In its housekeeper, when it begins.
worker_ready = TaskSignal("worker_ready")
#: Nothing else. In each task process, when it begins.
worker_process_init = TaskSignal("worker_process_init")
#: pid, exitcode. In each task process, as its last act; not if it is killed.
worker_process_shutdown = TaskSignal("worker_process_shutdown")
#: sig, how, exitcode. In each task process that is asked to end, while its tasks still run; in a thread of its own.
worker_shutting_down = TaskSignal("worker_shutting_down")
#: Nothing else. In its housekeeper, as its last act.
worker_shutdown = TaskSignal("worker_shutdown")
