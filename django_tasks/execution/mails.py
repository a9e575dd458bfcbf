"""Error e-mails: which failures the ADMINS hear of, and what they read.

A mail is sent by a task of ours, not here: a slow mail server neither holds up the outcome nor the next task, and
while it is away the mail is tried again. That task goes to the queue of the one that failed, which surely is served.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings as django_settings

from django_tasks import conf
from django_tasks.definition.einfo import ExceptionInfo
from django_tasks.definition.task import Task
from django_tasks.dispatch.now import send
from django_tasks.handlers import resolve
from django_tasks.message.message import TaskMessage
from django_tasks.message.saferepr import saferepr
from django_tasks.message.task_id import new_task_id

from .outcome import Request

#: The task that sends one mail: `(subject, body)`.
MAIL = "django_tasks.mail_error"
#: Longest exception in a subject.
_SUBJECT_MOST = 200


def write_to_admins(
    request: Request, task: Task[..., Any], error: BaseException, einfo: ExceptionInfo
) -> None:
    """Have the ADMINS written to, if this failure is one they want to hear of."""
    if not is_wanted(task, error):
        return
    message = request.message
    sent = (_subject(request, error), _body(request, error, einfo))
    # Made by hand: it is nobody's child, and runs where the failed one ran.
    send([TaskMessage(id=new_task_id(), task=MAIL, args=sent, queue=message.queue, ignore_result=True)])


def is_on(task: Task[..., Any]) -> bool:
    """May failures of this task be mailed at all?"""
    wanted = task.send_error_emails
    return bool(conf.current().SEND_TASK_ERROR_EMAILS if wanted is None else wanted) and task.name != MAIL


def is_wanted(task: Task[..., Any], error: BaseException) -> bool:
    if not is_on(task) or not django_settings.ADMINS or isinstance(error, task.throws or ()):
        return False
    return not is_listed(error, (*task.error_whitelist, *conf.current().TASK_ERROR_WHITELIST))


def is_listed(error: BaseException, whitelist: Iterable[type | str]) -> bool:
    """Is it of a class named in the list? Those listed are *not* mailed (FEATURES D-WHITELIST)."""
    return any(isinstance(error, _class(listed)) for listed in whitelist)


def _class(listed: type | str) -> type | tuple[()]:
    """Of a dotted path; none if there is nothing at its end: then its mails show that the list is wrong."""
    if isinstance(listed, type):
        return listed
    try:
        found = resolve(listed)
    except ImportError:
        return ()
    return found if isinstance(found, type) else ()


def _subject(request: Request, error: BaseException) -> str:
    what = " ".join(saferepr(error, most=_SUBJECT_MOST).split())
    return f"[{request.worker}] Error: Task {request.name} ({request.message.id}): {what}"


def _body(request: Request, error: BaseException, einfo: ExceptionInfo) -> str:
    message = request.message
    rows = [
        ("task", request.name),
        ("id", message.id),
        ("queue", message.queue),
        ("attempt", message.retries + 1),
        ("worker", request.worker),
        ("args", message.argsrepr or "()"),
        ("kwargs", message.kwargsrepr or "{}"),
    ]
    about = "\n".join(f"{name:<9}{value}" for name, value in rows)
    return f"The task failed with {saferepr(error)}\n\n{about}\n\n{einfo.traceback}"
