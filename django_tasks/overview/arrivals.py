"""What was sent lately, queue by queue: beside what ended it says whether a queue fills or empties."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping

from django_tasks import clock, conf
from django_tasks.models import TaskResult

from .course import LATELY

#: So many of the tasks that were sent last are looked at: on a busy site those of less than five minutes.
MOST = 2_000


def sent_per_minute() -> Mapping[str, float]:
    """Of each queue. One statement, answered by the index of the newest tasks."""
    now = clock.now()
    found = TaskResult.objects.using(conf.current().DATABASE).sent_since(now - LATELY, MOST)
    window = LATELY
    if len(found) == MOST:
        window = min(max(now - clock.from_storage(found[-1][1]), dt.timedelta(seconds=1)), LATELY)
    minutes = window / dt.timedelta(minutes=1)
    counted = Counter(queue for queue, _ in found)
    return {queue: number / minutes for queue, number in counted.items()}
