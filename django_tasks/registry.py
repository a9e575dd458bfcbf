"""Name → task. One function has one name, however its module was imported.

The name is made of the installed app's dotted path: a file imported as `project.blog.tasks` here and as
`blog.tasks` there holds the same tasks. Those that are defined before Django knows its apps are renamed by
`canonicalize`, which our `AppConfig.ready` calls.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import RLock
from typing import Any, Protocol

from django.apps import apps
from django.utils.module_loading import module_has_submodule

from . import conf
from .exceptions import AlreadyRegistered, NotRegistered


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the code of a task stands. `line` is 0 if unknown."""

    module: str
    function: str
    file: str
    line: int

    @classmethod
    def of(cls, code: Callable[..., Any]) -> Source:
        """Of a function (the innermost, where `functools.wraps` was used) or of a class with `run`."""
        body = inspect.unwrap(vars(code).get("run", code) if isinstance(code, type) else code)
        where = getattr(getattr(body, "__func__", body), "__code__", None)
        return cls(
            module=code.__module__,
            function=code.__qualname__.replace("<locals>.", ""),
            file=getattr(sys.modules.get(code.__module__), "__file__", None)
            or (where.co_filename if where else "?"),
            line=where.co_firstlineno if where else 0,
        )

    @property
    def spelled_name(self) -> str:
        """The name by the path the module was imported by."""
        return f"{self.module}.{self.function}"

    @property
    def canonical_name(self) -> str:
        """The name by the app the file lies in."""
        return f"{_canonical_module(self.module, self.file)}.{self.function}"

    def is_same_as(self, other: Source) -> bool:
        """Whether it is the same function, perhaps imported by another path, reloaded, or typed again."""
        return self.function == other.function and (
            self.module == other.module or _real(self.file) == _real(other.file)
        )

    def __str__(self) -> str:
        return f"{self.function} in {self.file}, line {self.line}"


def _canonical_module(module: str, file: str) -> str:
    path = _real(file)
    homes = {_real(app.path) + os.sep: app.name for app in apps.get_app_configs()} if apps.apps_ready else {}
    if inside := [home for home in homes if path.startswith(home)]:
        home = max(inside, key=len)
        parts = _parts(path.removeprefix(home))
        # A virtual environment inside an app is not part of it; its path has parts that are no names.
        if all(part.isidentifier() for part in parts):
            return ".".join([homes[home], *parts])
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec.name if module == "__main__" and spec is not None else module


def _parts(path: str) -> list[str]:
    *folders, file = path.split(os.sep)
    stem = inspect.getmodulename(file) or file
    return folders if stem == "__init__" else [*folders, stem]


@cache
def _real(path: str) -> str:
    return os.path.realpath(path)


class Registrable(Protocol):
    """A task, or the class of one that is made when first asked for."""

    name: str
    aliases: tuple[str, ...]
    defined_at: Source
    #: The name follows from where the code stands, nobody chose it.
    auto_named: bool
    #: The store of its results, if it has one of its own.
    backend: str | None


class Registry(Mapping[str, Any]):
    """The tasks by name. Iteration gives each once; look-up takes aliases and other spellings as well."""

    def __init__(self) -> None:
        self._tasks: dict[str, Registrable] = {}
        self._aliases: dict[str, str] = {}
        self._spellings: dict[str, str] = {}
        self._lock = RLock()
        # Not the same lock: imports run under this one, and other threads that import register meanwhile.
        self._discovery = RLock()
        self._discovered = False

    def __getitem__(self, name: str) -> Any:
        """Raises `NotRegistered` (a `KeyError`) that guesses what was meant."""
        task = self.declared(name)
        if task is None:
            raise NotRegistered(
                f"No task is named {name!r}.{conf.guess(str(name), self._tasks)} Define it in the tasks "
                'module of an installed app, or list its module in DJANGO_TASKS["IMPORTS"].'
            )
        if isinstance(task, type):
            task = self._tasks[task.name] = task()
        return task

    def declared(self, name: str) -> Registrable | None:
        """The task of that name, or its class if nobody asked for the task yet: its `__init__` may be costly.

        `None` if there is none.
        """
        return self._tasks.get(self._owned(name) or self._spellings.get(name, ""))

    def _owned(self, name: str) -> str:
        """The name of the task that was given this name or alias; empty if none was."""
        return name if name in self._tasks else self._aliases.get(name, "")

    def __contains__(self, name: object) -> bool:
        return name in self._tasks or name in self._aliases or name in self._spellings

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._tasks))

    def __len__(self) -> int:
        return len(self._tasks)

    def __repr__(self) -> str:
        return f"<Registry: {len(self)} tasks>"

    def register(self, task: Registrable) -> None:
        """Take in a task or the class of one. The same function again replaces what was there.

        Raises `AlreadyRegistered` if its name or an alias belongs to another function.
        """
        with self._lock:
            for name in (task.name, *task.aliases):
                self._refuse_other_owner(name, task)
            self._tasks[task.name] = task
            self._aliases.update(dict.fromkeys(task.aliases, task.name))
            if task.auto_named and task.defined_at.spelled_name != task.name:
                self._spellings[task.defined_at.spelled_name] = task.name

    def _refuse_other_owner(self, name: str, task: Registrable) -> None:
        # Not of a mere spelling: nobody chose it, so whoever wants it as a name gets it.
        owner = self._tasks.get(self._owned(name))
        if owner is not None and not owner.defined_at.is_same_as(task.defined_at):
            raise AlreadyRegistered(
                f"Two functions want to be the task {name!r}: {owner.defined_at}; and {task.defined_at}. "
                'Give one of them another name: @task(name="...").'
            )

    def canonicalize(self) -> None:
        """Rename what was registered before Django knew its apps; the names used so far stay valid."""
        with self._lock:
            for old, task in list(self._tasks.items()):
                if task.auto_named and (new := task.defined_at.canonical_name) != old:
                    del self._tasks[old]
                    (task if isinstance(task, type) else type(task)).name = new
                    self.register(task)

    def find(self, name: str) -> Any:
        """The task of that name, looked for in all apps if need be. Raises `NotRegistered`."""
        # Asked several times of every task that is run; most have one name, and were found before.
        if (task := self._tasks.get(name)) is not None and not isinstance(task, type):
            return task
        if name not in self:
            self.autodiscover()
        return self[name]

    def autodiscover(self) -> None:
        """Import the `tasks` module of every installed app, and `IMPORTS`, once.

        Raises what the first broken module raises, with a note that names the module.
        """
        for module, error in self.import_errors().items():
            error.add_note(f"This was raised while importing the tasks of {module!r}.")
            raise error

    def import_errors(self) -> dict[str, Exception]:
        """What importing modules with tasks raised, by module. Those that failed before are tried again."""
        with self._discovery:
            if self._discovered:
                return {}
            errors = {module: error for module in _modules() if (error := _error_of_importing(module))}
            self._discovered = not errors
            return errors


def _modules() -> list[str]:
    apps.check_models_ready()
    of_apps = [
        f"{app.name}.tasks" for app in apps.get_app_configs() if module_has_submodule(app.module, "tasks")
    ]
    return [*of_apps, *conf.current().IMPORTS]


def _error_of_importing(module: str) -> Exception | None:
    try:
        import_module(module)
    except Exception as error:  # noqa: BLE001 - whatever a user's module raises is reported with its name
        return error
    return None


tasks = Registry()
register = tasks.register
find = tasks.find
autodiscover = tasks.autodiscover
canonicalize = tasks.canonicalize
import_errors = tasks.import_errors
