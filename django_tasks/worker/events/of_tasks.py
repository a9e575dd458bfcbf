"""What happens to tasks, as events: the signals that a worker sends anyway, put into Celery's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django_tasks import clock, conf, signals, states
from django_tasks.definition.context import Context
from django_tasks.definition.einfo import ExceptionInfo
from django_tasks.definition.task import Task
from django_tasks.message.message import Envelope
from django_tasks.message.saferepr import saferepr
from django_tasks.service import Service

from .sender import EventSender
from .shared import Shared

#: Of a longer traceback the beginning is left out; the error is at its end.
LONGEST_TRACEBACK = 8000
#: One per process listens, also where all of a worker runs in one.
_UID = "django_tasks.worker.events"


class TaskEvents(Service):
    """Listens while it runs. Tasks that are run where they are sent are nobody's business."""

    def __init__(self, sender: EventSender, shared: Shared) -> None:
        self.sender = sender
        self.shared = shared
        #: Since when the bodies run that run now, in monotonic seconds.
        self.began: dict[str, float] = {}

    def start(self) -> None:
        for signal, receiver in self._receivers():
            signal.connect(receiver, weak=False, dispatch_uid=_UID)

    def stop(self) -> None:
        for signal, receiver in self._receivers():
            signal.disconnect(receiver, dispatch_uid=_UID)

    def _receivers(self) -> list[tuple[signals.TaskSignal, Callable[..., None]]]:
        return [
            (signals.task_received, self.received),
            (signals.task_prerun, self.started),
            (signals.task_success, self.succeeded),
            (signals.task_failure, self.failed),
            (signals.task_retry, self.retried),
            (signals.task_postrun, self.ended),
            (signals.task_revoked, self.revoked),
            (signals.task_unknown, self.unknown),
        ]

    def send(self, type: str, id: str | None, **fields: Any) -> None:
        if self.shared.are_wanted:
            self.sender.send(type, uuid=id, **fields)

    def is_told_of(self, request: Context) -> bool:
        """Asked before texts are made that may be long."""
        return self.shared.are_wanted and not request.is_eager

    # -- before it runs

    def received(self, request: Context, **_: Any) -> None:
        self.send(
            "task-received",
            request.id,
            name=request.shadow or request.task,
            args=request.argsrepr,
            kwargs=request.kwargsrepr,
            root_id=request.root_id,
            parent_id=request.parent_id,
            retries=request.retries,
            eta=request.eta,
            expires=request.expires,
        )

    def revoked(
        self, request: Context, *, terminated: bool, signum: int | None, expired: bool, **_: Any
    ) -> None:
        self.send("task-revoked", request.id, terminated=terminated, signum=signum, expired=expired)

    def unknown(self, id: str, message: Envelope, **_: Any) -> None:
        """It was set aside."""
        if id:
            self.send("task-rejected", id, requeue=False)

    # -- while it runs

    def started(self, sender: Task[..., Any], task_id: str, **_: Any) -> None:
        if not sender.request.is_eager:
            self.began[task_id] = clock.monotonic()
            self.send("task-started", task_id)

    # -- what came of it

    def succeeded(self, sender: Task[..., Any], result: object, **_: Any) -> None:
        request = sender.request
        if not self.is_told_of(request):
            return
        now = clock.monotonic()
        shown = saferepr(result, redact=(*conf.current().REDACT, *sender.redact))
        runtime = now - self.began.get(request.id or "", now)
        self.send("task-succeeded", request.id, result=shown, runtime=runtime)

    def failed(
        self,
        sender: Task[..., Any],
        task_id: str,
        exception: BaseException,
        einfo: ExceptionInfo | None,
        **_: Any,
    ) -> None:
        if self.is_told_of(sender.request):
            self.send("task-failed", task_id, exception=saferepr(exception), traceback=_shortened(einfo))

    def retried(
        self,
        sender: Task[..., Any],
        request: Context,
        reason: BaseException,
        einfo: ExceptionInfo | None,
        **_: Any,
    ) -> None:
        if self.is_told_of(request):
            self.send("task-retried", request.id, exception=saferepr(reason), traceback=_shortened(einfo))

    def ended(self, sender: Task[..., Any], task_id: str, state: str, **_: Any) -> None:
        self.began.pop(task_id, None)
        if state == states.REJECTED and not sender.request.is_eager:
            self.send("task-rejected", task_id, requeue=True)


def _shortened(einfo: ExceptionInfo | None) -> str:
    text = "" if einfo is None else einfo.traceback
    return text if len(text) <= LONGEST_TRACEBACK else f"…\n{text[-LONGEST_TRACEBACK:]}"
