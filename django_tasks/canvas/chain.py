"""chain: one task after the other, each with the result of the one before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from itertools import takewhile
from operator import or_
from typing import Any

from .chord import chord
from .composed import Composed
from .fields import LINKS, OF_THE_END, listed
from .group import group, unrolled
from .shortening import shortened
from .signature import Signature, taken


@Signature.register_type()
class chain(Composed):  # noqa: N801 - Celery's name
    """Tasks one after the other; each is called with the result of the one before as its first argument.

        chain(fetch_page.s(url), parse_page.s(), store_page.s(url)).delay()
        (fetch_page.s(url) | parse_page.s() | store_page.s(url)).delay()

    One argument may be an iterable of the steps. A group that is followed by a step becomes a chord with that step, so
    `chain(group(...), step)` is a chord. The handle is that of the last task; `.parent` leads back.
    """

    OWN = frozenset(("tasks",))

    def __new__(cls, *tasks: Any, app: object = None, **options: Any) -> Any:
        steps = [taken(task, "chain") for task in _steps(tasks)]
        if options:
            return cls.of([unrolled(step) for step in steps], options)
        return _folded(steps)

    def __init__(self, *tasks: Any, **options: Any) -> None:
        # All is done: what `__new__` makes of its arguments may be a group or a chord.
        pass

    @classmethod
    def of(cls, steps: Iterable[Signature], options: Mapping[str, Any] | None = None) -> chain:
        """A chain of these very steps."""
        made: chain = dict.__new__(cls)
        Signature.__init__(
            made, "celery.chain", (), {"tasks": list(steps)}, subtask_type="chain", options=options
        )
        return made

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """`apply_async(args, kwargs)`."""
        return self.apply_async(args, kwargs)

    def unchain_tasks(self) -> list[Signature]:
        """Copies of the steps; what the chain was given is theirs."""
        tasks = [task.clone() for task in self.tasks]
        if not tasks:
            return []
        said = {key: value for key, value in self.options.items() if key not in LINKS}
        tasks[0] = tasks[0].clone(
            self.args, self.for_tasks(), **{key: said[key] for key in said if key not in OF_THE_END}
        )
        tasks[-1].set(**{key: said[key] for key in said if key in OF_THE_END})
        for callback in listed(self.options.get("link")):
            tasks[-1].link(callback)
        for errback in listed(self.options.get("link_error")):
            for task in tasks:
                task.link_error(errback)
        return tasks

    def __repr__(self) -> str:
        if not self.tasks:
            return "<chain: empty>"
        return shortened(self.tasks[0].task, " | ".join(map(repr, self.tasks)))


def _steps(tasks: tuple[Any, ...]) -> Iterable[Any]:
    alone = tasks[0] if len(tasks) == 1 else None
    return alone if isinstance(alone, Iterable) and not isinstance(alone, str | Mapping) else tasks


def _folded(steps: list[Signature]) -> Signature:
    """What `|` between all these steps would make, without a copy of all that came before at each."""
    made: list[Signature] = []
    #: What comes after a chord goes into its body.
    behind: list[Signature] = []
    for place, step in enumerate(map(unrolled, steps)):
        if isinstance(step, group):
            if not step.tasks:
                continue
            if not made:
                return _led_by_group(step, steps[place + 1 :])
        for sig in step.unchain_tasks() if isinstance(step, chain) else [step.clone()]:
            if made and isinstance(made[-1], chord) and not isinstance(sig, chord):
                behind.append(sig)
                continue
            _close(made, behind)
            if made and isinstance(made[-1], group) and not isinstance(sig, group):
                made[-1] = chord(made[-1], sig)
            else:
                made.append(sig)
    _close(made, behind)
    return chain.of(made)


def _led_by_group(first: group, rest: list[Signature]) -> Signature:
    """A chord, or the group itself if nothing follows; a chain only if something follows that no body can hold."""
    tasks = list(takewhile(lambda step: step.subtask_type is None, rest))
    begun = chord(first, _folded(tasks) if tasks[1:] else tasks[0]) if tasks else first
    return reduce(or_, rest[len(tasks) :], begun)


def _close(made: list[Signature], behind: list[Signature]) -> None:
    if behind:
        last: Any = made[-1]
        body = last.body_or_refuse() | behind[0]
        last.body = _folded([body, *behind[1:]]) if behind[1:] else body
        behind.clear()
