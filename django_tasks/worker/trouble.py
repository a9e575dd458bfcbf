"""Trouble: a worker that receives nothing says so, in its row and once in its log. It is never silently idle.

So does one that is about to end, which is no trouble.
"""

from __future__ import annotations

import logging
from collections import Counter

from django.db import Error
from django.utils.translation import gettext_noop

from django_tasks import clock, conf
from django_tasks.exceptions import OperationalError
from django_tasks.models import Worker

from .board import ALIVE, BROKER_AWAY, DATABASE_AWAY, FAILING, Board

logger = logging.getLogger("django_tasks.worker")

#: Rows have it in English, for programs and logs; pages show it in the language of whoever looks.
SAYS = {
    BROKER_AWAY: gettext_noop("The broker cannot be reached, or does not let it consume"),
    DATABASE_AWAY: gettext_noop("The database cannot be reached, or refuses what is written"),
    FAILING: gettext_noop("Consuming fails; the log says at which place"),
}


def trouble_of(error: BaseException) -> int:
    """What an error says of the surroundings."""
    if isinstance(error, OperationalError):
        return BROKER_AWAY
    return DATABASE_AWAY if isinstance(error, Error) else FAILING


class Trouble:
    """What the processes say on the board, told to everybody when it changes."""

    def __init__(self, board: Board) -> None:
        self.board = board
        #: What the row says; unknown at first, for another housekeeper may have written it.
        self.told: str | None = None
        self.told_of_end = False

    def turn(self) -> None:
        self.tell_of_end()
        found = self.find()
        if found == self.told:
            return
        rows = Worker.objects.using(conf.current().DATABASE)
        if not rows.filter(id=self.board.worker_id).update(trouble=found):
            return  # the lease has not made the row yet
        if found and not self.told:
            logger.error("This worker is in trouble: %s", found)
        elif self.told and not found:
            logger.warning("This worker is out of trouble")
        self.told = found

    def tell_of_end(self) -> None:
        if self.told_of_end or not self.board.ending.has_begun:
            return
        rows = Worker.objects.using(conf.current().DATABASE)
        self.told_of_end = rows.note_ending(self.board.worker_id, clock.to_storage(clock.now()))

    def find(self) -> str:
        """Nothing if all is well."""
        living = [seat for seat in self.board.seats if seat.state == ALIVE]
        counted = Counter(seat.trouble for seat in living)
        return " ".join(
            f"{said} ({counted[trouble]} of {len(living)} processes)."
            for trouble, said in SAYS.items()
            if counted[trouble]
        )
