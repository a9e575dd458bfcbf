"""What a running task may do to the workflow it is part of: be replaced in it, and enlarge its chord."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

from django_tasks.canvas.freezing import Handle, freeze
from django_tasks.canvas.giving import end
from django_tasks.canvas.group import group
from django_tasks.canvas.layout import Part, Place, lay_out
from django_tasks.canvas.normal import ACCUMULATE, normal
from django_tasks.canvas.signature import Signature
from django_tasks.exceptions import Replaced
from django_tasks.handlers import later
from django_tasks.message.message import TaskMessage

from .context import Context

if TYPE_CHECKING:
    from .task import Task

# They need models.
replace_task = later("django_tasks.dispatch.workflow.replace_task")
enlarge_group = later("django_tasks.dispatch.workflow.enlarge_group")


def replace(task: Task[..., Any], sig: Signature) -> Any:
    """See `Task.replace`."""
    context = task.request
    if "chord" in sig.options:
        raise ImproperlyConfigured(
            "A task cannot be replaced by a signature that is part of a chord already."
        )
    if isinstance(end(normal(sig)), group):
        sig = sig | Signature(ACCUMULATE, kwargs={"index": 0})
    if context.called_directly or context.is_eager:
        return sig.apply().get(disable_sync_subtasks=False)
    message = context._message
    standing = normal(sig.clone(None, None, **_links(message)))
    if message.group is not None and not message.ignore_result:
        end(standing).options["ignore_result"] = False  # it is counted in its place, so it must have a row
    freeze(standing, message.id)
    replace_task(message.id, context._owner, lay_out(standing, _place(message)))
    raise Replaced(f"Replaced by {sig!r}")


def _links(message: TaskMessage) -> dict[str, Any]:
    links = {"link": message.callbacks, "link_error": message.errbacks}
    return {name: list(linked) for name, linked in links.items() if linked}


def _place(message: TaskMessage) -> Place:
    return Place(
        root_id=message.root_id,
        parent_id=message.parent_id,
        chain=message.chain or (),
        group_id=message.group,
        group_index=message.group_index,
        chord=message.chord,
        nesting=message.replaced_task_nesting + 1,
        asked=message.asked,
    )


def add_to_chord(context: Context, sig: Signature, lazy: bool) -> Handle | Signature:
    """See `Task.add_to_chord`."""
    message = context._message
    if message.chord is None or message.group is None:
        raise ValueError("This task is not in the header of a chord, so there is none to add to.")
    if context.is_eager:
        raise NotImplementedError("A chord that is run where it is sent cannot grow. Test it with a worker.")
    added = normal(sig)
    end(added).options["ignore_result"] = False  # as above
    place = Place(root_id=message.root_id, parent_id=message.id, group_id=message.group, chord=message.chord)
    handle = freeze(added)

    def parts(index: int) -> Iterator[Part]:
        standing = dataclasses.replace(place, group_index=index)
        if lazy:
            end(added).options.update(standing.membership)
            return iter(())
        return lay_out(added, standing)

    enlarge_group(message.group, parts)
    return added if lazy else handle
