"""What an operator can do to messages that were set aside."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.translation import gettext_lazy, ngettext

from django_tasks.dispatch import purging
from django_tasks.models import QueuedMessage
from django_tasks.models.batches import slices
from django_tasks.models.queue import QueuedMessageQuerySet

from .actions import Refused, deed


@deed(
    gettext_lazy("Replay"),
    "replay_message",
    gettext_lazy("Offered again in its old place, once what kept it from being run is mended."),
)
def replay(request: HttpRequest, rows: QueuedMessageQuerySet) -> str:
    chosen, aside = rows.count(), rows.aside().count()
    whole = list(rows.replayable().values_list("pk", flat=True))
    stored = QueuedMessage.objects.using(rows.db)
    replayed = sum(stored.filter(pk__in=some).replay() for some in slices(whole))
    told = [ngettext("%d message is offered again.", "%d messages are offered again.", replayed) % replayed]
    if cut := aside - len(whole):
        words = ngettext(
            "%d message was too large to be kept whole. It has to be sent again where it came from.",
            "%d messages were too large to be kept whole. They have to be sent again where they came from.",
            cut,
        )
        told.append(words % cut)
    return _told(told, done=replayed, others=chosen - aside)


@deed(
    gettext_lazy("Discard"),
    "replay_message",
    gettext_lazy("Thrown away, and its task ends as revoked. There is no way back."),
    is_dangerous=True,
)
def discard(request: HttpRequest, rows: QueuedMessageQuerySet) -> str:
    chosen = rows.count()
    discarded = purging.discard(rows.aside().values_list("pk", flat=True))
    told = ngettext("%d message was thrown away.", "%d messages were thrown away.", discarded) % discarded
    return _told([told], done=discarded, others=chosen - discarded)


def _told(told: list[str], *, done: int, others: int) -> str:
    if others:
        words = ngettext(
            "%d message was not set aside, and stays as it is.",
            "%d messages were not set aside, and stay as they are.",
            others,
        )
        told.append(words % others)
    if not done:
        raise Refused(" ".join(told))
    return " ".join(told)
