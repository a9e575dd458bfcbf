"""group: tasks side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .composed import Composed
from .fields import LINKS, OF_A_GROUP
from .shortening import shortened
from .signature import Signature, taken


@Signature.register_type()
class group(Composed):  # noqa: N801 - Celery's name
    """Tasks that run side by side; the results are a list in the order of the tasks.

        group(add.s(i, i) for i in range(10)).delay()

    One argument may be an iterable of the members. Options are those of each member; `task_id` is the id of the group.
    """

    OWN = frozenset(("tasks",))

    def __init__(self, *tasks: Any, app: object = None, **options: Any) -> None:
        super().__init__(
            "celery.group", (), {"tasks": _members(tasks)}, subtask_type="group", options=options
        )

    def members(self) -> list[Signature]:
        """The members; if the group was given anything, copies to which it was given."""
        said = {key: value for key, value in self.options.items() if key not in OF_A_GROUP}
        if not said and not self.args and not self.for_tasks():
            return list(self.tasks)
        links = {key: said.pop(key) for key in LINKS if key in said}
        members = [task.clone(self.args, self.for_tasks(), **said) for task in self.tasks]
        for member in members:
            for key, linked in links.items():
                member.extend_list_option(key, linked)
        return members

    def __call__(self, *partial_args: Any, **options: Any) -> Any:
        """`apply_async(partial_args, **options)`."""
        return self.apply_async(partial_args, **options)

    def apply_async(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Send the members, each with these arguments before its own. Returns a `GroupResult`."""
        for name in ("link", "link_error"):
            if options.get(name) is not None:
                raise TypeError(
                    f"A group has no end of its own to {name}. Make it a chord, or {name} its members."
                )
        return super().apply_async(args, kwargs, **options)

    def set_immutable(self, immutable: bool) -> None:
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Any) -> Any:
        """Link `callback` to the first member, without its result (Celery). What is to come after all is a chord."""
        if not self.tasks:
            raise ValueError("An empty group has nothing to link to. Leave the link out.")
        return self.tasks[0].link(taken(callback, "link").clone().set(immutable=True))

    def link_error(self, errback: Any) -> tuple[Any, ...]:
        """Link a copy of `errback` to each member."""
        found = taken(errback, "link_error")
        return tuple(task.link_error(found.clone()) for task in self.tasks)

    def __repr__(self) -> str:
        return shortened(self.tasks[0].task, f"group({self.tasks!r})") if self.tasks else "group(<empty>)"


class TaskSet(group):
    """A group, by the name it had in Celery 2: `TaskSet(tasks=[add.subtask((2, 2)), ...]).apply_async()`."""

    def __init__(self, tasks: Any = (), **options: Any) -> None:
        super().__init__(tasks, **options)


def unrolled(sig: Signature) -> Signature:
    """A step of a chain; for a group of one that one (Celery)."""
    return sig.tasks[0] if isinstance(sig, group) and len(sig.tasks) == 1 else sig


def _members(tasks: tuple[Any, ...]) -> list[Signature]:
    alone = tasks[0] if len(tasks) == 1 else None
    if isinstance(alone, group):
        return alone.members()
    if isinstance(alone, Mapping):
        return [taken(alone, "group").clone()]
    many = alone if isinstance(alone, Iterable) and not isinstance(alone, str) else tasks
    return [taken(task, "group") for task in many]
