"""Sending a workflow: checked, frozen, laid out, and then all of it or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django_tasks import conf
from django_tasks.handlers import later

from .checking import check, check_results
from .freezing import Handle, freeze
from .layout import Place, lay_out
from .normal import normal
from .signature import Signature

Options = Mapping[str, Any]

#: Below us, but in need of models.
send_workflow = later("django_tasks.dispatch.workflow.send_workflow")
#: Above us: who sends, what a call may say, and what runs tasks where they are sent.
sent_here = later("django_tasks.definition.request.sent_here")
sender = later("django_tasks.definition.request.sender")
checked_message_of = later("django_tasks.definition.order.checked_message_of")
check_options = later("django_tasks.definition.options.check_call")
run_here = later("django_tasks.execution.eager.run_workflow")


def send(sig: Signature, args: Sequence[Any], kwargs: Options, options: Options) -> Handle:
    """Send a workflow, and return the handle on its result.

    Raises, and has sent nothing, what `Task.apply_async` raises, `NotRegistered` for a task that nobody knows, and
    `ValueError` or `TypeError` for a workflow that cannot be.
    """
    if conf.current().TASK_ALWAYS_EAGER:
        return run(sig, args, kwargs, options)
    ready = _ready(sig, args, kwargs, options)
    handle = freeze(ready)
    send_workflow(lay_out(ready, _place(), checked_message_of))
    sent_here(handle)
    return handle


def run(sig: Signature, args: Sequence[Any], kwargs: Options, options: Options) -> Handle:
    """Run a workflow where it is called, as workers would, and return a handle that knows all results."""
    said = dict(options)
    throw = said.pop("throw", None)
    ready = _ready(sig, args, kwargs, said)
    handle = freeze(ready)
    found: Handle = run_here(lay_out(ready, _place(), checked_message_of), handle, throw=throw)
    return found


def _ready(sig: Signature, args: Sequence[Any], kwargs: Options, options: Options) -> Signature:
    check_options(options)
    called = sig.clone(list(args), kwargs, **options)
    check(called)
    ready = normal(called)
    check_results(ready)
    return ready


def _place() -> Place:
    """Below the task that sends it."""
    parent = sender()
    return Place() if parent is None else Place(root_id=parent.root_id, parent_id=parent.id)
