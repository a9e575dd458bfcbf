"""What a signature is as a dict: six keys, and those of a newer Celery."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_tasks.message.saferepr import saferepr

#: Options whose values are signatures, or lists of them.
LINKS = ("link", "link_error")
#: Options for what bears the result of a workflow.
OF_THE_END = frozenset(("task_id", "group_id", "group_index", "chord", "chain", "link"))
#: Options that a group keeps for itself; the others are those of its members.
OF_A_GROUP = frozenset(("task_id", "group_id", "group_index", "chord"))


class Fields(dict[str, Any]):
    """`task` (name), `args`, `kwargs`, `options`, `subtask_type`, `immutable`; each is an attribute, too."""

    @property
    def task(self) -> str:
        return str(self["task"])

    @task.setter
    def task(self, name: str) -> None:
        self["task"] = name

    @property
    def name(self) -> str:
        """The same: a task has a `name`, too."""
        return self.task

    @property
    def args(self) -> tuple[Any, ...]:
        return tuple(self["args"])

    @args.setter
    def args(self, args: list[Any] | tuple[Any, ...]) -> None:
        self["args"] = tuple(args)

    @property
    def kwargs(self) -> dict[str, Any]:
        found: dict[str, Any] = self["kwargs"]
        return found

    @kwargs.setter
    def kwargs(self, kwargs: Mapping[str, Any]) -> None:
        self["kwargs"] = dict(kwargs)

    @property
    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = self["options"]
        return found

    @options.setter
    def options(self, options: Mapping[str, Any]) -> None:
        self["options"] = dict(options)

    @property
    def subtask_type(self) -> str | None:
        """`chain`, `group`, `chord`; `None` for a task."""
        found: str | None = self["subtask_type"]
        return found

    @property
    def immutable(self) -> bool:
        """Whether it ignores the arguments it is sent with."""
        return bool(self["immutable"])

    @immutable.setter
    def immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    @property
    def id(self) -> str | None:
        """The id it will have, once it is known."""
        return self.options.get("task_id")

    @property
    def parent_id(self) -> str | None:
        return self.options.get("parent_id")

    @property
    def root_id(self) -> str | None:
        return self.options.get("root_id")

    def append_to_list_option(self, key: str, value: Any) -> Any:
        """Add `value` to the list that the option is, unless it is there. Returns `value`."""
        items = self._list_option(key)
        if value not in items:
            items.append(value)
        return value

    def extend_list_option(self, key: str, value: Any) -> None:
        """Add `value`, or all there is in a list, to the list that the option is."""
        self._list_option(key).extend(listed(value))

    def _list_option(self, key: str) -> list[Any]:
        if not isinstance(self.options.get(key), list):
            self.options[key] = listed(self.options.get(key))
        items: list[Any] = self.options[key]
        return items


def listed(value: Any) -> list[Any]:
    """Nothing, one or many as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def name_of(task: Any) -> str:
    name = getattr(task, "name", task)
    if not isinstance(name, str) or not name:
        raise TypeError(
            f"A signature is of a task or the name of one, not {saferepr(task, most=80)}. Give one of these."
        )
    return name


def positional(args: Any) -> tuple[Any, ...]:
    if args is None:
        return ()
    if not isinstance(args, list | tuple):
        raise TypeError(f"args must be a list or tuple; did you mean ({saferepr(args, most=80)},)?")
    return tuple(args)
