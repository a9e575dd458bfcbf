"""Ends of tasks, and doing in the rows what follows from them: part of the transaction that records them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django_tasks import clock, conf, states
from django_tasks.models import TaskResult
from django_tasks.results.store import Record

from .answers import answer
from .following import Ended, follow, has_following
from .ledger import Rows
from .outcome import Failed, Ignored, Outcome, Reported, Revoked, Started, Succeeded


def follow_ends(events: Iterable[Outcome | Started | Reported]) -> None:
    """Do what follows from those of these events that are ends."""
    _follow([ended for event in events if (ended := _end(event)) is not None])


def follow_revoked(ids: Sequence[str], text: str | None) -> None:
    """The same for tasks that were revoked before they began; `text` is the exception they ended with."""
    messages = [
        row.to_message() for row in TaskResult.objects.using(conf.current().DATABASE).filter(id__in=ids)
    ]
    _follow(
        [
            Ended(message=message, status=states.REVOKED, text=text)
            for message in messages
            if has_following(message)
        ]
    )
    answer(
        (message, Record(id=message.id, status=states.REVOKED, text=text, finished_at=clock.now()))
        for message in messages
    )


def _follow(ended: Sequence[Ended]) -> None:
    if ended:
        ledger = Rows()
        follow(ended, ledger)
        ledger.flush()


def _end(event: Outcome | Started | Reported) -> Ended | None:
    """The task will not run again, and something may come of that."""
    message = event.request.message
    if not has_following(message):
        return None
    match event:
        case Succeeded(result=text):
            return Ended(message=message, status=states.SUCCESS, text=text)
        case Failed(error=text):
            return Ended(message=message, status=states.FAILURE, text=text)
        case Revoked(error=text):
            return Ended(message=message, status=states.REVOKED, text=text)
        case Ignored():
            return Ended(message=message, status=states.IGNORED, text=None)
    return None
