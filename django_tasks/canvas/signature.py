"""Signature: an order not yet sent, as a dict that JSON can carry (Celery's form, PROTOCOL "Signature dict")."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar, cast

from asgiref.sync import sync_to_async
from kombu.utils.functional import reprcall

from django_tasks import registry
from django_tasks.handlers import later, resolve
from django_tasks.message.asked import subject_of
from django_tasks.message.saferepr import saferepr

from . import walking
from .fields import LINKS, Fields, listed, name_of, positional

S = TypeVar("S", bound="type[Signature]")

# What acts on signatures stands above them, or needs models.
send = later("django_tasks.canvas.sending.send")
run = later("django_tasks.canvas.sending.run")
freeze = later("django_tasks.canvas.freezing.freeze_in_place")
join = later("django_tasks.canvas.joining.join")

#: Options that belong to whom they were given first: others wait for them (Celery).
_SETTLED = frozenset(("group_id", "stamped_headers"))


class Signature(Fields):
    """A task's name, arguments and options, to be sent later or by somebody else.

        add.s(2, 2).delay()
        add.s(2).set(queue="sums").apply_async((4,))    # add(4, 2)

    Arguments given when it is sent go before those it has, keywords are added; an immutable one ignores both.
    As a dict it has the keys `task` (name), `args`, `kwargs`, `options` (of `apply_async`), `subtask_type` and
    `immutable`, and those of a newer Celery that it was made from. Celery's stamps are not there: use `headers=`.
    """

    #: The classes by `subtask_type`.
    TYPES: ClassVar[dict[str, type[Signature]]] = {}
    #: The same for those that travel as a task of this name, without `subtask_type`.
    TASKS: ClassVar[dict[str, type[Signature]]] = {}
    #: The keywords that hold what it is composed of.
    OWN: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def register_type(cls, name: str = "") -> Callable[[S], S]:
        """A class decorator: dicts of this `subtask_type` become its instances."""

        def register(kind: S) -> S:
            cls.TYPES[name or kind.__name__] = kind
            return kind

        return register

    @classmethod
    def from_dict(cls, d: Mapping[str, Any], app: object = None) -> Signature:
        """The signature that was written as `d`: a chain, a group … as its `subtask_type` says."""
        return cls._made(d, taken)

    @classmethod
    def _made(cls, d: Mapping[str, Any], change: Callable[[Any], Signature]) -> Signature:
        kind = cls.TYPES.get(d.get("subtask_type") or "") or cls.TASKS.get(d.get("task", ""), Signature)
        made: Signature = dict.__new__(kind)
        Signature.__init__(made, d)
        made.change_parts(change)
        return made

    def __init__(
        self,
        task: Any = None,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        type: object = None,
        subtask_type: str | None = None,
        immutable: bool = False,
        app: object = None,
        **ex: Any,
    ) -> None:
        """`task` is a task, its name, or a dict; `ex` are options as well.

        `type` and `app` are Celery's, and ignored: there is one registry.
        """
        if isinstance(task, Mapping):
            self.update(task)
            args, kwargs, options = self.get("args"), self.get("kwargs"), self.get("options")
            subtask_type, immutable = self.get("subtask_type"), self.get("immutable", False)
            task = self.get("task")
        self.update(
            task=name_of(task),
            args=positional(args),
            kwargs=dict(kwargs or {}),
            options=_options({**(options or {}), **ex}),
            subtask_type=subtask_type,
            immutable=immutable,
        )

    # -- what it is

    @property
    def type(self) -> Any:
        """The task itself. Raises `NotRegistered` if its code is not here."""
        return registry.find(self.task)

    def parts(self) -> list[Signature]:
        """The signatures it is composed of; those linked to it are not among them."""
        return []

    def change_parts(self, change: Callable[[Any], Signature]) -> None:
        """Put in the place of each part what `change` makes of it."""

    def for_tasks(self) -> dict[str, Any]:
        """The keywords that are not what it is composed of: they are for its first tasks."""
        return {key: value for key, value in self.kwargs.items() if key not in self.OWN}

    def links(self) -> Iterator[Signature]:
        """What is called after it succeeded or failed."""
        for key in LINKS:
            yield from map(taken, listed(self.options.get(key)))

    # -- what can be done with it

    def __call__(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """Call the task here and now, as a function."""
        args, kwargs, _ = self._merged(partial_args, partial_kwargs, {})
        return self.type(*args, **kwargs)

    def delay(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """`apply_async(partial_args, partial_kwargs)`."""
        return self.apply_async(partial_args, partial_kwargs)

    def apply_async(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Send it; the options go before those it has. The handle is that of the last task."""
        return send(self, positional(args), dict(kwargs or {}), _said(options))

    async def adelay(self, *partial_args: Any, **partial_kwargs: Any) -> Any:
        """`delay` for async code; see `Task.adelay`."""
        return await sync_to_async(self.delay)(*partial_args, **partial_kwargs)

    async def aapply_async(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """`apply_async` for async code; see `Task.adelay`."""
        return await sync_to_async(self.apply_async)(args, kwargs, **options)

    def apply(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Run it here, as workers would, and wait for it; nothing is sent or stored."""
        return run(self, positional(args), dict(kwargs or {}), _said(options))

    def __invert__(self) -> Any:
        """`~signature`: send it and wait for its result."""
        return self.apply_async().get()

    def freeze(
        self,
        _id: str | None = None,
        group_id: str | None = None,
        chord: Signature | None = None,
        root_id: str | None = None,
        parent_id: str | None = None,
        group_index: int | None = None,
    ) -> Any:
        """Give its tasks their ids now, for somebody else to send it later, once. Returns the handle."""
        return freeze(
            self,
            _id=_id,
            group_id=group_id,
            chord=chord,
            root_id=root_id,
            parent_id=parent_id,
            group_index=group_index,
        )

    def __or__(self, other: Any) -> Signature:  # type: ignore[override]
        """`fetch.s(url) | parse.s()`: the second is called with the result of the first."""
        joined: Signature = join(self, other)
        return joined

    __ior__ = __or__

    # -- changed copies

    def clone(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Self:
        """A copy with these arguments before its own, and these keywords and options over its own."""
        args, kwargs, options = self._merged(args, kwargs, opts)
        copied = {**self, "args": args, "kwargs": kwargs, "options": _copied(options)}
        return cast("Self", self._made(copied, _cloned))

    partial = clone

    def replace(
        self,
        args: list[Any] | tuple[Any, ...] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """A copy with these in place of its own."""
        made = self.clone()
        if args is not None:
            made.args = positional(args)
        if kwargs is not None:
            made.kwargs = dict(kwargs)
        if options is not None:
            made.options = dict(options)
        return made

    def _merged(
        self, args: Any, kwargs: Mapping[str, Any] | None, options: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        settled = _SETTLED | set(self.options.get("stamped_headers") or ())
        options = {
            **self.options,
            **{key: options[key] for key in options if key not in settled or key not in self.options},
        }
        if self.immutable:
            return self.args, dict(self.kwargs), options
        if taken_names := self.OWN.intersection(kwargs or ()):
            raise TypeError(
                f"{min(taken_names)!r} is what a {self.subtask_type} is made of, so it cannot be given as an argument. "
                "Give it to its first task: task.s(...)."
            )
        return positional(args) + self.args, {**self.kwargs, **(kwargs or {})}, options

    # -- changes in place

    def set(self, immutable: bool | None = None, **options: Any) -> Self:
        """Set options of `apply_async`: `add.s(2, 2).set(countdown=10).delay()`."""
        if immutable is not None:
            self.set_immutable(immutable)
        self.options.update(_with_plain_subject(options))
        return self

    def set_immutable(self, immutable: bool) -> None:
        """Whether it is to ignore the arguments it is sent with; of a group, its members."""
        self.immutable = immutable

    def link(self, callback: Any) -> Any:
        """Have `callback` sent with the result, if it succeeds. Returns `callback`."""
        return self.append_to_list_option("link", walking.unlooped(self, taken(callback, "link")))

    def link_error(self, errback: Any) -> Any:
        """Have `errback` called if it fails. Returns `errback`."""
        return self.append_to_list_option("link_error", walking.unlooped(self, taken(errback, "link_error")))

    def on_error(self, errback: Any) -> Self:
        """`link_error`, but returns the signature itself."""
        self.link_error(errback)
        return self

    def flatten_links(self) -> list[Signature]:
        """It and what is linked to it, and to that, and so on."""
        linked = (taken(link) for link in listed(self.options.get("link")))
        return [self, *(inner for link in linked for inner in link.flatten_links())]

    # -- as Python sees it

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.clone()

    def __reduce__(self) -> tuple[Any, ...]:
        return Signature.from_dict, (dict(self),)

    def reprcall(self, *args: Any, **kwargs: Any) -> str:
        """How the call would look with these arguments: `add(2, 2)`."""
        called: str = reprcall(self.task, args + self.args, {**self.kwargs, **kwargs})
        return called

    def __repr__(self) -> str:
        return self.reprcall()


def signature(varies: Any, *args: Any, **kwargs: Any) -> Signature:
    """A signature of a task, its name, a dict that was one (after JSON), or another one, of which it is a copy.

    signature("shop.tasks.add", args=(2, 2), countdown=10)
    """
    if isinstance(varies, Signature):
        return varies.clone()
    if isinstance(varies, Mapping):
        return Signature.from_dict(varies)
    return Signature(varies, *args, **kwargs)


def subtask(
    varies: Any,
    args: list[Any] | tuple[Any, ...] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    immutable: bool = False,
    **extra: Any,
) -> Signature:
    """`signature` as Celery 2 had it: other keywords are arguments of the task, unless they are options.

    subtask(parse_page, callback=subtask(store), countdown=10)
    """
    if isinstance(varies, Mapping):
        return signature(varies)
    known = {
        *resolve("django_tasks.definition.options.CALL_KINDS"),
        *resolve("django_tasks.definition.options.CALL_OPTIONS_TO_COME"),
    }
    given = {name: value for name, value in extra.items() if name not in known and name != "app"}
    said = {name: value for name, value in extra.items() if name in known}
    return Signature(
        varies, args, {**(kwargs or {}), **given}, {**(options or {}), **said}, immutable=immutable
    )


def maybe_signature(d: Any, app: object = None, clone: bool = False) -> Signature | None:
    """`None`, or the signature that `d` is or was written from."""
    if d is None:
        return None
    return taken(d).clone() if clone else taken(d)


def taken(value: Any, where: str = "A workflow") -> Signature:
    """`value` as a signature. Raises `TypeError` that says what was forgotten."""
    if isinstance(value, Signature):
        return value
    if isinstance(value, Mapping) and "task" in value:
        return Signature.from_dict(value)
    if callable(value) and isinstance(name := getattr(value, "name", None), str):
        short = name.rpartition(".")[2]
        raise TypeError(f"{where} takes signatures, not the task {name}. Write {short}.s(...) in its place.")
    raise TypeError(
        f"{where} takes signatures, not {saferepr(value, most=80)}. Write task.s(...): task(...) calls it at once."
    )


def _copied(options: Mapping[str, Any]) -> dict[str, Any]:
    copied = {key: copy.deepcopy(value) for key, value in options.items() if key not in LINKS}
    for key in LINKS:
        if key in options:
            links = options[key]
            copied[key] = (
                [_cloned(link) for link in links]
                if isinstance(links, list | tuple)
                else maybe_signature(links, clone=True)
            )
    return copied


def _cloned(part: Any) -> Signature:
    return taken(part).clone()


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    return _with_plain_subject({key: value for key, value in options.items() if value is not None})


def _options(options: dict[str, Any]) -> dict[str, Any]:
    for key in LINKS:
        links = options.get(key)
        if isinstance(links, list | tuple):
            options[key] = [taken(link, key) for link in links]
        elif links is not None:
            options[key] = taken(links, key)
    return _with_plain_subject(options)


def _with_plain_subject(options: dict[str, Any]) -> dict[str, Any]:
    """What a task is about by its name, not the object itself: a signature is JSON one day."""
    if options.get("subject") is not None:
        options["subject"] = subject_of(options["subject"])
    return options
