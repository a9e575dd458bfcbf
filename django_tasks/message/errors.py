"""Exceptions as data, in the form of Celery's result records: `exc_type`, `exc_module`, `exc_message`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from django_tasks.exceptions import EncodeError

from .saferepr import saferepr, storable
from .serialization import dumps


def write_error(error: BaseException) -> str:
    """JSON text of an exception. Arguments that JSON cannot carry, or very long ones, are shown in short."""
    kind = type(error)
    written = {
        "exc_type": kind.__qualname__,
        "exc_module": kind.__module__,
        "exc_message": [_plain(a) for a in error.args],
    }
    return str(dumps(written).body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An exception in words."""

    #: `module.Name`, without the module of those that Python has by itself.
    kind: str
    said: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.said}" if self.said else self.kind


def tell(text: str) -> Told:
    """What `write_error` wrote, in words. Nothing is raised: others may have written it."""
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError):
        stored = None
    if not isinstance(stored, Mapping) or "exc_type" not in stored:
        return Told(kind="", said=text)
    module, name, message = (stored.get(key) for key in ("exc_module", "exc_type", "exc_message"))
    said = ", ".join(map(str, message)) if isinstance(message, list) else str(message or "")
    return Told(kind=f"{module}.{name}" if module and module != "builtins" else str(name), said=said)


def read_error(stored: Any) -> BaseException:
    """An exception again, to be raised.

    Nothing is imported and nothing but an exception class is ever called (compare CVE-2021-23727). A class that this
    process has not loaded is stood in for by one of the same name; so are those that are no `Exception`, for a task
    that raised SystemExit is not to end the process of who asks for its result.
    """
    if not isinstance(stored, Mapping) or "exc_type" not in stored:
        return Exception(saferepr(stored))
    name, module = str(stored["exc_type"]), str(stored.get("exc_module"))
    message = stored.get("exc_message")
    arguments = message if isinstance(message, list | tuple) else [message]
    kind = _loaded_exception(module, name) or _stand_in(module, name)
    try:
        return kind(*arguments)
    except Exception:  # noqa: BLE001 - the class wants other arguments than it keeps in `args`
        return _stand_in(module, name)(*arguments)


#: Characters of one argument of an exception; a longer one is shown in short.
LONGEST_ARGUMENT = 50_000


def _plain(value: Any) -> Any:
    try:
        text = dumps(value).body
        json.loads(text)
    except (EncodeError, ValueError):
        return saferepr(value)
    return saferepr(value) if len(text) > LONGEST_ARGUMENT else value


def _loaded_exception(module: str, name: str) -> type[Exception] | None:
    # Not by getattr: a lazy module imports what it is asked for, and an object may run whatever it likes.
    found, place = None, sys.modules.get(module)
    inside: Mapping[str, Any] = vars(place) if isinstance(place, ModuleType) else {}
    for part in name.split("."):
        found = inside.get(part)
        inside = vars(found) if isinstance(found, type) else {}
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _stand_in(module: str, name: str) -> type[Exception]:
    return type(storable(name.rpartition(".")[2]) or "Exception", (Exception,), {"__module__": module})
