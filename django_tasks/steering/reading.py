"""What the message of a task asks for, as far as it may be believed."""

from __future__ import annotations

from django_tasks import conf
from django_tasks.message.message import TaskMessage
from django_tasks.models import TaskResult


def order_of(row: TaskResult) -> TaskMessage | None:
    """To be sent once more. `None` of one that may not be read: to sign it anew would be to vouch for what a stranger
    has written.
    """
    settings = conf.current()
    if settings.MESSAGE_SIGNING and not row.is_signed():
        return None
    return row.order(settings.ACCEPT_CONTENT)
