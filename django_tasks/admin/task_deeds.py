"""What can be done to tasks: to one from its page, to those that were ticked, to all that the list shows."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_tasks import clock, conf, registry
from django_tasks.exceptions import TasksError
from django_tasks.models import TaskResult
from django_tasks.steering import bulk
from django_tasks.steering.again import send_changed
from django_tasks.steering.selection import BATCH, Selection

from . import arguments
from .actions import Action, Chosen, Refused, deed, refusing
from .task_forms import EditForm, MoveForm, RescheduleForm

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

#: Said of those to which it could not be done.
LEFT_ALONE = {
    "retry": gettext_lazy("Only what has ended, and can be read, is sent again."),
    "cancel": gettext_lazy("Only what waits is cancelled; what runs can be stopped."),
    "stop": gettext_lazy("The others have ended."),
    "run_now": gettext_lazy("Only what waits in the database can be changed."),
    "reschedule": gettext_lazy("Only what waits in the database can be changed."),
    "move": gettext_lazy("Only what waits in the database can be changed."),
    "delete": gettext_lazy("Only what has ended is deleted: cancel the others first."),
}


def do(name: str, selection: Selection, *, seed: str = "", **said: Any) -> str:
    """At once to some; to more in the background. The seed keeps a batch that is done twice from being sent twice."""
    seed = seed or uuid.uuid4().hex
    with refusing(TasksError):
        if selection.is_everything or len(selection.ids) > BATCH:
            sent = registry.find(bulk.DO_TO_ALL).delay(name, selection.written(), said, seed)
            return str(_("It is done in the background, by the task %s.") % sent.id)
        done, seen = bulk.do_to_all(name, selection, said, seed)
    return _told(name, done, seen)


def _told(name: str, done: int, seen: int) -> str:
    if not done:
        raise Refused(str(LEFT_ALONE[name]))
    words = ngettext("Done to %d task.", "Done to %d tasks.", done) % done
    return words if done == seen else f"{words} {LEFT_ALONE[name]}"


def _done_to_each(
    name: str, label: StrOrPromise, permission: str, description: StrOrPromise, **more: Any
) -> Action:
    """What steering/bulk.py does, by this name, to tasks one like the other."""

    def perform(request: HttpRequest, rows: Selection, **said: Any) -> str:
        return do(name, rows, **said)

    return Action(
        name=name, label=label, permission=permission, perform=perform, description=description, **more
    )


def _edit_form(request: HttpRequest, chosen: Chosen, data: Any) -> EditForm:
    row = _one(chosen.rows)
    known = arguments.of(row)
    if known is None:
        raise Refused(_("Its message cannot be read. Send it again where it came from."))
    return EditForm(data, known=known, task=row.task)


@deed(
    gettext_lazy("Edit & retry"),
    "retry_task",
    gettext_lazy("Send it again with other arguments."),
    also=("view_payload",),
    is_for_many=False,
    form_of=_edit_form,
)
def edit(request: HttpRequest, rows: Selection, args: list[Any], kwargs: Mapping[str, Any]) -> str:
    row = _one(rows)
    if not row.is_final:
        raise Refused(str(LEFT_ALONE["retry"]))
    with refusing(TypeError, ValueError, TasksError):
        return _("Sent again as task %s.") % send_changed(row, args, kwargs)


def _one(selection: Selection) -> TaskResult:
    rows = [] if selection.is_everything else list(selection.rows()[:2])
    if len(rows) != 1:
        raise Refused(_("The arguments of one task at a time can be changed."))
    return rows[0]


#: In the order of their buttons.
TASK_DEEDS = (
    _done_to_each(
        "retry",
        gettext_lazy("Retry"),
        "retry_task",
        gettext_lazy("Send it again, as a task of its own. What has ended stays as it is."),
    ),
    edit,
    _done_to_each(
        "run_now",
        gettext_lazy("Run now"),
        "reschedule_task",
        gettext_lazy("Do not wait until it is due."),
    ),
    _done_to_each(
        "reschedule",
        gettext_lazy("Reschedule"),
        "reschedule_task",
        gettext_lazy("Have what waits run at another time."),
        form=RescheduleForm,
    ),
    _done_to_each(
        "move",
        gettext_lazy("Change queue or priority"),
        "reschedule_task",
        gettext_lazy("Have what waits wait elsewhere."),
        form=MoveForm,
    ),
    _done_to_each(
        "cancel",
        gettext_lazy("Cancel"),
        "cancel_task",
        gettext_lazy("Make sure that it never begins. What runs goes on."),
        is_dangerous=True,
    ),
    _done_to_each(
        "stop",
        gettext_lazy("Stop"),
        "cancel_task",
        gettext_lazy("Cancel what waits, and stop what runs, wherever it is in its work."),
        is_dangerous=True,
    ),
    _done_to_each(
        "delete",
        gettext_lazy("Delete"),
        "delete_taskresult",
        gettext_lazy("Forget a task that has ended, with its result."),
        is_dangerous=True,
    ),
)


#: Not a deed of its own page: it answers with a file. But it is written down like one.
EXPORT = Action(
    name="export",
    label=gettext_lazy("Export"),
    permission="view_taskresult",
    perform=lambda request, rows: "",
)


def applies(action: Action, row: TaskResult) -> bool:
    """Is there a point in doing this to a task in this state?"""
    match action.name:
        case "retry" | "edit" | "delete":
            return row.is_final
        case "stop":
            return not row.is_final and row.claimed_by is not None
        case "run_now":
            order = None if row.is_final or row.claimed_by else row.order(conf.current().ACCEPT_CONTENT)
            return bool(order and order.eta and order.eta > clock.now())
        case _:
            return not row.is_final and row.claimed_by is None
