"""What is told of tasks: the log line and the signal of each moment of a task's life, here and nowhere else.

Records carry `task_name`, `task_id`, `queue` and `attempt`. Neither costs anything if nobody wants to know.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django_tasks import registry, signals
from django_tasks.definition.logger import PARENT
from django_tasks.definition.request import Context
from django_tasks.exceptions import NotRegistered
from django_tasks.message.message import Envelope

from .outcome import Request, Revoked

logger = logging.getLogger(PARENT)


def line(
    level: int, request: Request, text: str, *values: object, exc_info: BaseException | None = None
) -> None:
    if not logger.isEnabledFor(level):
        return
    message = request.message
    about = {
        "task_name": request.name,
        "task_id": message.id,
        "queue": message.queue,
        "attempt": message.retries + 1,
    }
    text = f"Task %s[%s] {text}"
    logger.log(level, text, request.name, message.id, *values, exc_info=exc_info, extra=about)


# -- before it runs


def received(requests: Sequence[Request]) -> None:
    """These are this process's now."""
    if not (signals.task_received.receivers or logger.isEnabledFor(logging.DEBUG)):
        return
    for request in requests:
        line(logging.DEBUG, request, "received")
        signals.task_received.tell(request.worker, request=_context(request))


def expired(outcomes: Sequence[Revoked]) -> None:
    for outcome in outcomes:
        line(logging.INFO, outcome.request, "revoked: it had expired")
        _tell_revoked(outcome.request, terminated=False, expired=True)


def discarded(requests: Sequence[Request]) -> None:
    """Deliveries of tasks that somebody had revoked."""
    for request in requests:
        line(logging.INFO, request, "revoked: not run")
        _tell_revoked(request, terminated=False, expired=False)


def terminated(request: Request) -> None:
    """Somebody revoked it while it ran."""
    line(logging.WARNING, request, "revoked: terminated")
    _tell_revoked(request, terminated=True, expired=False)


def stopped(requests: Sequence[Request]) -> None:
    """Somebody revoked these while they were claimed and did not run; the signal follows from a task process."""
    for request in requests:
        line(logging.WARNING, request, "revoked: terminated before it could run")


def _tell_revoked(request: Request, *, terminated: bool, expired: bool) -> None:
    if not signals.task_revoked.receivers:
        return
    try:
        task = registry.find(request.message.task)
    except NotRegistered:
        task = None
    context = _context(request)
    signals.task_revoked.tell(task, request=context, terminated=terminated, signum=None, expired=expired)


def set_aside(worker: str, refused: Sequence[tuple[Envelope, Exception]]) -> None:
    """Messages that name no task of this project, or cannot be read."""
    for envelope, why in refused:
        if isinstance(why, NotRegistered):
            name, id = (str(envelope.headers.get(header, "")) for header in ("task", "id"))
            signals.task_unknown.tell(worker, name=name, id=id, message=envelope, exc=why)
        else:
            signals.task_rejected.tell(worker, message=envelope, exc=why)


def _context(request: Request) -> Context:
    return Context.of(request.message, hostname=request.worker)


# -- what came of it


def succeeded(request: Request, seconds: float) -> None:
    line(logging.INFO, request, "succeeded in %.3f s", seconds)


def asked_for_another_run(request: Request, why: BaseException) -> None:
    line(logging.INFO, request, "retry: %s", why)


def failed(request: Request, error: BaseException, *, is_expected: bool) -> None:
    if is_expected:
        line(logging.INFO, request, "raised expected %r", error)
    else:
        line(logging.ERROR, request, "raised unexpected %r", error, exc_info=error)


def lost(request: Request, why: str) -> None:
    line(logging.ERROR, request, "lost its worker: %s", why)
