"""How tasks end: what is written down of it, by whom, and what ended when."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from django.db import connections, transaction
from django.db.models import Exists, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from django_tasks import clock, states

from . import recording
from .attempt import TaskAttempt
from .ends import EVER_SINCE, End
from .group import TaskGroup
from .locking import begin_to_write
from .result_claims import ClaimedResults
from .rollup import RollupMark
from .watch import COMMANDS, announce


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a task process has to say about a row it owns: started, ended, or to be run again.

    `owner` is who owns the row afterwards: nobody once it is final or goes back to its queue.
    """

    id: str
    status: str
    owner: str | None = None
    result: str | None = None
    traceback: str | None = None
    worker: str = ""
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None
    #: Of a failure, which kind it is.
    fingerprint: str | None = None


class EndedResults(ClaimedResults):
    def record(self, changes: Sequence[Change], owner: str) -> set[str]:
        """Write the changes to the rows that `owner` still owns, and say which these were.

        A late owner's word is not taken (DESIGN §6): what is missing from the answer must be dropped, with all that
        would have followed from it. The number of statements does not depend on the number of changes.
        """
        if not changes:
            return set()
        # A task may be said to have started and to have ended in one breath: its end is what counts.
        last = {change.id: change for change in sorted(changes, key=lambda change: change.owner is None)}
        with transaction.atomic(using=self.db, savepoint=False):
            return recording.write(self, list(last.values()), owner, connections[self.db])

    def revoke(self, ids: Iterable[str], result: str) -> int:
        """End the waiting rows among `ids` as REVOKED; rows being run or final are left alone."""
        return (
            self.filter(id__in=list(ids))
            .waiting()
            .update(status=states.REVOKED, result=result, finished_at=clock.to_storage(clock.now()))
        )

    def ask_to_terminate(self, ids: Iterable[str]) -> int:
        """Have whoever runs these tasks stop them. Those that wait are not touched."""
        owned = self.filter(id__in=list(ids), claimed_by__isnull=False)
        asked = owned.exclude(status__in=states.FINAL_STATES).update(terminate=True)
        if asked:
            announce(connections[self.db], COMMANDS)
        return asked

    def asked_to_stop(self, owners: Collection[str]) -> Self:
        """What these owners run and somebody wants stopped."""
        return self.filter(claimed_by__in=sorted(owners), terminate=True)

    def lock_members(self, group_id: str) -> None:
        """Until the transaction ends none of a group's tasks ends that have a row."""
        begin_to_write(self)
        list(self.filter(group_id=group_id).order_by("id").select_for_update().values_list("id"))

    def first_end(self) -> dt.datetime | None:
        """When the oldest row that ended did."""
        ended = self.filter(finished_at__isnull=False).order_by("finished_at")
        found = ended.values_list("finished_at", flat=True).first()
        return None if found is None else clock.from_storage(found)

    def ended_within(self, after: dt.datetime | None, until: dt.datetime) -> Self:
        """Rows that ended later than one moment and not later than the other; without the one, from the first."""
        ended = self.filter(finished_at__isnull=False, finished_at__lte=until)
        return ended if after is None else ended.filter(finished_at__gt=after)

    def uncounted(self, most: int) -> list[End]:
        """What ended since figures were last added up, the newest first, as far as `most`."""
        mark = RollupMark.objects.using(self.db).values("counted_until")[:1]
        counted = Coalesce(Subquery(mark), Value(clock.to_storage(EVER_SINCE)))
        ended = self.filter(finished_at__isnull=False, finished_at__gt=counted).order_by("-finished_at")
        return [End(*values) for values in ended.values_list(*End._fields)[:most]]

    def next_ends(self, after: dt.datetime | None, until: dt.datetime, most: int) -> list[End]:
        """The ends within these moments in their order, about `most`: of one moment either all or none."""
        ended = self.ended_within(after, until).order_by("finished_at").values_list(*End._fields)
        ends = [End(*values) for values in ended[:most]]
        if len(ends) < most:
            return ends
        last = ends[-1].finished_at
        of_last = self.filter(finished_at=last).values_list(*End._fields)
        return [*(end for end in ends if end.finished_at < last), *(End(*values) for values in of_last)]

    def prune(self, before: dt.datetime, limit: int) -> int:
        """Delete at most `limit` of the rows that ended before a moment, the oldest first; how many these were.

        Nothing is locked while they are looked for, and whoever looks for the same rows finds them gone.
        """
        # What goes to the body of a chord is kept until that is sent.
        held = Exists(TaskGroup.objects.using(self.db).unfinished().filter(id=OuterRef("group_id")))
        ended = self.final().filter(~held, finished_at__lt=before).order_by("finished_at")
        ids = sorted(ended.values_list("id", flat=True)[:limit])
        TaskAttempt.objects.using(self.db).forget(ids)
        return self.filter(id__in=ids).delete()[0] if ids else 0
