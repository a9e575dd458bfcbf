"""chord: tasks side by side, and one that is called with all their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .group import group
from .shortening import shortened
from .signature import Signature, maybe_signature, signature, taken


@Signature.register_type()
class chord(Signature):  # noqa: N801 - Celery's name
    """A header of tasks, and a body that is called with the list of their results once all have succeeded.

        chord([count.s(page) for page in pages])(total.s())

    The header is an iterable, a group, or one signature; a chain as the header is, as in Celery, its steps side by
    side: write `[chain]` for a header of one chain. The handle is that of the body, `.parent` that of the header.
    """

    OWN = frozenset(
        (
            "header",
            "body",
            "kwargs",
        )
    )

    def __init__(
        self,
        header: Any,
        body: Any = None,
        task: str = "celery.chord",
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        app: object = None,
        **options: Any,
    ) -> None:
        super().__init__(
            task,
            args,
            {**(kwargs or {"kwargs": {}}), "header": _members(header), "body": _body(body)},
            subtask_type="chord",
            **options,
        )

    @property
    def tasks(self) -> list[Signature]:
        """The header."""
        found: list[Signature] = self.kwargs["header"]
        return found

    @tasks.setter
    def tasks(self, tasks: Iterable[Signature]) -> None:
        self.kwargs["header"] = list(tasks)

    @property
    def body(self) -> Signature | None:
        found: Signature | None = self.kwargs.get("body")
        return found

    @body.setter
    def body(self, body: Signature | None) -> None:
        self.kwargs["body"] = body

    def body_or_refuse(self) -> Signature:
        """The body. Raises `TypeError` if it has none yet."""
        if self.body is None:
            raise TypeError(
                f"{self!r} cannot be used so. Give it a body: chord(header)(body) or header | body."
            )
        return self.body

    def parts(self) -> list[Signature]:
        return [*self.tasks, *filter(None, [self.body])]

    def change_parts(self, change: Callable[[Any], Signature]) -> None:
        header = self.kwargs.get("header") or []
        if isinstance(header, Mapping):  # Celery freezes a chord so: a group in place of the list
            header = _members(header)
        self.tasks = [change(task) for task in header]
        self.body = None if self.body is None else change(self.body)

    def __call__(self, body: Any = None, **options: Any) -> Any:
        """`apply_async(kwargs={"body": body}, **options)`."""
        return self.apply_async((), {} if body is None else {"body": body}, **options)

    def apply_async(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Send the header, each task with these arguments before its own; the body follows by itself.

        `kwargs["body"]`, if there, is the body. `task_id` is the id of the body; `countdown` and `eta` are for the
        header, other options for both.
        """
        given, kwargs = self._with_body(kwargs)
        return Signature.apply_async(given, args, kwargs, **options)

    def apply(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        given, kwargs = self._with_body(kwargs)
        return Signature.apply(given, args, kwargs, **options)

    def _with_body(self, kwargs: Mapping[str, Any] | None) -> tuple[chord, dict[str, Any]]:
        rest = dict(kwargs or {})
        body = rest.pop("body", None)
        given = self
        if body is not None:
            given = self.clone()
            given.body = _body(body)
        given.body_or_refuse()
        return given, rest

    def set_immutable(self, immutable: bool) -> None:
        """Of the header; the body wants the results."""
        for task in self.tasks:
            task.set_immutable(immutable)

    def link(self, callback: Any) -> Any:
        """Link `callback` to the body."""
        self.body_or_refuse().link(callback)
        return callback

    def link_error(self, errback: Any) -> Any:
        """Link `errback` to the body, which fails as well if a task of the header does."""
        found = taken(errback, "link_error")
        for task in self.tasks:
            if isinstance(task, chord):
                task.link_error(found)
        self.body_or_refuse().link_error(found)
        return found

    def __repr__(self) -> str:
        body: Any = self.body
        if body is None:
            return f"<chord without body: {self.tasks!r}>"
        if body.subtask_type != "chain" or not body.tasks:
            return "%" + shortened(body.task, body.reprcall(self.tasks))
        first, *rest = body.tasks
        steps = [first.reprcall(self.tasks), *map(repr, rest)]
        return shortened(first.task, f"%({' | '.join(steps)})")


def _members(header: Any) -> list[Signature]:
    if isinstance(header, Mapping):
        alone = taken(header, "chord")
        if isinstance(alone, group):
            return alone.members()
        return alone.parts() if alone.subtask_type == "chain" else [alone]
    if isinstance(header, Iterable) and not isinstance(header, str):
        return [signature(taken(task, "chord")) for task in header]
    return [taken(header, "chord")]


def _body(body: Any) -> Signature | None:
    return maybe_signature(None if body is None else taken(body, "chord"))
