"""Receivers that write down what they hear, a JSON line each; only in workers, which import this module."""

import json
import os
from collections.abc import Callable
from typing import Any

from django_tasks import signals
from django_tasks.message.message import TaskMessage
from django_tasks.signals import TaskSignal


def write(what: str, **about: object) -> None:
    line = json.dumps({"what": what, "pid": os.getpid(), **about}, default=str) + "\n"
    # One write, because several processes append.
    file = os.open(os.environ["TOLD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


def hear(signal: TaskSignal, sender: object, request: Any = None, **about: Any) -> None:
    id = request.id if request is not None else about.pop("task_id", None)
    plain = {name: value for name, value in about.items() if isinstance(value, str | int | float | bool)}
    write(signal.name, sender=str(getattr(sender, "name", sender)), id=id or plain.pop("id", None), **plain)


for value in list(vars(signals).values()):
    if isinstance(value, TaskSignal):
        value.connect(hear, weak=False)


def around(execute: Callable[[TaskMessage], Any]) -> Callable[[TaskMessage], Any]:
    def middleware(message: TaskMessage) -> Any:
        write("middleware", id=message.id)
        return execute(message)

    return middleware
