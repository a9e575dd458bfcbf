"""Redis: giving back what dead consumers had taken and not forgotten."""

from __future__ import annotations

import logging
from collections.abc import Callable

import kombu

from . import connecting
from .redis_lists import Lists

logger = logging.getLogger("django_tasks.brokers")


class Unacked:
    """For those who look after consumers. Redis being away is no error to them: what it has is safe there."""

    def __init__(self, connect: Callable[[], kombu.Connection], fleet: Callable[[], str]) -> None:
        self.connect = connect
        self.fleet = fleet
        #: Of whom something could not be given back yet.
        self.waiting: set[str] = set()

    def owners(self) -> set[str]:
        """All consumers of our fleet; nobody, if Redis is away."""
        found: set[str] = set()
        self._ask(lambda lists: found.update(lists.consumers()), "who consumes")
        return found

    def rescue(self, owner: str) -> None:
        """Give back what a dead consumer had taken; if that cannot be done now, `try_again` does it."""
        self.waiting.add(owner)
        if self._ask(lambda lists: _give_back(lists, owner), f"what {owner} had taken"):
            self.waiting.discard(owner)

    def try_again(self) -> None:
        for owner in list(self.waiting):
            self.rescue(owner)

    def _ask(self, question: Callable[[Lists], None], what: str) -> bool:
        """False if Redis did not answer, when it was connected to or later."""
        fleet = self.fleet()
        connection = self.connect()
        try:
            connecting.connect(connection)
            question(Lists(connection.default_channel, fleet))
        except connecting.errors(connection) as error:
            logger.warning("Redis does not answer; %s waits: %s", what, error)
            return False
        finally:
            connection.release()
        return True


def _give_back(lists: Lists, owner: str) -> None:
    if given_back := lists.give_back(owner):
        logger.warning("%d messages that %s had taken go back", given_back, owner)
    lists.leave(owner)
